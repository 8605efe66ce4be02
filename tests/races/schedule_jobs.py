"""What the processes of a crew do to schedules and retries at the same instant."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.races.jobs import change

from orcheo_sql import CronTriggerConfig, CronTriggerNotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from tests.races.crew import Member

CONFIGS = [CronTriggerConfig(expression=f"*/{minutes} * * * *") for minutes in (5, 6)]


async def turn_about(member: Member, workflows: list[UUID], steps: int) -> Counter[str]:
    """Configure, pause, resume, delete, archive, un-archive and dispatch in any order; count what failed."""
    own, chance = member.db.workflows, random.Random(member.number)
    operations: dict[str, Callable[[UUID], Awaitable[Any]]] = {
        "configure": lambda w: own.configure_cron_trigger(w, chance.choice(CONFIGS)),
        "pause": lambda w: own.pause_cron_trigger(w, actor="racer"),
        "resume": lambda w: own.resume_cron_trigger(w, actor="racer"),
        "archive": lambda w: own.archive_workflow(w, actor="racer"),
        "unarchive": lambda w: change(member.db, w, is_archived=False),
        "delete": own.delete_cron_trigger,
        "dispatch": lambda _: own.dispatch_due_cron_runs(),
    }
    failed: Counter[str] = Counter()
    for _ in range(steps):
        [name] = chance.choices(list(operations), [4, 4, 4, 4, 4, 1, 2])
        try:
            await operations[name](chance.choice(workflows))
        except CronTriggerNotFoundError:
            pass
        except Exception as error:
            failed[f"{name}: {type(error).__name__}"] += 1
    return failed


async def decide_or_dispatch(member: Member, failed: list[tuple[UUID, datetime]]) -> list[UUID]:
    """Half of the processes ask once more about a failed run while the others dispatch its retry, which is due."""
    made = []
    for run, at in failed:
        member.meet()
        if member.number % 2:
            await member.db.workflows.schedule_retry_for_run(run, failed_at=at)
        else:
            made += await member.db.workflows.dispatch_due_retries(now=at)
    return [run.id for run in made]
