"""Run history."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orcheo_sql._database import Database

STEP = {"node": "answer", "text": "The order was sent on Monday and will arrive tomorrow.", "n": 1}


async def one_execution(db: Database, count: int) -> Sequence[str]:
    execution = uuid4().hex
    await db.history.start_run(workflow_id="bench", execution_id=execution, inputs={"order": 4711})
    return [execution] * count


async def fifty_steps(db: Database, count: int) -> Sequence[str]:
    [execution] = await one_execution(db, 1)
    for _ in range(60):
        await db.history.append_step(execution, STEP)
    return [execution] * count


async def fifty_histories(db: Database, count: int) -> Sequence[str]:
    workflow = uuid4().hex
    for number in range(60):
        await db.history.start_run(workflow_id=workflow, execution_id=f"{workflow} {number}")
    return [workflow] * count


OPERATIONS = (
    Operation("history.append_step", one_execution, lambda db, e: db.history.append_step(e, STEP)),
    Operation(
        "history.list_steps, 50",
        fifty_steps,
        lambda db, e: db.history.list_steps(e, limit=50),
        LIST_LIMIT,
    ),
    Operation(
        "history.page_histories, 50",
        fifty_histories,
        lambda db, w: db.history.page_histories(w, limit=50),
        LIST_LIMIT,
    ),
)
