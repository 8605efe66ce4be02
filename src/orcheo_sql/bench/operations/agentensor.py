"""Training checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orcheo_sql._database import Database

CONFIG = {"tags": ["bench"], "prompts": {"answer": "Answer in one sentence."}}


async def one_workflow(_db: Database, count: int) -> Sequence[str]:
    return [uuid4().hex] * count


async def fifty_checkpoints(db: Database, count: int) -> Sequence[str]:
    [workflow] = await one_workflow(db, 1)
    for number in range(60):
        await db.agentensor.record_checkpoint(
            workflow_id=workflow,
            runnable_config=CONFIG,
            metrics={"accuracy": number / 60},
            is_best=number == 30,
        )
    return [workflow] * count


OPERATIONS = (
    Operation(
        "agentensor.record_checkpoint",
        one_workflow,
        lambda db, w: db.agentensor.record_checkpoint(
            workflow_id=w, runnable_config=CONFIG, metrics={"accuracy": 0.5}, is_best=True
        ),
    ),
    Operation(
        "agentensor.best_checkpoint",
        fifty_checkpoints,
        lambda db, w: db.agentensor.best_checkpoint(w),
    ),
    Operation(
        "agentensor.page_checkpoints, 50",
        fifty_checkpoints,
        lambda db, w: db.agentensor.page_checkpoints(w, limit=50),
        LIST_LIMIT,
    ),
)
