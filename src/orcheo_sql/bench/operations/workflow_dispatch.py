"""Dispatch by the clock: retries and schedules that are due, and the polling when none is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orcheo_sql.repositories.base import EARLIEST, LOWEST_ID
from orcheo_sql.structs import CronTriggerConfig

from ..measure import Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from uuid import UUID

    from orcheo_sql import Database
    from orcheo_sql.structs import DueRetry, WorkflowRun

    from ..data import Data

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
"""Longer than the delay of the default policy, and as long as a schedule that fires every hour takes to fire again."""


async def failed_runs(data: Data, count: int) -> Sequence[UUID]:
    version = await data.new_version()
    runs = [(await data.new_run(version)).id for _ in range(count)]
    for run in runs:
        await data.db.workflows.mark_run_failed(run, actor="bench", error="It timed out")
    return runs


async def due_retries(data: Data, count: int) -> Sequence[DueRetry]:
    """Return retries that are due one after the other: each call dispatches the first that is left."""
    for n, run in enumerate(await failed_runs(data, count)):
        await data.db.workflows.schedule_retry_for_run(run, failed_at=LONG_AGO + n * HOUR)
    return await data.db.workflows.q.list_due_retries(
        now=data.db.now(), after_at=EARLIEST, after_id=LOWEST_ID, after_number=0, limit=count
    )


async def due_schedules(data: Data, count: int) -> Sequence[datetime]:
    """Return the times at which one schedule after the other is due, and each only once."""
    first = data.db.now().replace(minute=0, second=0, microsecond=0) + 24 * HOUR
    times = [first + n * HOUR for n in range(count)]
    for at in times:
        version = await data.new_version()
        await data.db.workflows.configure_cron_trigger(
            version.workflow_id,
            CronTriggerConfig(expression="0 * * * *", start_at=at, end_at=at + HOUR / 2),
        )
    # Each is looked at once before it is known when it is due.
    await data.db.workflows.dispatch_due_cron_runs()
    return times


async def nothing(_data: Data, count: int) -> Sequence[None]:
    return [None] * count


def scheduled(db: Database, run: UUID) -> Awaitable[Any]:
    # Not due before this database is gone: the others find what they have made.
    return db.workflows.schedule_retry_for_run(run, failed_at=db.now() + 24 * HOUR)


def dispatched(db: Database, due: DueRetry) -> Awaitable[WorkflowRun | None]:
    return db.workflows._dispatch_retry(due)  # noqa: SLF001 - the second statement of two


OPERATIONS = (
    Operation(
        "workflows.schedule_retry_for_run",
        failed_runs,
        scheduled,
        whole=True,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.dispatch_due_retries, none due",
        nothing,
        lambda db, _: db.workflows.dispatch_due_retries(),
        takes_from_others=True,
    ),
    # Only reported: two statements, beside the second one. What the first one finds depends on who was here before.
    Operation(
        "workflows.dispatch_due_retries",
        due_retries,
        lambda db, _: db.workflows.dispatch_due_retries(limit=1),
        limit=None,
        raw_call=dispatched,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.dispatch_due_cron_runs, none due",
        nothing,
        lambda db, _: db.workflows.dispatch_due_cron_runs(),
        takes_from_others=True,
    ),
    # Only reported: two statements and the schedule's arithmetic, beside a look that finds nothing.
    Operation(
        "workflows.dispatch_due_cron_runs",
        due_schedules,
        lambda db, at: db.workflows.dispatch_due_cron_runs(now=at),
        limit=None,
        raw_call=lambda db, _: db.workflows.dispatch_due_cron_runs(),
        writes=True,
        takes_from_others=True,
    ),
)
