"""Schedules and retries that several processes change, archive and dispatch at the same time."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.races.jobs import change, new_workflow
from tests.repositories.factories import lead_to, new_run, new_version, workflow_with_version

from orcheo_sql import CronTriggerConfig, Database, RetryPolicyConfig

if TYPE_CHECKING:
    from tests.races.crew import Crew

STEPS = 250
FAILED = 120
START = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
PATIENT = RetryPolicyConfig(
    max_attempts=100, initial_delay_seconds=0, backoff_factor=1, jitter_factor=0
)
CONFIG = CronTriggerConfig(expression="0 12 * * *")


async def test_schedules_and_archiving_wait_for_each_other_in_one_order(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    """They deadlocked on PostgreSQL: one locked the schedule first, the other one the workflow."""
    async with Database(**settings_of) as db:
        workflows = [(await new_workflow(db, "Flow")).id for _ in range(2)]
        for workflow in workflows:
            await new_version(db, workflow)
        failed = await asyncio.to_thread(
            crew.run, settings_of, "schedule_jobs.turn_about", workflows, STEPS
        )
        assert sum(failed, Counter()) == {}
        for workflow in workflows:
            await db.workflows.configure_cron_trigger(workflow, CONFIG)
            is_archived = (await db.workflows.get_workflow(workflow)).is_archived
            state = (await db.workflows.get_cron_schedule(workflow)).state
            assert (state == "suspended") is is_archived


@pytest.mark.parametrize("archives", [False, True])
@pytest.mark.parametrize("dialect", ["postgres"], indirect=True)
async def test_a_schedule_knows_of_an_archiving_that_was_under_way(
    settings_of: dict[str, Any], archives: bool
) -> None:
    """Made meanwhile, it was suspended for good in an active workflow, or active in an archived one."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        version = await workflow_with_version(db)
        workflow = version.workflow_id
        if not archives:
            await db.workflows.archive_workflow(workflow, actor="ada")
        async with db.transaction() as unit:
            await change(unit, workflow, is_archived=archives)
            making = asyncio.create_task(other.workflows.configure_cron_trigger(workflow, CONFIG))
            await asyncio.sleep(0.3)
            assert not making.done()
        await making
        state = (await db.workflows.get_cron_schedule(workflow)).state
        assert state == ("suspended" if archives else "active")


async def test_a_decision_and_its_dispatch_do_not_both_try_a_run_again(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    """Who asked about a failed run again while its retry was dispatched got a second retry."""
    async with Database(**settings_of) as db:
        version = await workflow_with_version(db)
        await db.workflows.configure_retry_policy(version.workflow_id, PATIENT)
        failed = []
        for number in range(FAILED):
            run = await lead_to(db, await new_run(db, version), "failed")
            # One after the other is due, for one round of the crew each.
            at = START + dt.timedelta(hours=number)
            await db.workflows.schedule_retry_for_run(run.id, failed_at=at)
            failed.append((run.id, at))
        made = await asyncio.to_thread(
            crew.run, settings_of, "schedule_jobs.decide_or_dispatch", failed
        )
        again = [run for each in made for run in each]
        again += [run.id for run in await db.workflows.dispatch_due_retries()]
        chains = [await db.workflows.list_run_retries(run) for run, _ in failed]
        done = Counter(r.failed_run_id for chain in chains for r in chain if r.run_id)
        assert done == {run: 1 for run, _ in failed}
        assert len(again) == len(set(again)) == FAILED
        assert not [r for chain in chains for r in chain if r.status == "waiting"]
