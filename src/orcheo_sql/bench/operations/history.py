"""Run history."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING
from uuid import uuid4

from ..data import FEW, MORE_THAN_A_PAGE, PAYLOAD, STEP
from ..measure import DOCUMENTS_LIMIT, LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orcheo_sql import Database
    from orcheo_sql.repositories.history import HistoryRepository

    from ..data import Data

REDACTED_LIMIT = {"postgres": 1.5, "sqlite": 2.0}
"""Before they are sent, four documents are searched for secrets, value by value."""
LONG_EXECUTION = 200
MANY_EXECUTIONS = 120


async def one_execution(data: Data, count: int) -> Sequence[str]:
    return (await data.new_executions(1)) * count


async def fifty_steps(data: Data, count: int) -> Sequence[str]:
    [execution] = await data.new_executions(1)
    for _ in range(MORE_THAN_A_PAGE):
        await data.db.history.append_step(execution, STEP)
    return [execution] * count


async def a_long_one(data: Data, count: int) -> Sequence[str]:
    [execution] = await data.new_executions(1)
    for _ in range(LONG_EXECUTION):
        await data.db.history.append_step(execution, STEP)
    return [execution] * count


async def half_way_down(data: Data, count: int) -> Sequence[tuple[str, str | None]]:
    """Return a workflow with many histories, and a cursor in the middle of them."""
    [execution, *_] = await data.new_executions(MANY_EXECUTIONS)
    workflow = (await data.db.history.get_history(execution)).workflow_id
    page = await data.db.history.page_histories(workflow, limit=MANY_EXECUTIONS // 2)
    return [(workflow, page.next_cursor)] * count


async def new_ids(data: Data, count: int) -> Sequence[tuple[str, str]]:
    """Return a workflow, and ids of executions that it has not begun."""
    workflow = str((await data.new_workflow()).id)
    return [(workflow, uuid4().hex) for _ in range(count)]


async def running_ones(data: Data, count: int) -> Sequence[str]:
    return await data.new_executions(count)


async def rare_word(data: Data, count: int) -> Sequence[str]:
    """Return a word that one step is found by."""
    word = f"rare{uuid4().hex[:12]}"
    history = searched(data.db)
    for execution in await data.new_executions(FEW):
        for _ in range(5):
            await history.append_step(execution, STEP)
    await history.append_step(execution, {**STEP, "text": f"The order {word} was sent."})
    return [word] * count


def searched(db: Database) -> HistoryRepository:
    """Return the repository of a database where `ORCHEO_HISTORY_SEARCH` is on."""
    history = copy(db.history)
    history.is_searched = True
    return history


OPERATIONS = (
    Operation(
        "history.start_run",
        new_ids,
        lambda db, given: db.history.start_run(
            workflow_id=given[0], execution_id=given[1], inputs=PAYLOAD, run_name="Bench"
        ),
        REDACTED_LIMIT,
        writes=True,
    ),
    Operation(
        "history.append_step",
        one_execution,
        lambda db, e: db.history.append_step(e, STEP),
        writes=True,
    ),
    Operation(
        "history.append_step, searched",
        one_execution,
        lambda db, e: searched(db).append_step(e, STEP),
        writes=True,
    ),
    Operation(
        "history.finish_run",
        running_ones,
        lambda db, e: db.history.finish_run(e, status="completed", payload=STEP),
        writes=True,
    ),
    # Of an execution without steps, so that it is one statement: those of another come with a second one.
    Operation(
        "history.mark_completed",
        running_ones,
        lambda db, e: db.history.mark_completed(e),
        writes=True,
    ),
    Operation(
        "history.get_history, 10 steps",
        lambda data, count: data.executions(count),
        lambda db, e: db.history.get_history(e),
        whole=True,
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
        "history.list_steps, deep",
        a_long_one,
        lambda db, e: db.history.list_steps(e, after_index=LONG_EXECUTION // 2, limit=50),
        LIST_LIMIT,
    ),
    Operation(
        "history.page_histories, 50",
        lambda data, count: data.workflows_with_histories(count),
        lambda db, w: db.history.page_histories(w, limit=50),
        DOCUMENTS_LIMIT,
    ),
    Operation(
        "history.page_histories, deep",
        half_way_down,
        lambda db, given: db.history.page_histories(given[0], limit=50, cursor=given[1]),
        DOCUMENTS_LIMIT,
    ),
    Operation(
        "history.search_steps",
        rare_word,
        lambda db, word: searched(db).search_steps(word, limit=50),
    ),
)
