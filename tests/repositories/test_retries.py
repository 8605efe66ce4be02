"""Retry policies, decisions, and the runs that try again."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.repositories.factories import (
    MISSING,
    Clock,
    change,
    direct,
    lead_to,
    new_run,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import (
    CronTriggerConfig,
    Database,
    RetryPolicyConfig,
    TransactionError,
    WorkflowNotFoundError,
    WorkflowRun,
    WorkflowRunNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

EXACT = RetryPolicyConfig(max_attempts=3, initial_delay_seconds=10, jitter_factor=0)
HOUR = dt.timedelta(hours=1)


async def failing_run(db: Database, policy: RetryPolicyConfig = EXACT) -> WorkflowRun:
    version = await workflow_with_version(db, runnable_config={"tags": ["nightly"]})
    await db.workflows.configure_retry_policy(version.workflow_id, policy)
    run = await new_run(db, version, {"ticket": 7}, runnable_config={"run_name": "Mine"})
    return await lead_to(db, run, "failed")


async def test_policies_are_kept_and_handed_out(db: Database) -> None:
    workflow = await new_workflow(db)
    assert await db.workflows.get_retry_policy_config(workflow.id) == RetryPolicyConfig()
    for policy in (EXACT, RetryPolicyConfig(max_delay_seconds=None)):
        assert await db.workflows.configure_retry_policy(workflow.id, policy) == policy
        assert await db.workflows.get_retry_policy_config(workflow.id) == policy
        await db.workflows.configure_retry_policy(workflow.id, policy)
    trail = (await db.workflows.get_workflow(workflow.id)).audit_log
    assert [r.action for r in trail[1:]] == ["retry_policy_configured"] * 2
    for call in (
        db.workflows.get_retry_policy_config(MISSING),
        db.workflows.configure_retry_policy(MISSING, EXACT),
    ):
        with pytest.raises(WorkflowNotFoundError):
            await call


async def test_decisions_count_up_and_end(db: Database) -> None:
    run = await failing_run(db)
    at = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
    decisions = [await db.workflows.schedule_retry_for_run(run.id, failed_at=at) for _ in range(4)]
    assert [(d.retry_number, d.delay_seconds, d.scheduled_for) for d in decisions if d] == [
        (1, 10.0, at + dt.timedelta(seconds=10)),
        (2, 20.0, at + dt.timedelta(seconds=20)),
    ]
    assert decisions[2:] == [None, None]
    with pytest.raises(WorkflowRunNotFoundError):
        await db.workflows.schedule_retry_for_run(MISSING)


async def test_the_counter_survives_restarts_and_is_shared(settings_of: dict[str, Any]) -> None:
    """W-11: another process answered "no retry", and a restart began with the first attempt again."""
    async with Database(**settings_of) as db:
        run = await failing_run(db)
        assert await db.workflows.schedule_retry_for_run(run.id)
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        decision = await other.workflows.schedule_retry_for_run(run.id)
        assert decision is not None
        assert decision.retry_number == 2
        assert await db.workflows.schedule_retry_for_run(run.id) is None


@pytest.mark.parametrize(
    ("status", "is_retried"), [("pending", True), ("succeeded", False), ("cancelled", False)]
)
async def test_by_status(db: Database, status: str, is_retried: bool) -> None:
    run = await lead_to(db, await new_run(db, await workflow_with_version(db)), status)
    assert (await db.workflows.schedule_retry_for_run(run.id) is not None) is is_retried


async def test_a_run_keeps_the_policy_it_was_created_under(db: Database) -> None:
    run = await failing_run(db)
    version_workflow = (await db.workflows.get_version(run.workflow_version_id)).workflow_id
    await db.workflows.configure_retry_policy(version_workflow, RetryPolicyConfig(max_attempts=1))
    assert await db.workflows.schedule_retry_for_run(run.id)
    later = await lead_to(
        db, await new_run(db, await db.workflows.get_version(run.workflow_version_id)), "failed"
    )
    assert await db.workflows.schedule_retry_for_run(later.id) is None


async def test_a_due_decision_becomes_one_run(timed: Database, clock: Clock) -> None:
    failed = await failing_run(timed)
    decision = await timed.workflows.schedule_retry_for_run(failed.id)
    assert decision is not None
    assert await timed.workflows.dispatch_due_retries() == []
    clock.at = decision.scheduled_for
    [run] = await timed.workflows.dispatch_due_retries()
    assert await timed.workflows.dispatch_due_retries() == []
    assert (run.triggered_by, run.status) == ("retry", "pending")
    assert run.input_payload == {"ticket": 7}
    assert (run.tags, run.run_name) == (["nightly"], "Mine")
    assert run.workflow_version_id == failed.workflow_version_id
    assert await timed.workflows.get_run(run.id) == run
    assert [e.run_id for e in (await timed.workflows.page_outbox()).items] == [run.id]
    assert (await timed.workflows.search_runs("retry nightly")).items == [run]
    # The failed one has been retried: it is the retry that may be tried again now.
    assert await timed.workflows.schedule_retry_for_run(failed.id) is None
    await lead_to(timed, run, "failed")
    second = await timed.workflows.schedule_retry_for_run(run.id)
    assert second is not None
    assert second.retry_number == 2
    clock.tick(60)
    [last] = await timed.workflows.dispatch_due_retries()
    await lead_to(timed, last, "failed")
    assert await timed.workflows.schedule_retry_for_run(last.id) is None
    for member in (failed, run, last):
        chain = await timed.workflows.list_run_retries(member.id)
        assert [(r.failed_run_id, r.run_id, r.status) for r in chain] == [
            (failed.id, run.id, "done"),
            (run.id, last.id, "done"),
        ]


async def test_a_later_decision_takes_the_place_of_one_that_waits(
    timed: Database, clock: Clock
) -> None:
    failed = await failing_run(timed)
    for _ in range(2):
        await timed.workflows.schedule_retry_for_run(failed.id)
    clock.tick(3600)
    assert len(await timed.workflows.dispatch_due_retries()) == 1
    chain = await timed.workflows.list_run_retries(failed.id)
    assert [r.status for r in chain] == ["superseded", "done"]


async def test_a_run_that_did_not_fail_after_all_is_not_tried_again(
    timed: Database, clock: Clock
) -> None:
    run = await new_run(timed, await workflow_with_version(timed))
    assert await timed.workflows.schedule_retry_for_run(run.id)
    clock.tick(3600)
    assert await timed.workflows.dispatch_due_retries() == []
    await lead_to(timed, run, "succeeded")
    assert await timed.workflows.dispatch_due_retries() == []
    assert [r.status for r in await timed.workflows.list_run_retries(run.id)] == ["dropped"]


async def test_archived_workflows_wait(timed: Database, clock: Clock) -> None:
    failed = await failing_run(timed)
    await timed.workflows.schedule_retry_for_run(failed.id)
    workflow_id = (await timed.workflows.get_version(failed.workflow_version_id)).workflow_id
    await timed.workflows.archive_workflow(workflow_id, actor="ada")
    clock.tick(3600)
    assert await timed.workflows.dispatch_due_retries() == []
    await change(timed, workflow_id, is_archived=False)
    assert len(await timed.workflows.dispatch_due_retries()) == 1


async def test_retries_of_scheduled_runs_do_not_overlap(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    await timed.workflows.configure_retry_policy(version.workflow_id, EXACT)
    await timed.workflows.configure_cron_trigger(
        version.workflow_id, CronTriggerConfig(expression="0 * * * *")
    )
    clock.at += dt.timedelta(minutes=60 - clock.at.minute)
    [first] = await timed.workflows.dispatch_due_cron_runs()
    await lead_to(timed, first, "failed")
    await timed.workflows.schedule_retry_for_run(first.id)
    clock.at += HOUR
    # The next occurrence is first, and the retry waits for its end.
    [second] = await timed.workflows.dispatch_due_cron_runs()
    assert await timed.workflows.dispatch_due_retries() == []
    await lead_to(timed, second, "succeeded")
    [again] = await timed.workflows.dispatch_due_retries()
    clock.at += HOUR
    assert await timed.workflows.dispatch_due_cron_runs() == []
    await lead_to(timed, again, "succeeded")
    assert len(await timed.workflows.dispatch_due_cron_runs()) == 1


async def scheduled_failure(db: Database, clock: Clock, **config: Any) -> WorkflowRun:
    """Return a run that a schedule started and that has failed, with a decision to try it again."""
    version = await workflow_with_version(db)
    await db.workflows.configure_retry_policy(version.workflow_id, EXACT)
    await db.workflows.configure_cron_trigger(
        version.workflow_id, CronTriggerConfig(expression="0 * * * *", **config)
    )
    clock.at += dt.timedelta(minutes=60 - clock.at.minute)
    [run] = await db.workflows.dispatch_due_cron_runs()
    await lead_to(db, run, "failed")
    await db.workflows.schedule_retry_for_run(run.id)
    clock.at += HOUR
    return run


class Meanwhile:
    """A credential service during whose verdict on a retry something happens; or it takes for ever."""

    def __init__(self) -> None:
        self.step: Callable[[UUID], Awaitable[object]] | None = None
        self.hanging: set[UUID] = set()

    async def ensure_workflow_health(self, workflow_id: UUID, *, actor: str | None = None) -> None:
        if workflow_id in self.hanging:
            await asyncio.sleep(3600)
        if self.step is not None and actor == "retry":
            step, self.step = self.step, None
            await step(workflow_id)


async def test_overlap_that_is_forbidden_meanwhile_is_forbidden(
    settings_of: dict[str, Any], clock: Clock
) -> None:
    """A retry that was listed while overlap was allowed started beside the run of the changed schedule."""
    credentials = Meanwhile()
    async with Database(**settings_of, clock=clock, credentials=credentials) as db:
        await scheduled_failure(db, clock, allow_overlapping=True)

        async def forbid(workflow_id: UUID) -> None:
            await db.workflows.configure_cron_trigger(
                workflow_id, CronTriggerConfig(expression="0 * * * *")
            )
            assert len(await db.workflows.dispatch_due_cron_runs()) == 1

        credentials.step = forbid
        assert await db.workflows.dispatch_due_retries() == []
        [pending] = (await db.workflows.page_runs(status="pending")).items
        assert await db.workflows.dispatch_due_retries() == []
        await lead_to(db, pending, "succeeded")
        assert len(await db.workflows.dispatch_due_retries()) == 1


async def test_where_overlap_is_allowed_retries_do_not_wait_for_each_other(
    timed: Database, clock: Clock
) -> None:
    first = await scheduled_failure(timed, clock, allow_overlapping=True)
    again = await timed.workflows.dispatch_due_cron_runs()
    for run in again:
        await lead_to(timed, run, "failed")
        await timed.workflows.schedule_retry_for_run(run.id)
    clock.at += HOUR
    made = await timed.workflows.dispatch_due_retries()
    assert len(made) == 2
    assert {first.workflow_version_id} == {run.workflow_version_id for run in made}


async def test_the_retry_of_a_schedule_that_is_gone_overlaps_nothing(
    timed: Database, clock: Clock
) -> None:
    run = await scheduled_failure(timed, clock)
    version = await timed.workflows.get_version(run.workflow_version_id)
    await timed.workflows.delete_cron_trigger(version.workflow_id)
    assert len(await timed.workflows.dispatch_due_retries()) == 1


async def test_a_health_check_that_hangs_keeps_no_other_retry_waiting(
    settings_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orcheo_sql.repositories._credential_checks.CREDENTIAL_SECONDS", 0.3)
    credentials = Meanwhile()
    async with Database(**settings_of, credentials=credentials) as db:
        runs = [await failing_run(db) for _ in range(3)]
        for run in runs:
            await db.workflows.schedule_retry_for_run(run.id)
        version = await db.workflows.get_version(runs[0].workflow_version_id)
        credentials.hanging.add(version.workflow_id)
        made = await asyncio.wait_for(
            db.workflows.dispatch_due_retries(now=db.now() + HOUR), timeout=10
        )
        assert len(made) == 2
        credentials.hanging.clear()
        assert len(await db.workflows.dispatch_due_retries(now=db.now() + HOUR)) == 1


async def test_at_most_one_decision_about_a_run_stands(
    settings_of: dict[str, Any], db: Database
) -> None:
    """The schema says so too, whatever a statement does."""
    run = await failing_run(db)
    await db.workflows.schedule_retry_for_run(run.id)
    await db.workflows.schedule_retry_for_run(run.id)
    async with direct(settings_of) as connection:
        with pytest.raises(
            (sqlite3.IntegrityError, psycopg.IntegrityError),
            match=r"failed_run_id|uq_workflow_run_retries__standing",
        ):
            await connection.execute("UPDATE workflow_run_retries SET status = 'waiting'")


async def test_many_decide_at_once(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        run = await failing_run(db, RetryPolicyConfig(max_attempts=31))
        decisions = await asyncio.gather(
            *(
                each.workflows.schedule_retry_for_run(run.id)
                for each in (db, other)
                for _ in range(20)
            )
        )
        assert sorted(d.retry_number for d in decisions if d) == list(range(1, 31))
        assert decisions.count(None) == 10


async def test_many_dispatch_at_once(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        failed = [await failing_run(db) for _ in range(20)]
        for run in failed:
            await db.workflows.schedule_retry_for_run(run.id)
        later = db.now() + HOUR
        batches = await asyncio.gather(
            *(
                each.workflows.dispatch_due_retries(now=later)
                for each in (db, other)
                for _ in range(4)
            )
        )
        assert sum(map(len, batches)) == 20
        chains = [await db.workflows.list_run_retries(run.id) for run in failed]
        assert {r.status for [r] in chains} == {"done"}


async def test_dispatching_is_no_part_of_a_unit_of_work(db: Database) -> None:
    async with db.transaction() as unit:
        with pytest.raises(TransactionError):
            await unit.workflows.dispatch_due_retries()


async def test_pruning_keeps_a_chain_that_goes_on(timed: Database, clock: Clock) -> None:
    """Its decisions go with its runs, and without them it would count anew."""
    version = await workflow_with_version(timed)
    policy = RetryPolicyConfig(max_attempts=3, initial_delay_seconds=10, jitter_factor=0)
    await timed.workflows.configure_retry_policy(version.workflow_id, policy)
    run = await lead_to(timed, await new_run(timed, version), "failed")
    attempts = 1
    while await timed.workflows.schedule_retry_for_run(run.id):
        clock.tick(3600)
        assert await timed.workflows.prune_runs(created_before=clock.at) == 0, "a decision waits"
        [run] = await timed.workflows.dispatch_due_retries()
        clock.tick(3600)
        assert await timed.workflows.prune_runs(created_before=clock.at) == 0, "it is being tried"
        run = await lead_to(timed, run, "failed")
        attempts += 1
    assert attempts == 3
    assert await timed.workflows.prune_runs(created_before=clock.tick(1)) == 3, "it is over"
    assert await timed.workflows.list_run_retries(run.id) == []
