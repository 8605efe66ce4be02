"""Run snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from orcheo_sql._filters import JsonFilter

from ..data import MORE_THAN_A_PAGE, STATE, around
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data

REFACTORING = JsonFilter(contains={"objective": STATE["objective"]})
MOST_CHANGED = 100
STEP_DOWN = 25
MOST_STEPS_DOWN = 800


async def new_ids(data: Data, count: int) -> Sequence[str]:
    return data.new_snapshot_ids(count)


async def fresh_snapshots(data: Data, count: int) -> Sequence[str]:
    """Return snapshots whose status may be changed; a hundred do, for it changes back and forth."""
    runs = data.new_snapshot_ids(min(count, MOST_CHANGED))
    for run in runs:
        await data.db.snapshots.save_run_state(run, STATE)
    return around(runs, count)


async def deep_cursor(data: Data, count: int) -> Sequence[str]:
    """Return a cursor in the middle of all snapshots, or of the newest twenty thousand."""
    await data.snapshots(1)
    await fresh_snapshots(data, MORE_THAN_A_PAGE)
    cursors: list[str] = []
    cursor: str | None = None
    while len(cursors) < MOST_STEPS_DOWN:
        cursor = (await data.db.snapshots.page_runs(limit=STEP_DOWN, cursor=cursor)).next_cursor
        if cursor is None:
            break
        cursors.append(cursor)
    return [cursors[len(cursors) // 2]] * count


async def rare_word(data: Data, count: int) -> Sequence[str]:
    """Return a word that one run is found by."""
    word = f"rare{uuid4().hex[:12]}"
    [run] = data.new_snapshot_ids(1)
    await data.db.snapshots.save_run_state(run, {**STATE, "objective": f"Refactor {word}"})
    return [word] * count


async def newest(data: Data, count: int) -> Sequence[None]:
    """Make more than a page that meets the filter: no index finds the rare, but whoever lists looks for what is new."""
    await fresh_snapshots(data, MORE_THAN_A_PAGE)
    return [None] * count


OPERATIONS = (
    Operation(
        "snapshots.save_run_state",
        new_ids,
        lambda db, r: db.snapshots.save_run_state(r, STATE),
        writes=True,
    ),
    Operation(
        "snapshots.load_run_state",
        lambda data, count: data.snapshots(count),
        lambda db, r: db.snapshots.load_run_state(r),
    ),
    Operation(
        "snapshots.load_run_summary",
        lambda data, count: data.snapshots(count),
        lambda db, r: db.snapshots.load_run_summary(r),
    ),
    Operation(
        "snapshots.update_run_status",
        fresh_snapshots,
        lambda db, r: db.snapshots.update_run_status(r, "complete"),
        writes=True,
    ),
    Operation(
        "snapshots.page_runs, 50",
        lambda data, count: data.snapshots(count),
        lambda db, _: db.snapshots.page_runs(limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "snapshots.page_runs, status",
        newest,
        lambda db, _: db.snapshots.page_runs(status="running", limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "snapshots.page_runs, deep",
        deep_cursor,
        lambda db, c: db.snapshots.page_runs(limit=50, cursor=c),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "snapshots.page_runs, JSON filter",
        newest,
        lambda db, _: db.snapshots.page_runs(state_filter=REFACTORING, limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "snapshots.search_runs",
        rare_word,
        lambda db, word: db.snapshots.search_runs(word, limit=50),
    ),
)
