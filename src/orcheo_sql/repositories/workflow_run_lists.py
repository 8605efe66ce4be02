"""Runs, many at a time: list, filter, count, search, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from .._errors import ValidationError
from .._filter_words import has_words
from .._filters import as_filter
from .._pages import Page, check_limit, encode_cursor, page_of
from .._search import parse_search
from ..rules import require_text
from ..structs import WorkflowRunStatus
from .base import (
    DEFAULT_PAGE,
    EARLIEST,
    HIGHEST_ID,
    LARGEST_PAGE,
    LATEST,
    LOWEST_ID,
    NO_LIMIT,
    as_instant,
    as_uuid,
)
from .workflow_lists import position
from .workflow_versions import WorkflowVersions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from .._documents import JsonText
    from .._filters import JsonFilter
    from .._query_types import Workflows
    from ..structs import RunStatusCounts, WorkflowRun

    Filter = JsonFilter | Mapping[str, Any]


class _Filters(TypedDict):
    """The JSON filters that the run lists share."""

    input_contains: JsonText | None
    input_conditions: JsonText | None
    output_contains: JsonText | None
    output_conditions: JsonText | None
    metadata_contains: JsonText | None
    metadata_conditions: JsonText | None


class _Window(TypedDict):
    """The part of a list that is wanted."""

    created_from: datetime
    before_at: datetime
    before_id: UUID
    limit: int


class WorkflowRunLists(WorkflowVersions):
    """The part of `WorkflowRepository` about many runs."""

    q: Workflows

    async def list_runs_for_workflow(
        self, workflow_id: UUID, *, limit: int | None = None
    ) -> list[WorkflowRun]:
        """Return the runs of a workflow, newest first, at most `limit` of them.

        Raises:
            WorkflowNotFoundError: there is no such workflow.
            ValidationError: the limit is negative.
        """
        workflow_id = as_uuid(workflow_id, "workflow_id")
        most = NO_LIMIT if limit is None else check_limit(limit)
        rows = await self.q.list_runs_by_workflow(
            workflow_id=workflow_id,
            created_from=EARLIEST,
            before_at=LATEST,
            before_id=HIGHEST_ID,
            limit=most,
        )
        if not rows:
            await self._require_workflow(workflow_id)
        return rows

    async def page_runs(
        self,
        *,
        workflow_id: UUID | None = None,
        status: WorkflowRunStatus | str | None = None,
        triggered_by: str | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        input_filter: Filter | None = None,
        output_filter: Filter | None = None,
        metadata_filter: Filter | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[WorkflowRun]:
        """Return up to `limit` (at most 1000) runs, newest first, that meet every condition given.

        Args:
            workflow_id: of one workflow; an unknown one has no runs.
            status: in one state.
            triggered_by: with exactly this trigger text.
            created_from: created at or after this time.
            created_before: created before this time.
            input_filter: a `JsonFilter` on the input, or a mapping that the input must contain.
            output_filter: the same on the output; a run without output never meets it.
            metadata_filter: the same on the metadata of the run's config.
            limit: at most 1000.
            cursor: `next_cursor` of the page before, with the same conditions.

        Raises:
            InvalidCursorError: the cursor is not one of this list's.
            JsonFilterError: a filter is malformed.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        end = LATEST if created_before is None else as_instant(created_before, "created_before")
        before_at, before_id = position("runs", cursor, LATEST, HIGHEST_ID)
        if (end, LOWEST_ID) < (before_at, before_id):
            before_at, before_id = end, (HIGHEST_ID if created_before is None else LOWEST_ID)
        workflow = None if workflow_id is None else as_uuid(workflow_id, "workflow_id")
        state = None if status is None else _status(status)
        trigger = None if triggered_by is None else require_text(triggered_by, "triggered_by")
        window: _Window = {
            "created_from": EARLIEST
            if created_from is None
            else as_instant(created_from, "created_from"),
            "before_at": before_at,
            "before_id": before_id,
            "limit": limit + 1,
        }
        filters = _filters(input_filter, output_filter, metadata_filter)
        trigger_leads = workflow is None and state is None
        if any(filters.values()) or (trigger is not None and not trigger_leads):
            rows = await self._filtered(workflow, state, trigger, window, filters)
        else:
            rows = await self._listed(workflow, state, trigger, window)
        return page_of(rows, limit, lambda r: encode_cursor("runs", r.created_at, r.id))

    async def _listed(
        self,
        workflow_id: UUID | None,
        status: WorkflowRunStatus | None,
        triggered_by: str | None,
        window: _Window,
    ) -> list[WorkflowRun]:
        """Run the list whose leading columns are given: each has an index of its own."""
        q = self.q
        if workflow_id is not None and status is not None:
            return await q.list_runs_by_workflow_and_status(
                workflow_id=workflow_id, status=status, **window
            )
        if workflow_id is not None:
            return await q.list_runs_by_workflow(workflow_id=workflow_id, **window)
        if triggered_by is not None:
            return await q.list_runs_by_trigger(triggered_by=triggered_by, **window)
        if status is not None:
            return await q.list_runs_by_status(status=status, **window)
        return await q.list_runs(**window)

    async def _filtered(
        self,
        workflow_id: UUID | None,
        status: WorkflowRunStatus | None,
        triggered_by: str | None,
        window: _Window,
        filters: _Filters,
    ) -> list[WorkflowRun]:
        """Run the list whose leading columns are given, with all that can't lead as a filter."""
        q = self.q
        # Few runs are unfinished: their own index is as good as that of the words, and better for a common one.
        unfinished = status in (WorkflowRunStatus.PENDING, WorkflowRunStatus.RUNNING)
        if not unfinished and has_words(
            filters["input_contains"], filters["output_contains"], filters["metadata_contains"]
        ):
            return await q.find_runs(
                workflow_id=workflow_id,
                status=status,
                triggered_by=triggered_by,
                **window,
                **filters,
            )
        if workflow_id is not None and status is not None:
            return await q.filter_runs_by_workflow_and_status(
                workflow_id=workflow_id,
                status=status,
                triggered_by=triggered_by,
                **window,
                **filters,
            )
        if workflow_id is not None:
            return await q.filter_runs_by_workflow(
                workflow_id=workflow_id, triggered_by=triggered_by, **window, **filters
            )
        if triggered_by is not None:
            return await q.filter_runs_by_trigger(
                triggered_by=triggered_by, status=status, **window, **filters
            )
        if status is not None:
            return await q.filter_runs_by_status(status=status, **window, **filters)
        return await q.filter_runs(**window, **filters)

    async def count_runs_by_status(self, *, workflow_id: UUID | None = None) -> RunStatusCounts:
        """Count runs by state, of one workflow or of all, in one statement."""
        if workflow_id is None:
            counts = await self.q.count_runs()
        else:
            counts = await self.q.count_runs_by_workflow(
                workflow_id=as_uuid(workflow_id, "workflow_id")
            )
        assert counts is not None
        return counts

    async def search_runs(
        self,
        query: str,
        *,
        workflow_id: UUID | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[WorkflowRun]:
        """Find runs by the words of trigger, name, tags, input, output and error; newest first.

        Args:
            query: words (all must occur), ``"phrases"``, ``-excluded`` words or phrases, ``prefix*``.
            workflow_id: only runs of this workflow.
            limit: at most 1000.
            cursor: `next_cursor` of the page before.

        Raises:
            SearchQueryError: nothing to look for.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, before_id = position("found-runs", cursor, LATEST, HIGHEST_ID)
        rows = await self.q.search_runs(
            search=parse_search(query),
            workflow_id=None if workflow_id is None else as_uuid(workflow_id, "workflow_id"),
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        return page_of(rows, limit, lambda r: encode_cursor("found-runs", r.created_at, r.id))

    async def prune_runs(self, *, created_before: datetime, limit: int = 1000) -> int:
        """Delete up to `limit` finished runs created before a time, oldest first, and return how many went.

        One bounded batch: call it until it returns less than `limit`. Pending and running runs are kept.
        """
        return await self.q.prune_runs(
            created_before=as_instant(created_before, "created_before"), limit=check_limit(limit)
        )


def _status(value: WorkflowRunStatus | str) -> WorkflowRunStatus:
    try:
        return WorkflowRunStatus(value)
    except ValueError:
        allowed = ", ".join(WorkflowRunStatus)
        raise ValidationError(f"status must be one of {allowed}, got {value!r}") from None


def _filters(given: Filter | None, output: Filter | None, metadata: Filter | None) -> _Filters:
    """Return the filter parameters that the run lists share."""
    nothing = None, None
    inputs = nothing if given is None else as_filter(given).to_parameters()
    outputs = nothing if output is None else as_filter(output).to_parameters()
    labels = nothing if metadata is None else as_filter(metadata).to_parameters()
    return {
        "input_contains": inputs[0],
        "input_conditions": inputs[1],
        "output_contains": outputs[0],
        "output_conditions": outputs[1],
        "metadata_contains": labels[0],
        "metadata_conditions": labels[1],
    }
