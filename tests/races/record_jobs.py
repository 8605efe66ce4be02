"""What the processes of a crew do to training checkpoints and run snapshots at the same instant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.races.crew import Member


async def record_checkpoints(member: Member, workflow: str, count: int) -> list[int]:
    """Record from several tasks at once, each the best, and return the numbers."""

    async def record() -> int:
        made = await member.db.agentensor.record_checkpoint(
            workflow_id=workflow, runnable_config={}, metrics={"by": member.number}, is_best=True
        )
        return made.config_version

    return await asyncio.gather(*(record() for _ in range(count)))


async def mark_and_prune(member: Member, workflow: str, checkpoints: list[str]) -> list[str]:
    """Mark one after the other as the best while others prune; return what became of it."""
    outcomes = []
    for checkpoint in checkpoints[member.number :] + checkpoints[: member.number]:
        if member.number % 2:
            await member.db.agentensor.prune_checkpoints(workflow, keep_last=3, limit=2)
        try:
            await member.db.agentensor.mark_best_checkpoint(checkpoint)
            outcomes.append("ok")
        except RuntimeError as error:
            outcomes.append(type(error).__name__)
    return outcomes


async def save_snapshots(member: Member, run: str, rounds: int) -> None:
    """Save, restate and delete the same run as all others."""
    for number in range(rounds):
        word = f"by{member.number}n{number}"
        await member.db.snapshots.save_run_state(run, {"word": word, "objective": word}, word)
        await member.db.snapshots.update_run_status(run, "complete")
        if member.number == 0 and number % 5 == 3:
            await member.db.snapshots.delete_run(run)
