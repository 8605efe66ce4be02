"""Run snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orcheo_sql._database import Database

STATE = {
    "objective": "Refactor the billing module",
    "tasks": {f"t{n}": {"status": "planned", "title": f"Task {n}"} for n in range(10)},
    "notes": ["A line of what was found out so far."] * 20,
}


async def new_ids(_db: Database, count: int) -> Sequence[str]:
    return [uuid4().hex for _ in range(count)]


async def saved(db: Database, count: int) -> Sequence[str]:
    runs = await new_ids(db, 60)
    for run in runs:
        await db.snapshots.save_run_state(run, STATE)
    return [runs[n % 60] for n in range(count)]


OPERATIONS = (
    Operation(
        "snapshots.save_run_state", new_ids, lambda db, r: db.snapshots.save_run_state(r, STATE)
    ),
    Operation("snapshots.load_run_state", saved, lambda db, r: db.snapshots.load_run_state(r)),
    Operation(
        "snapshots.page_runs, 50", saved, lambda db, _: db.snapshots.page_runs(limit=50), LIST_LIMIT
    ),
)
