"""Training checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql._filters import JsonFilter

from ..data import CONFIG, FEW, around
from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data

LONG_TRAINING = 200
ACCURATE = JsonFilter(where=[("accuracy", ">=", 0.9)])


async def one_workflow(data: Data, count: int) -> Sequence[str]:
    return [str((await data.new_workflow()).id)] * count


async def half_way_down(data: Data, count: int) -> Sequence[tuple[str, str | None]]:
    """Return a workflow that was trained for long, and a cursor in the middle of its checkpoints."""
    workflow = (await data.new_checkpoints(LONG_TRAINING))[0].workflow_id
    page = await data.db.agentensor.page_checkpoints(workflow, limit=LONG_TRAINING // 2)
    return [(workflow, page.next_cursor)] * count


async def some_of_one_workflow(data: Data, count: int) -> Sequence[str]:
    return around([each.id for each in await data.new_checkpoints(FEW)], count)


OPERATIONS = (
    Operation(
        "agentensor.record_checkpoint",
        one_workflow,
        lambda db, w: db.agentensor.record_checkpoint(
            workflow_id=w, runnable_config=CONFIG, metrics={"accuracy": 0.5}, is_best=True
        ),
        writes=True,
    ),
    Operation(
        "agentensor.mark_best_checkpoint",
        some_of_one_workflow,
        lambda db, c: db.agentensor.mark_best_checkpoint(c),
        writes=True,
    ),
    Operation(
        "agentensor.get_checkpoint",
        lambda data, count: data.checkpoints(count),
        lambda db, c: db.agentensor.get_checkpoint(c),
    ),
    Operation(
        "agentensor.best_checkpoint",
        lambda data, count: data.trained_workflows(count),
        lambda db, w: db.agentensor.best_checkpoint(w),
    ),
    Operation(
        "agentensor.page_checkpoints, 50",
        lambda data, count: data.trained_workflows(count),
        lambda db, w: db.agentensor.page_checkpoints(w, limit=50),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "agentensor.page_checkpoints, deep",
        half_way_down,
        lambda db, given: db.agentensor.page_checkpoints(given[0], limit=50, cursor=given[1]),
        LIST_LIMIT,
        typed=True,
    ),
    Operation(
        "agentensor.page_checkpoints, JSON filter",
        lambda data, count: data.trained_workflows(count),
        lambda db, w: db.agentensor.page_checkpoints(w, metrics_filter=ACCURATE, limit=50),
        LIST_LIMIT,
        typed=True,
    ),
)
