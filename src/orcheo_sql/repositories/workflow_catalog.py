"""Workflows themselves: create, read, list, change, publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from .._errors import (
    UniqueViolationError,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
    WorkflowPublishStateError,
)
from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from .._search import parse_search, search_text
from ..rules import (
    derive_workflow_slug,
    normalize_chatkit_models,
    normalize_chatkit_prompts,
    normalize_workflow_description,
    normalize_workflow_handle,
    normalize_workflow_name,
    normalize_workflow_ref,
    normalize_workflow_tags,
    parse_draft_access,
    require_flag,
    require_text,
)
from .base import (
    DEFAULT_PAGE,
    EARLIEST,
    HIGHEST_ID,
    LARGEST_PAGE,
    LATEST,
    LOWEST_ID,
    NO_LIMIT,
    Repository,
    as_uuid,
    audit_event,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .._query_types import Workflows
    from ..structs import AuditEntry, Workflow, WorkflowDraftAccess, WorkflowSummary

_HANDLE_RULES = frozenset(
    {"uq_workflows__handle", "uq_workflows__active_handle", "workflows.handle"}
)


class WorkflowCatalog(Repository):
    """The part of `WorkflowRepository` about workflows."""

    q: Workflows

    async def create_workflow(
        self,
        *,
        name: str,
        handle: str | None = None,
        slug: str | None,
        description: str | None,
        tags: Iterable[str] | None,
        draft_access: WorkflowDraftAccess | str,
        actor: str,
    ) -> Workflow:
        """Create a workflow.

        Args:
            name: 1 to 128 characters.
            handle: up to 64 lower-case letters, digits and single hyphens; unique among active workflows.
            slug: source of the slug; the name when None. It never changes afterwards.
            description: up to 1024 characters; blank counts as None.
            tags: trimmed, lower-cased and made unique.
            draft_access: who may see drafts: `personal`, `authenticated` or `workspace`.
            actor: who does this, for the audit trail.

        Raises:
            ValidationError: a value breaks its rule.
            WorkflowHandleConflictError: another workflow holds the handle.
        """
        handle = normalize_workflow_handle(handle)
        name = normalize_workflow_name(name)
        description = normalize_workflow_description(description)
        labels = normalize_workflow_tags(tags)
        now = self._now()
        try:
            async with self._scope.attempt():
                created = await self.q.insert_workflow(
                    id=uuid4(),
                    handle=handle,
                    slug=derive_workflow_slug(slug, name),
                    name=name,
                    description=description,
                    tags=labels,
                    draft_access=parse_draft_access(draft_access),
                    now=now,
                    event=audit_event(actor, "workflow_created", now),
                    handle_text=search_text(handle or ""),
                    name_text=search_text(name),
                    description_text=search_text(description or ""),
                    tags_text=search_text(*labels),
                )
        except UniqueViolationError as error:
            raise _handle_conflict(error, handle) from error
        assert created is not None
        return created

    async def get_workflow(self, workflow_id: UUID) -> Workflow:
        """Return one workflow, archived or not.

        Raises:
            WorkflowNotFoundError: there is none.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        found = await self.q.get_workflow(id=workflow_id)
        if found is None:
            raise WorkflowNotFoundError(str(workflow_id))
        return found

    async def resolve_workflow_ref(
        self, workflow_ref: str, *, include_archived: bool = True
    ) -> UUID:
        """Return the id that a handle or an id, in any spelling, stands for.

        An active workflow with the handle comes first, then (unless `include_archived` is off) the archived one that
        changed last, then the workflow with that id, archived or not.

        Raises:
            WorkflowNotFoundError: nothing has this handle or id.
        """
        handle, workflow_id = normalize_workflow_ref(workflow_ref)
        found = await self.q.resolve_workflow_ref(
            handle=handle,
            id=workflow_id,
            include_archived=require_flag(include_archived, "include_archived"),
        )
        if found is None:
            raise WorkflowNotFoundError(handle)
        return found

    async def list_workflows(self, *, include_archived: bool = False) -> list[Workflow]:
        """Return all workflows in the order of their creation."""
        return await self._workflows(include_archived, EARLIEST, LOWEST_ID, NO_LIMIT)

    async def page_workflows(
        self,
        *,
        include_archived: bool = False,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[Workflow]:
        """Return up to `limit` (at most 1000) workflows in the order of their creation, from a cursor on.

        Raises:
            InvalidCursorError: the cursor is not one of this list's.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        after_at, after_id = position("workflows", cursor, EARLIEST, LOWEST_ID)
        rows = await self._workflows(include_archived, after_at, after_id, limit + 1)
        return page_of(rows, limit, lambda w: encode_cursor("workflows", w.created_at, w.id))

    async def _workflows(
        self, include_archived: bool, after_at: datetime, after_id: UUID, limit: int
    ) -> list[Workflow]:
        if require_flag(include_archived, "include_archived"):
            return await self.q.list_workflows_with_archived(
                after_at=after_at, after_id=after_id, limit=limit
            )
        return await self.q.list_workflows(after_at=after_at, after_id=after_id, limit=limit)

    async def page_workflow_summaries(
        self,
        *,
        include_archived: bool = False,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[WorkflowSummary]:
        """Return what an overview shows, workflows with their latest version, in one statement and without graphs."""
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        after_at, after_id = position("summaries", cursor, EARLIEST, LOWEST_ID)
        rows = await self.q.list_workflow_summaries(
            include_archived=require_flag(include_archived, "include_archived"),
            after_at=after_at,
            after_id=after_id,
            limit=limit + 1,
        )
        return page_of(rows, limit, lambda w: encode_cursor("summaries", w.created_at, w.id))

    async def search_workflows(
        self,
        query: str,
        *,
        include_archived: bool = False,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[Workflow]:
        """Find workflows by the words of handle, name, description, tags and latest graph; newest first.

        Args:
            query: words (all must occur), ``"phrases"``, ``-excluded`` words or phrases, ``prefix*``.
            include_archived: search archived workflows too.
            limit: at most 1000.
            cursor: `next_cursor` of the page before.

        Raises:
            SearchQueryError: nothing to look for.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, before_id = position("found-workflows", cursor, LATEST, HIGHEST_ID)
        rows = await self.q.search_workflows(
            search=parse_search(query),
            include_archived=require_flag(include_archived, "include_archived"),
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        return page_of(rows, limit, lambda w: encode_cursor("found-workflows", w.created_at, w.id))

    async def update_workflow(
        self,
        workflow_id: UUID,
        *,
        name: str | None,
        handle: str | None = None,
        description: str | None,
        tags: Iterable[str] | None,
        chatkit_start_screen_prompts: Iterable[Any] | None = None,
        chatkit_supported_models: Iterable[Any] | None = None,
        clear_chatkit_start_screen_prompts: bool = False,
        clear_chatkit_supported_models: bool = False,
        draft_access: WorkflowDraftAccess | str | None = None,
        is_archived: bool | None,
        actor: str,
    ) -> Workflow:
        """Change the fields that are given; None leaves one alone, an empty description clears it.

        The change and its audit record are one statement that touches only the given fields, so edits of different
        fields never undo each other. Archiving a public workflow ends its publication.

        Raises:
            ValidationError: a value breaks its rule.
            WorkflowNotFoundError: there is no such workflow.
            WorkflowHandleConflictError: another workflow holds the handle, also when un-archiving would take it.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        handle = normalize_workflow_handle(handle)
        title = None if name is None else normalize_workflow_name(name)
        text = None if description is None else normalize_workflow_description(description) or ""
        labels = None if tags is None else normalize_workflow_tags(tags)
        prompts = _given(chatkit_start_screen_prompts, normalize_chatkit_prompts)
        models = _given(chatkit_supported_models, normalize_chatkit_models)
        now = self._now()
        try:
            async with self._scope.attempt():
                updated = await self.q.update_workflow(
                    id=workflow_id,
                    handle=handle,
                    name=title,
                    description=text,
                    tags=labels,
                    prompts=prompts,
                    clear_prompts=require_flag(
                        clear_chatkit_start_screen_prompts, "clear_chatkit_start_screen_prompts"
                    ),
                    models=models,
                    clear_models=require_flag(
                        clear_chatkit_supported_models, "clear_chatkit_supported_models"
                    ),
                    draft_access=None if draft_access is None else parse_draft_access(draft_access),
                    is_archived=None
                    if is_archived is None
                    else require_flag(is_archived, "is_archived"),
                    now=now,
                    event=audit_event(actor, "workflow_updated", now),
                    unpublish_event=audit_event(actor, "workflow_unpublished", now),
                    handle_text=None if handle is None else search_text(handle),
                    name_text=None if title is None else search_text(title),
                    description_text=None if text is None else search_text(text),
                    tags_text=None if labels is None else search_text(*labels),
                )
        except UniqueViolationError as error:
            raise _handle_conflict(
                error, handle or (await self.get_workflow(workflow_id)).handle
            ) from error
        if updated is None:
            raise WorkflowNotFoundError(str(workflow_id))
        return updated

    async def archive_workflow(self, workflow_id: UUID, *, actor: str) -> Workflow:
        """Archive a workflow: it keeps everything and starts no more runs. Repeating it is harmless.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
        """
        return await self.update_workflow(
            workflow_id, name=None, description=None, tags=None, is_archived=True, actor=actor
        )

    async def publish_workflow(
        self, workflow_id: UUID, *, require_login: bool, actor: str
    ) -> Workflow:
        """Make an active workflow public.

        Raises:
            WorkflowNotFoundError: it is missing or archived.
            WorkflowPublishStateError: it is public already.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        require_flag(require_login, "require_login")
        now = self._now()
        published = await self.q.publish_workflow(
            id=workflow_id,
            require_login=require_login,
            actor=require_text(actor, "actor"),
            now=now,
            event=audit_event(actor, "workflow_published", now, require_login=require_login),
        )
        return published or await self._wrong_publish_state(
            workflow_id, "Workflow is already published."
        )

    async def revoke_publish(self, workflow_id: UUID, *, actor: str) -> Workflow:
        """End the publication of an active workflow.

        Raises:
            WorkflowNotFoundError: it is missing or archived.
            WorkflowPublishStateError: it is not public.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        now = self._now()
        revoked = await self.q.revoke_publish(
            id=workflow_id, now=now, event=audit_event(actor, "workflow_unpublished", now)
        )
        return revoked or await self._wrong_publish_state(
            workflow_id, "Workflow is not currently published."
        )

    async def _wrong_publish_state(self, workflow_id: UUID, text: str) -> Workflow:
        """Raise the error for a publish change that found no row in the right state."""
        if (await self.get_workflow(workflow_id)).is_archived:
            raise WorkflowNotFoundError(str(workflow_id))
        raise WorkflowPublishStateError(text)

    async def page_audit_records(
        self, entity_id: UUID, *, limit: int = DEFAULT_PAGE, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """Return the audit trail of a workflow, version, run or listener subscription, oldest first.

        An entity carries its newest records (at least 20) in `audit_log`; this is the whole trail.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        (after,) = decode_cursor("audit", cursor, (int,)) if cursor is not None else (0,)
        rows = await self.q.list_audit_records(
            entity_id=as_uuid(entity_id, "entity_id"), after_seq=after, limit=limit + 1
        )
        return page_of(rows, limit, lambda entry: encode_cursor("audit", entry.seq))

    async def _require_workflow(self, workflow_id: UUID) -> None:
        if not await self.q.exists_workflow(id=workflow_id):
            raise WorkflowNotFoundError(str(workflow_id))


def _given(value: Iterable[Any] | None, normalize: Any) -> Any:
    return None if value is None else normalize(value)


def position(kind: str, cursor: str | None, at: datetime, entity_id: UUID) -> tuple[datetime, UUID]:
    """Return where a page begins: at its cursor, or at the end given."""
    if cursor is None:
        return at, entity_id
    from datetime import datetime as instant

    found: tuple[datetime, UUID] = decode_cursor(kind, cursor, (instant, UUID))
    return found


def _handle_conflict(error: UniqueViolationError, handle: str | None) -> Exception:
    if error.constraint in _HANDLE_RULES:
        return WorkflowHandleConflictError(f"Workflow handle '{handle}' is already in use.")
    return error
