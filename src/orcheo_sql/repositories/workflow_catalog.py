"""Workflows themselves: create, read, change, publish."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID, uuid4

from .._errors import (
    UniqueViolationError,
    ValidationError,
    WorkflowHandleConflictError,
    WorkflowNotArchivedError,
    WorkflowNotFoundError,
    WorkflowPublishStateError,
)
from .._search import search_text
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
from .base import Repository, as_uuid, audit_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from .._query_types import Workflows
    from ..structs import Workflow, WorkflowDraftAccess

T = TypeVar("T")

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
        now = self._now()
        try:
            name = normalize_workflow_name(name)
            slug = derive_workflow_slug(slug, name)
            description = normalize_workflow_description(description)
            labels = normalize_workflow_tags(tags)
            access = parse_draft_access(draft_access)
            event = audit_event(actor, "workflow_created", now)
        except ValidationError as error:
            # Clients hear of a taken handle before they hear of other values.
            if await self._is_held(handle, rests=False):
                raise _handle_taken(handle) from error
            raise
        try:
            async with self._scope.attempt():
                created = await self.q.insert_workflow(
                    id=uuid4(),
                    handle=handle,
                    slug=slug,
                    name=name,
                    description=description,
                    tags=labels,
                    draft_access=access,
                    now=now,
                    event=event,
                    handle_text=search_text(handle or ""),
                    name_text=search_text(name),
                    description_text=search_text(description or ""),
                    tags_text=search_text(*labels),
                )
        except UniqueViolationError as error:
            raise _handle_conflict(error, handle) from error
        assert created is not None
        return created

    async def _is_held(self, handle: str | None, *, rests: bool) -> bool:
        """Say whether another workflow keeps the handle from one that is (`rests`) or is not archived."""
        if handle is None:
            return False
        found = await self.q.resolve_workflow_ref(
            handle=handle, id=None, include_archived=not rests
        )
        return found is not None

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
        now = self._now()
        async with self._checks_first(workflow_id, handle, is_archived):
            title = _given(name, normalize_workflow_name)
            text = (
                None if description is None else normalize_workflow_description(description) or ""
            )
            labels = _given(tags, normalize_workflow_tags)
            prompts = _given(chatkit_start_screen_prompts, normalize_chatkit_prompts)
            models = _given(chatkit_supported_models, normalize_chatkit_models)
            access = _given(draft_access, parse_draft_access)
            archived = _given(is_archived, lambda flag: require_flag(flag, "is_archived"))
            clear_prompts = require_flag(
                clear_chatkit_start_screen_prompts, "clear_chatkit_start_screen_prompts"
            )
            clear_models = require_flag(
                clear_chatkit_supported_models, "clear_chatkit_supported_models"
            )
            event = audit_event(actor, "workflow_updated", now)
        try:
            async with self._scope.attempt():
                updated = await self.q.update_workflow(
                    id=workflow_id,
                    handle=handle,
                    name=title,
                    description=text,
                    tags=labels,
                    prompts=prompts,
                    clear_prompts=clear_prompts,
                    models=models,
                    clear_models=clear_models,
                    draft_access=access,
                    is_archived=archived,
                    now=now,
                    event=event,
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

    async def delete_workflow(self, workflow_id: UUID) -> None:
        """Delete an archived workflow for good, in one transaction with all that was kept in its name.

        Its versions, runs, triggers, listeners and audit trail go, its run histories and its training checkpoints.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            WorkflowNotArchivedError: it is not archived, and may be starting runs: archive it first.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        async with self._scope.transaction() as unit:
            if not await unit.workflows.q.delete_workflow(id=workflow_id):
                await self._require_workflow(workflow_id)
                raise WorkflowNotArchivedError(str(workflow_id))
            await unit.history.delete_histories_of_workflow(workflow_id)
            await unit.agentensor.delete_checkpoints_of_workflow(str(workflow_id))

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

    async def _require_workflow(self, workflow_id: UUID) -> None:
        if not await self.q.exists_workflow(id=workflow_id):
            raise WorkflowNotFoundError(str(workflow_id))

    @asynccontextmanager
    async def _checks_first(
        self, workflow_id: UUID, handle: str | None, is_archived: object
    ) -> AsyncIterator[None]:
        """Guard checks of values: clients hear first of a missing workflow, then of a taken handle."""
        try:
            yield
        except ValidationError as error:
            workflow = await self.get_workflow(workflow_id)
            rests = workflow.is_archived if is_archived is None else is_archived is True
            if handle not in (None, workflow.handle) and await self._is_held(handle, rests=rests):
                raise _handle_taken(handle) from error
            raise


def _given(value: Any, normalize: Callable[[Any], T]) -> T | None:
    return None if value is None else normalize(value)


def _handle_conflict(error: UniqueViolationError, handle: str | None) -> Exception:
    return _handle_taken(handle) if error.constraint in _HANDLE_RULES else error


def _handle_taken(handle: str | None) -> WorkflowHandleConflictError:
    return WorkflowHandleConflictError(f"Workflow handle '{handle}' is already in use.")
