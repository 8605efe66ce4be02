"""What the processes of a crew do to run histories at the same instant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from tests.races.crew import attempt

from orcheo_sql import RunHistoryNotFoundError

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from tests.races.crew import Member


async def start(member: Member, executions: list[str]) -> list[str]:
    """Begin each history, as everybody else does."""
    outcomes = []
    for execution in executions:
        member.meet()
        started = member.db.history.start_run(
            workflow_id="w", execution_id=execution, inputs={"by": member.number}
        )
        outcomes.append(await attempt(started))
    return outcomes


async def append(member: Member, execution: str, count: int) -> list[tuple[int, int]]:
    """Append steps from several tasks at once, and return their indexes with what was in them."""

    async def one(number: int) -> tuple[int, int]:
        content = member.number * count + number
        step = await member.db.history.append_step(execution, {"content": content})
        return step.index, content

    return await asyncio.gather(*(one(number) for number in range(count)))


async def end(member: Member, executions: list[str]) -> list[str]:
    """End each execution, every member in its own way, while others append to it."""
    outcomes = []
    history = member.db.history
    for execution in executions:
        ways: list[Any] = [
            lambda e=execution: history.finish_run(e, status="completed", payload={"last": member.number}),
            lambda e=execution: history.finish_run(e, status="error", payload={"last": member.number}),
            lambda e=execution: history.mark_cancelled(e, reason=str(member.number)),
            lambda e=execution: history.append_step(e, {"by": member.number}),
        ]  # fmt: skip
        member.meet()
        outcomes.append(await attempt(ways[member.number % 4]()))
    return outcomes


async def prune(member: Member, before: datetime, limit: int) -> int:
    """Delete what has ended as docs/history.md says: until a batch is not full; return how many went."""
    gone = 0
    while True:
        pruned = await member.db.history.prune_histories(finished_before=before, limit=limit)
        gone += pruned
        if pruned < limit:
            return gone


async def prune_or_delete(member: Member, workflow_id: UUID, before: datetime) -> str:
    """One deletes the workflow, one its histories, the others prune."""
    if member.number == 0:
        return await attempt(member.db.workflows.delete_workflow(workflow_id))
    if member.number == 1:
        return await attempt(member.db.history.delete_histories_of_workflow(workflow_id))
    return await attempt(prune(member, before, 200))


async def append_or_delete(member: Member, rounds: int) -> int:
    """Even members append to a history and read it, the others delete it and begin it anew; return how often it was gone."""
    history = member.db.history
    gone = 0
    for _ in range(rounds):
        if member.number % 2:
            await history.delete_histories_of_workflow("w")
            await attempt(history.start_run(workflow_id="w", execution_id="e"))
            continue
        try:
            await history.append_step("e", {})
            found = await history.get_history("e")
        except RunHistoryNotFoundError:
            gone += 1
        else:
            assert [step.index for step in found.steps] == list(range(len(found.steps)))
    return gone
