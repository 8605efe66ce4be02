"""Run history, read: single histories, lists, search."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from .._errors import ConfigError, RunHistoryNotFoundError, ValidationError
from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from .._search import parse_search
from ..rules import require_int, require_text
from ..structs import RunHistoryRecord, RunHistoryStep
from .base import DEFAULT_PAGE, LARGEST_PAGE, LATEST, NO_LIMIT, Repository

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._query_types import History
    from ..structs import RunHistoryHit, StoredHistory

LONGEST_ID = 255
_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}(?:\1[0-9a-f]{4}){2}\1[0-9a-f]{12}", re.IGNORECASE)
LAST_ID = "\U0010ffff"
"""Behind every id that is in use: the first page begins there."""


class HistoryLists(Repository):
    """The part of `HistoryRepository` that reads."""

    q: History
    is_searched = False
    """Whether steps are kept for `search_steps`."""

    async def get_history(
        self, execution_id: str | UUID, *, steps_from: int = 0
    ) -> RunHistoryRecord:
        """Return the history of an execution, with its steps from an index on.

        Raises:
            RunHistoryNotFoundError: there is none.
        """
        first = require_int(steps_from, "steps_from", 0, NO_LIMIT)
        return await self._with_steps(
            await self._header(as_text_id(execution_id, "execution_id")), first
        )

    async def list_steps(
        self, execution_id: str | UUID, *, after_index: int = -1, limit: int | None = None
    ) -> list[RunHistoryStep]:
        """Return the steps of an execution behind an index, in order, at most `limit` of them.

        To follow an execution, call it again with the index of the last step that came.

        Raises:
            RunHistoryNotFoundError: there is no such history.
        """
        execution = as_text_id(execution_id, "execution_id")
        steps = await self.q.list_steps(
            execution_id=execution,
            after_index=require_int(after_index, "after_index", -1, NO_LIMIT),
            limit=NO_LIMIT if limit is None else check_limit(limit),
        )
        if not steps:
            await self._header(execution)
        return steps

    async def list_histories(
        self, workflow_id: str | UUID, *, limit: int | None = None, include_steps: bool = False
    ) -> list[RunHistoryRecord]:
        """Return the histories of a workflow, newest first, at most `limit` of them.

        Their `steps` are empty unless they are asked for: then one more statement brings those of all.
        """
        most = NO_LIMIT if limit is None else check_limit(limit)
        workflow = as_workflow_text(workflow_id)
        if not include_steps:
            return await self.q.list_histories(
                workflow_id=workflow, before_at=LATEST, before_id=LAST_ID, limit=most
            )
        return await self._complete(
            await self.q.list_counted_histories(
                workflow_id=workflow, before_at=LATEST, before_id=LAST_ID, limit=most
            )
        )

    async def page_histories(
        self,
        workflow_id: str | UUID,
        *,
        include_steps: bool = False,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[RunHistoryRecord]:
        """Return up to `limit` (at most 1000) histories of a workflow, newest first; see `list_histories`.

        Raises:
            InvalidCursorError: the cursor is not one of this list's, which is that of the workflow.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        workflow = as_workflow_text(workflow_id)
        kind = f"histories of {workflow}"
        before_at, before_id = LATEST, LAST_ID
        if cursor is not None:
            before_at, before_id = decode_cursor(kind, cursor, (datetime, str))

        def cursor_of(last: RunHistoryRecord) -> str:
            return encode_cursor(kind, last.started_at, last.execution_id)

        if not include_steps:
            headers = await self.q.list_histories(
                workflow_id=workflow, before_at=before_at, before_id=before_id, limit=limit + 1
            )
            return page_of(headers, limit, cursor_of)
        counted = await self.q.list_counted_histories(
            workflow_id=workflow, before_at=before_at, before_id=before_id, limit=limit + 1
        )
        page = page_of(counted, limit, cursor_of)
        return Page(await self._complete(page.items), page.next_cursor)

    async def search_steps(
        self,
        query: str,
        *,
        workflow_id: str | UUID | None = None,
        execution_id: str | UUID | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[RunHistoryHit]:
        """Find steps by the words of their payloads; newest first.

        Args:
            query: words (all in one step), ``"phrases"``, ``-excluded`` words or phrases, ``prefix*``.
            workflow_id: only steps of this workflow's executions.
            execution_id: only steps of this execution.
            limit: at most 1000.
            cursor: `next_cursor` of the page before.

        Raises:
            ConfigError: ``ORCHEO_HISTORY_SEARCH`` is off, so nothing is kept to be found by.
            SearchQueryError: nothing to look for.
            InvalidCursorError: the cursor is not one of this list's.
        """
        if not self.is_searched:
            raise ConfigError("steps are not searched: ORCHEO_HISTORY_SEARCH is off")
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, before_id, before_index = LATEST, LAST_ID, NO_LIMIT
        if cursor is not None:
            before_at, before_id, before_index = decode_cursor(
                "found-steps", cursor, (datetime, str, int)
            )
        rows = await self.q.search_steps(
            search=parse_search(query),
            workflow_id=None if workflow_id is None else as_workflow_text(workflow_id),
            execution_id=None if execution_id is None else as_text_id(execution_id, "execution_id"),
            before_at=before_at,
            before_id=before_id,
            before_index=before_index,
            limit=limit + 1,
        )
        return page_of(
            rows, limit, lambda h: encode_cursor("found-steps", h.at, h.execution_id, h.index)
        )

    async def _header(self, execution: str) -> StoredHistory:
        found = await self.q.get_history(execution_id=execution)
        if found is None:
            raise RunHistoryNotFoundError(execution)
        return found

    async def _with_steps(self, header: StoredHistory, first: int = 0) -> RunHistoryRecord:
        """Add the steps that there were when the header was read: together they are one moment of the execution."""
        count = max(header.step_count - first, 0)
        steps: list[RunHistoryStep] = []
        if count:
            steps = await self.q.list_steps(
                execution_id=header.execution_id, after_index=first - 1, limit=count
            )
        if len(steps) < count:  # it has been deleted between the two statements
            raise RunHistoryNotFoundError(header.execution_id)
        return as_record(header, steps)

    async def _complete(self, headers: Sequence[StoredHistory]) -> list[RunHistoryRecord]:
        """Add the steps of all, as `_with_steps` does for one, in one more statement."""
        steps: dict[str, list[RunHistoryStep]] = {h.execution_id: [] for h in headers}
        if any(header.step_count for header in headers):
            for step in await self.q.list_steps_of_histories(execution_ids=list(steps)):
                steps[step.execution_id].append(
                    RunHistoryStep(index=step.index, at=step.at, payload=step.payload)
                )
        complete = (h for h in headers if len(steps[h.execution_id]) >= h.step_count)
        return [as_record(h, steps[h.execution_id][: h.step_count]) for h in complete]


def as_record(row: StoredHistory, steps: list[RunHistoryStep]) -> RunHistoryRecord:
    """Return the entity that a row and its steps make."""
    return RunHistoryRecord(
        workflow_id=row.workflow_id,
        execution_id=row.execution_id,
        inputs=row.inputs,
        runnable_config=row.runnable_config,
        tags=row.tags,
        callbacks=row.callbacks,
        metadata=row.metadata,
        run_name=row.run_name,
        status=row.status,
        started_at=row.started_at,
        completed_at=row.completed_at,
        error=row.error,
        steps=steps,
        trace_id=row.trace_id,
        trace_started_at=row.trace_started_at,
        trace_completed_at=row.trace_completed_at,
        trace_last_span_at=row.trace_last_span_at,
    )


def as_text_id(value: object, name: str) -> str:
    """Return an id as text; a UUID is accepted too.

    Raises:
        ValidationError: it is neither, empty, too long, or has what a database can't hold.
    """
    text = require_text(str(value) if isinstance(value, UUID) else value, name)
    if not 0 < len(text) <= LONGEST_ID:
        raise ValidationError(f"{name} must have 1 to {LONGEST_ID} characters.")
    return text


def as_workflow_text(value: object) -> str:
    """Return the id of a workflow as text; that of a UUID is written in one way, by which `delete_workflow` finds it.

    Raises:
        ValidationError: as `as_text_id`.
    """
    text = as_text_id(value, "workflow_id")
    return str(UUID(text)) if _UUID.fullmatch(text) else text
