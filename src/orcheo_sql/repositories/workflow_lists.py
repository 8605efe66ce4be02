"""Lists of workflows, and search in them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from .._search import parse_search
from ..rules import require_flag
from .base import (
    DEFAULT_PAGE,
    EARLIEST,
    HIGHEST_ID,
    LARGEST_PAGE,
    LATEST,
    LOWEST_ID,
    NO_LIMIT,
    as_uuid,
)
from .workflow_catalog import WorkflowCatalog

if TYPE_CHECKING:
    from datetime import datetime

    from .._query_types import Workflows
    from ..structs import AuditEntry, Workflow, WorkflowSummary


class WorkflowLists(WorkflowCatalog):
    """The part of `WorkflowRepository` about lists of workflows."""

    q: Workflows

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
        if require_flag(include_archived, "include_archived"):
            rows = await self.q.list_workflow_summaries_with_archived(
                after_at=after_at, after_id=after_id, limit=limit + 1
            )
        else:
            rows = await self.q.list_workflow_summaries(
                after_at=after_at, after_id=after_id, limit=limit + 1
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

    async def page_audit_records(
        self, entity_id: UUID, *, limit: int = DEFAULT_PAGE, cursor: str | None = None
    ) -> Page[AuditEntry]:
        """Return the audit trail of a workflow, version, run or listener subscription, oldest first.

        An entity carries its newest records, up to 40, in `audit_log`; this is the whole trail.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        entity_id = as_uuid(entity_id, "entity_id")
        kind = f"audit trail of {entity_id}"
        (after,) = decode_cursor(kind, cursor, (int,)) if cursor is not None else (0,)
        rows = await self.q.list_audit_records(
            entity_id=entity_id, after_seq=after, limit=limit + 1
        )
        return page_of(rows, limit, lambda entry: encode_cursor(kind, entry.seq))


def position(kind: str, cursor: str | None, at: datetime, entity_id: UUID) -> tuple[datetime, UUID]:
    """Return where a page begins: at its cursor, or at the end given."""
    if cursor is None:
        return at, entity_id
    from datetime import datetime as instant

    found: tuple[datetime, UUID] = decode_cursor(kind, cursor, (instant, UUID))
    return found
