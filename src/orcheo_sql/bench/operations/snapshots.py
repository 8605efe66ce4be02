"""Run snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..data import STATE
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data


async def new_ids(data: Data, count: int) -> Sequence[str]:
    return data.new_snapshot_ids(count)


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
        "snapshots.page_runs, 50",
        lambda data, count: data.snapshots(count),
        lambda db, _: db.snapshots.page_runs(limit=50),
        LIST_LIMIT,
    ),
)
