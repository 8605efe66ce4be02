"""Run history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..data import MORE_THAN_A_PAGE, STEP
from ..measure import DOCUMENTS_LIMIT, LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..data import Data


async def one_execution(data: Data, count: int) -> Sequence[str]:
    return (await data.new_executions(1)) * count


async def fifty_steps(data: Data, count: int) -> Sequence[str]:
    [execution] = await data.new_executions(1)
    for _ in range(MORE_THAN_A_PAGE):
        await data.db.history.append_step(execution, STEP)
    return [execution] * count


OPERATIONS = (
    Operation(
        "history.append_step",
        one_execution,
        lambda db, e: db.history.append_step(e, STEP),
        writes=True,
    ),
    Operation(
        "history.list_steps, 10",
        lambda data, count: data.executions(count),
        lambda db, e: db.history.list_steps(e, limit=10),
    ),
    Operation(
        "history.list_steps, 50",
        fifty_steps,
        lambda db, e: db.history.list_steps(e, limit=50),
        LIST_LIMIT,
    ),
    Operation(
        "history.page_histories, 50",
        lambda data, count: data.workflows_with_histories(count),
        lambda db, w: db.history.page_histories(w, limit=50),
        DOCUMENTS_LIMIT,
    ),
)
