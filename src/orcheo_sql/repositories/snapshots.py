"""Snapshots of an orchestrator's runs, to list, inspect and resume them."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .._documents import clean_text
from .._errors import ValidationError
from .._filters import as_filter
from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from .._search import parse_search, search_text
from ..rules import require_text
from ..rules.snapshots import put_together, take_apart
from ..structs import SavedRun
from .base import DEFAULT_PAGE, LARGEST_PAGE, LATEST, NO_LIMIT, Repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._filters import JsonFilter
    from .._query_types import Snapshots
    from ..structs import RunSnapshot, RunSummary

    Filter = JsonFilter | Mapping[str, Any]

logger = logging.getLogger("orcheo_sql.snapshots")

# Both are in one index, and PostgreSQL's hold 2,700 bytes.
LONGEST_RUN_ID = 255
LONGEST_STATUS = 128


class RunSnapshotRepository(Repository):
    """Snapshots of an orchestrator's runs. SQL: ``sql/<dialect>/queries/snapshots/``."""

    q: Snapshots

    async def save_run_state(
        self, run_id: str, state: Mapping[str, Any], status: str = "running"
    ) -> SavedRun:
        """Save the state of a run, new or in place of the last one; its time of creation stays.

        Keys that begin with an underscore and `orch_config` are not stored, but for `_workspace_path`, which is. Values
        without a JSON form are left out, named in a warning, and returned.

        Args:
            run_id: 1 to 255 characters.
            state: its `run_id` becomes the thread's id; `objective`, `tasks`, `tags` and `created_at` the summary.
            status: any text of up to 128 characters.

        Raises:
            ValidationError: the id or the status is not text, or too long; or the state is not a mapping.
        """
        run_id = _run_id(run_id)
        status = _status(status)
        parts = take_apart(run_id, state)
        now = self._now()
        if parts.dropped:
            logger.warning(
                "state of run %s: not stored, because it has no JSON form: %s",
                run_id, ", ".join(parts.dropped),
            )  # fmt: skip
        summary = await self.q.save_snapshot(
            run_id=run_id,
            thread_id=parts.thread_id,
            objective=parts.objective,
            status=status,
            workspace_path=parts.workspace_path,
            task_counts=parts.task_counts,
            tags=parts.tags,
            created_at=parts.created_at or now,
            now=now,
            state=parts.state,
            search_text=search_text(parts.objective),
        )
        assert summary is not None
        return SavedRun(summary=summary, dropped=parts.dropped)

    async def load_run_state(self, run_id: str) -> dict[str, Any] | None:
        """Return the last state of a run, with `_workspace_path` if it had one; None when there is no such run."""
        found = await self.q.get_snapshot(run_id=_run_id(run_id))
        return None if found is None else put_together(found.state, found.workspace_path)

    async def load_run_snapshot(self, run_id: str) -> RunSnapshot | None:
        """Return the summary of a run with its state as it is stored; None when there is no such run."""
        return await self.q.get_snapshot(run_id=_run_id(run_id))

    async def load_run_summary(self, run_id: str) -> RunSummary | None:
        """Return the summary of a run; None when there is no such run."""
        return await self.q.get_summary(run_id=_run_id(run_id))

    async def list_all_runs(self) -> list[RunSummary]:
        """Return the summaries of all runs, newest first, equal times by id."""
        return await self.q.list_summaries(before_at=LATEST, after_id="", limit=NO_LIMIT)

    async def page_runs(
        self,
        *,
        status: str | None = None,
        state_filter: Filter | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[RunSummary]:
        """Return up to `limit` (at most 1000) summaries, newest first, that meet every condition given.

        Args:
            status: with exactly this status.
            state_filter: a `JsonFilter` on the state, or a mapping that it must contain. It has no index: states are
                looked at one by one, newest first.
            limit: at most 1000.
            cursor: `next_cursor` of the page before, with the same conditions.

        Raises:
            InvalidCursorError: the cursor is not one of this list's.
            JsonFilterError: the filter is malformed.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, after_id = _position("snapshots", cursor)
        wanted = None if status is None else _status(status)
        if state_filter is not None:
            contains, conditions = as_filter(state_filter).to_parameters()
            rows = await self.q.list_summaries_by_state(
                contains=contains,
                conditions=conditions,
                status=wanted,
                before_at=before_at,
                after_id=after_id,
                limit=limit + 1,
            )
        elif wanted is not None:
            rows = await self.q.list_summaries_by_status(
                status=wanted, before_at=before_at, after_id=after_id, limit=limit + 1
            )
        else:
            rows = await self.q.list_summaries(
                before_at=before_at, after_id=after_id, limit=limit + 1
            )
        return page_of(rows, limit, lambda r: encode_cursor("snapshots", r.created_at, r.run_id))

    async def search_runs(
        self, query: str, *, limit: int = DEFAULT_PAGE, cursor: str | None = None
    ) -> Page[RunSummary]:
        """Find runs by the words of their objective, newest first; docs/search.md tells what may be typed.

        Raises:
            SearchQueryError: nothing to look for.
            InvalidCursorError: the cursor is not one of this search's.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, after_id = _position("found-snapshots", cursor)
        rows = await self.q.search_summaries(
            search=parse_search(query), before_at=before_at, after_id=after_id, limit=limit + 1
        )
        return page_of(
            rows, limit, lambda r: encode_cursor("found-snapshots", r.created_at, r.run_id)
        )

    async def update_run_status(self, run_id: str, status: str) -> bool:
        """Set the status of a run, and say whether there is such a run."""
        changed = await self.q.update_status(
            run_id=_run_id(run_id), status=_status(status), now=self._now()
        )
        return changed > 0

    async def delete_run(self, run_id: str) -> bool:
        """Delete a run with its state, and say whether there was such a run."""
        return await self.q.delete_snapshot(run_id=_run_id(run_id)) > 0


def _run_id(value: object) -> str:
    text = require_text(value, "run_id")
    if not 0 < len(text) <= LONGEST_RUN_ID:
        raise ValidationError(f"run_id must have 1 to {LONGEST_RUN_ID} characters.")
    return text


def _status(value: object) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"status must be text, not {type(value).__name__}.")
    text = clean_text(value)
    if len(text) > LONGEST_STATUS:
        raise ValidationError(f"status must be at most {LONGEST_STATUS} characters long.")
    return text


def _position(kind: str, cursor: str | None) -> tuple[datetime, str]:
    if cursor is None:
        return LATEST, ""
    at, run_id = decode_cursor(kind, cursor, (datetime, str))
    return at, run_id
