"""Training checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql._filters import JsonFilter

from ..data import CONFIG
from ..measure import DOCUMENTS_LIMIT, SCATTERED, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data

ACCURATE = JsonFilter(where=[("accuracy", ">=", 0.9)])


async def one_workflow(data: Data, count: int) -> Sequence[str]:
    return [str((await data.new_workflow()).id)] * count


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
        "agentensor.best_checkpoint",
        lambda data, count: data.trained_workflows(count),
        lambda db, w: db.agentensor.best_checkpoint(w),
    ),
    Operation(
        "agentensor.page_checkpoints, 50",
        lambda data, count: data.trained_workflows(count),
        lambda db, w: db.agentensor.page_checkpoints(w, limit=50),
        DOCUMENTS_LIMIT,
        growth=SCATTERED,
    ),
    Operation(
        "agentensor.page_checkpoints, JSON filter",
        lambda data, count: data.trained_workflows(count),
        lambda db, w: db.agentensor.page_checkpoints(w, metrics_filter=ACCURATE, limit=50),
        DOCUMENTS_LIMIT,
        growth=SCATTERED,
    ),
)
