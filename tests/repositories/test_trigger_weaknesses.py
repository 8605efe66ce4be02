"""Weaknesses of the original that no other file about triggers shows to be gone, by the labels of the specification."""

from __future__ import annotations

import datetime as dt
import gc
import itertools
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import (
    Clock,
    Queries,
    lead_to,
    new_run,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import (
    CronMisfirePolicy,
    CronTriggerConfig,
    CronValidationError,
    Database,
    RetryPolicyConfig,
)

if TYPE_CHECKING:
    from orcheo_sql import WorkflowVersion


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


async def scheduled(db: Database, expression: str, **fields: Any) -> WorkflowVersion:
    version = await workflow_with_version(db)
    await db.workflows.configure_cron_trigger(
        version.workflow_id, CronTriggerConfig(expression=expression, **fields)
    )
    return version


async def test_w05_what_fails_is_tried_again_to_the_end(timed: Database, clock: Clock) -> None:
    """With nothing but the operations of the library, each retry linked to what it retries."""
    version = await workflow_with_version(timed)
    policy = RetryPolicyConfig(max_attempts=3, initial_delay_seconds=10, jitter_factor=0)
    await timed.workflows.configure_retry_policy(version.workflow_id, policy)
    run = first = await new_run(timed, version, {"ticket": 7})
    chain = [first.id]
    while True:
        run = await lead_to(timed, run, "failed")
        decision = await timed.workflows.schedule_retry_for_run(run.id)
        if decision is None:
            break
        clock.at = decision.scheduled_for
        [run] = await timed.workflows.dispatch_due_retries()
        assert run.input_payload == {"ticket": 7}
        chain.append(run.id)
    assert len(chain) == 3, "three attempts in all"
    kept = await timed.workflows.list_run_retries(chain[-1])
    assert [(r.failed_run_id, r.run_id) for r in kept] == list(itertools.pairwise(chain))


async def test_w12_memory_does_not_grow_with_runs(db: Database) -> None:
    version = await workflow_with_version(db)
    await db.workflows.configure_retry_policy(version.workflow_id, RetryPolicyConfig())

    async def fail(count: int) -> int:
        for _ in range(count):
            run = await lead_to(db, await new_run(db, version), "failed")
            await db.workflows.schedule_retry_for_run(run.id)
        gc.collect()
        ours = tracemalloc.Filter(inclusive=True, filename_pattern="*orcheo_sql*")
        snapshot = tracemalloc.take_snapshot().filter_traces([ours])
        return sum(each.size for each in snapshot.statistics("filename"))

    tracemalloc.start()
    try:
        # The driver keeps the parameters of the statements that it keeps: these first.
        before = await fail(300)
        # So many that what comes and goes, some ten kilobytes, does not count.
        after = await fail(900)
    finally:
        tracemalloc.stop()
    assert after - before < 900 * 50, "fifty bytes for each run would be something that is kept"


async def test_w13_opening_reads_nothing_that_is_stored(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db:
        version = await scheduled(db, "*/10 * * * *")
        for _ in range(5):
            await lead_to(db, await new_run(db, version), "failed")
            await new_run(db, version)
    queries = Queries()
    async with Database(**settings_of, observer=queries):
        assert queries == []


@pytest.mark.parametrize("look", ["09:00:00", "09:00:37.000123", "09:00:59.999999"])
async def test_w29_an_occurrence_is_the_same_instant_whoever_looks_when(
    db: Database, look: str
) -> None:
    await scheduled(db, "0 9 * * *")
    await db.workflows.dispatch_due_cron_runs(now=at("2025-01-01T08:59:00+00:00"))
    [run] = await db.workflows.dispatch_due_cron_runs(now=at(f"2025-01-01T{look}+00:00"))
    assert run.input_payload["scheduled_for"] == "2025-01-01T09:00:00+00:00"


async def test_w30_a_half_hourly_schedule_goes_on_when_the_clocks_change(db: Database) -> None:
    await scheduled(
        db,
        "*/30 * * * *",
        timezone="America/New_York",
        allow_overlapping=True,
        misfire_policy=CronMisfirePolicy.CATCH_UP,
        max_catch_up=100,
    )
    for day in ("2025-03-09", "2025-11-02"):  # forward, and back
        start = at(f"{day}T04:00:00+00:00")
        await db.workflows.dispatch_due_cron_runs(now=start)
        runs = await db.workflows.dispatch_due_cron_runs(now=start + dt.timedelta(hours=5))
        found = [at(run.input_payload["scheduled_for"]) for run in runs]
        assert found == [start + n * dt.timedelta(minutes=30) for n in range(1, 11)], day


@pytest.mark.parametrize("expression", ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6,9,11 *"])
async def test_w31_what_never_fires_is_refused(db: Database, expression: str) -> None:
    workflow = await new_workflow(db)
    with pytest.raises(CronValidationError):
        await db.workflows.configure_cron_trigger(
            workflow.id, CronTriggerConfig(expression=expression)
        )
    assert (await db.workflows.page_cron_schedules()).items == []


async def test_w36_no_delay_is_longer_than_the_cap(db: Database) -> None:
    version = await workflow_with_version(db)
    policy = RetryPolicyConfig(
        max_attempts=10, initial_delay_seconds=300, max_delay_seconds=300, jitter_factor=1.0
    )
    await db.workflows.configure_retry_policy(version.workflow_id, policy)
    for _ in range(20):
        run = await lead_to(db, await new_run(db, version), "failed")
        decision = await db.workflows.schedule_retry_for_run(run.id)
        assert decision is not None
        assert 0 <= decision.delay_seconds <= 300
