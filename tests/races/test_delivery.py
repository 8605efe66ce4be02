"""Webhooks, manual batches, retries and the outbox, from eight processes at once."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.races.delivery_jobs import SECRET, consume
from tests.repositories.factories import lead_to, new_run, workflow_with_version

from orcheo_sql import (
    Database,
    ManualDispatchItem,
    ManualDispatchRequest,
    RateLimitConfig,
    RetryPolicyConfig,
    WebhookTriggerConfig,
    WorkflowRun,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkServerProcess
    from uuid import UUID

    from tests.races.crew import Crew

LIMIT = 60
CALLS = 25
DELIVERIES = 15
ROUNDS = 8
FAILED = 12
HANDED_OFF = 150
KILLS = 12


async def all_runs(db: Database, **conditions: Any) -> list[WorkflowRun]:
    page = await db.workflows.page_runs(**conditions, limit=1000)
    assert page.next_cursor is None
    return page.items


async def test_a_rate_limit_holds_for_all_processes_together(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        version = await workflow_with_version(db)
        await db.workflows.configure_webhook_trigger(
            version.workflow_id,
            WebhookTriggerConfig(rate_limit=RateLimitConfig(limit=LIMIT, interval_seconds=3600)),
        )
        outcomes = await asyncio.to_thread(
            crew.run, settings_of, "delivery_jobs.call_webhook", version.workflow_id, CALLS
        )
        counts = Counter(outcome for each in outcomes for outcome in each)
        assert counts == {"ok": LIMIT, "RateLimitExceededError": 8 * CALLS - LIMIT}
        assert len(await all_runs(db)) == LIMIT
        assert (await db.workflows.count_outbox()).total == LIMIT


async def test_a_signed_delivery_is_taken_once(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        version = await workflow_with_version(db)
        await db.workflows.configure_webhook_trigger(
            version.workflow_id,
            WebhookTriggerConfig(hmac_header="X-Signature", hmac_secret=SECRET),
        )
        outcomes = await asyncio.to_thread(
            crew.run, settings_of, "delivery_jobs.deliver_the_same", version.workflow_id, DELIVERIES
        )
        for round_ in zip(*outcomes, strict=True):
            assert Counter(round_) == {"ok": 1, "WebhookAuthenticationError": 7}
        assert len(await all_runs(db)) == DELIVERIES


async def test_batches_are_all_or_nothing(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        version, other = await workflow_with_version(db), await workflow_with_version(db)
        outcomes = await asyncio.to_thread(
            crew.run,
            settings_of,
            "delivery_jobs.dispatch_batches",
            version.workflow_id,
            other.id,
            ROUNDS,
        )
        counts = Counter(outcome for each in outcomes for outcome in each)
        assert counts == {"ok": 8 * ROUNDS, "WorkflowVersionNotFoundError": 8 * ROUNDS}
        assert len(await all_runs(db, workflow_id=version.workflow_id)) == 6 * 8 * ROUNDS
        assert await all_runs(db, workflow_id=other.workflow_id) == []
        assert (await db.workflows.count_outbox()).total == 6 * 8 * ROUNDS


async def test_a_failed_run_is_tried_again_once(settings_of: dict[str, Any], crew: Crew) -> None:
    policy = RetryPolicyConfig(max_attempts=2, initial_delay_seconds=0, jitter_factor=0)
    async with Database(**settings_of) as db:
        version = await workflow_with_version(db)
        await db.workflows.configure_retry_policy(version.workflow_id, policy)
        failed = [
            (await lead_to(db, await new_run(db, version), "failed")).id for _ in range(FAILED)
        ]
        made = await asyncio.to_thread(
            crew.run, settings_of, "delivery_jobs.decide_and_retry", failed
        )
        again = [run for each in made for run in each]
        assert len(again) == len(set(again)) == FAILED
        assert len(await all_runs(db)) == 2 * FAILED
        for run in failed:
            retries = await db.workflows.list_run_retries(run)
            done = [r for r in retries if r.run_id is not None]
            assert [r.failed_run_id for r in done] == [run]


class Consumers:
    """Workers that can be killed; each tells what it has started."""

    def __init__(self, settings: dict[str, Any], count: int):
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["orcheo_sql", "orcheo_sql._database"])
        self._settings = settings
        self._running: list[tuple[ForkServerProcess, Connection]] = []
        self.started: list[UUID] = []
        for number in range(count):
            self._running.append(self._start(number))

    def _start(self, number: int) -> tuple[ForkServerProcess, Connection]:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=consume, args=(self._settings, number, theirs), daemon=True
        )
        process.start()
        theirs.close()
        return process, ours

    def kill(self, number: int) -> None:
        process, pipe = self._running[number]
        process.kill()
        process.join()
        self._hear(pipe)
        self._running[number] = self._start(number)

    def close(self) -> None:
        for process, pipe in self._running:
            process.kill()
            process.join()
            self._hear(pipe)

    def _hear(self, pipe: Connection) -> None:
        try:
            while pipe.poll():
                if (run := pipe.recv()) is not None:
                    self.started.append(run)
        except (EOFError, OSError):
            return


async def test_nothing_is_lost_when_workers_are_killed(settings_of: dict[str, Any]) -> None:
    """Each run is started by one worker, and offered until somebody has acknowledged it."""
    chance = random.Random(5)
    async with Database(**settings_of) as db:
        version = await workflow_with_version(db)
        for _ in range(HANDED_OFF // 50):
            items = [ManualDispatchItem() for _ in range(50)]
            await db.workflows.dispatch_manual_runs(
                ManualDispatchRequest(workflow_id=version.workflow_id, actor="a", runs=items)
            )
        consumers = await asyncio.to_thread(Consumers, settings_of, 8)
        end = time.monotonic() + 60
        try:
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.02, 0.15))
                await asyncio.to_thread(consumers.kill, chance.randrange(8))
            while (await db.workflows.count_outbox()).total:
                assert time.monotonic() < end, "something is never offered again"
                await asyncio.sleep(0.05)
        finally:
            await asyncio.to_thread(consumers.close)

        counts = await db.workflows.count_runs_by_status()
        assert counts.total == HANDED_OFF
        assert counts.pending == 0, "acknowledged, and never started"
        # Those whose worker died in the middle are found by the sweep, and by nothing else.
        swept = await db.workflows.sweep_stale_runs(stale_for=0, actor="operator", limit=1000)
        assert counts.succeeded + len(swept) == HANDED_OFF
        assert len(consumers.started) == len(set(consumers.started))
