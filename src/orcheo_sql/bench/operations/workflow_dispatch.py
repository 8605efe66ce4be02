"""Dispatch by the clock: retries and schedules that are due, and the polling when none is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orcheo_sql._documents import encode_record
from orcheo_sql._search import search_text
from orcheo_sql.repositories.base import EARLIEST, LOWEST_ID, audit_event
from orcheo_sql.structs import CronTriggerConfig

from ..measure import Operation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from uuid import UUID

    from orcheo_sql import Database
    from orcheo_sql.structs import DueRetry, DueSchedule, WorkflowRun

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


async def due_schedules(data: Data, count: int) -> Sequence[DueSchedule]:
    """Return schedules that are due one after the other, an hour apart, and each only once."""
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
    return await data.db.workflows.q.list_due_schedules(
        now=times[-1], after_at=EARLIEST, after_created=EARLIEST, after_id=LOWEST_ID, limit=count
    )


async def nothing(_data: Data, count: int) -> Sequence[None]:
    return [None] * count


def scheduled(db: Database, run: UUID) -> Awaitable[Any]:
    # Not due before this database is gone: the others find what they have made.
    return db.workflows.schedule_retry_for_run(run, failed_at=db.now() + 24 * HOUR)


def tried_again(db: Database, due: DueRetry) -> Awaitable[WorkflowRun | None]:
    """Send the second statement of two."""
    return db.workflows._dispatch_retry(due)  # noqa: SLF001


def fired(db: Database, due: DueSchedule) -> Awaitable[WorkflowRun | None]:
    """Send the second statement of two."""
    assert due.next_fire_at is not None
    payload = {"scheduled_for": due.next_fire_at.isoformat(), "timezone": "UTC"}
    now = db.now()
    return db.workflows.q.fire_schedule(
        id=uuid4(),
        workflow_id=due.workflow_id,
        schedule_id=due.schedule_id,
        revision=due.revision,
        scheduled_for=due.next_fire_at,
        next_fire_at=None,
        input_payload=encode_record(payload),
        now=now,
        event=audit_event("cron", "run_created", now),
        search_text=search_text("cron", payload),
    )


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
    # Both are only reported: they send two statements and are beside the second one, because what the first one finds
    # depends on who was here before.
    Operation(
        "workflows.dispatch_due_retries",
        due_retries,
        lambda db, _: db.workflows.dispatch_due_retries(limit=1),
        limit=None,
        raw_call=tried_again,
        writes=True,
        takes_from_others=True,
    ),
    Operation(
        "workflows.dispatch_due_cron_runs, none due",
        nothing,
        lambda db, _: db.workflows.dispatch_due_cron_runs(),
        takes_from_others=True,
    ),
    Operation(
        "workflows.dispatch_due_cron_runs",
        due_schedules,
        lambda db, due: db.workflows.dispatch_due_cron_runs(now=due.next_fire_at),
        limit=None,
        raw_call=fired,
        writes=True,
        takes_from_others=True,
    ),
)
