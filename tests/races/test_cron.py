"""Eight schedulers whose clocks disagree, killed at random: each occurrence of a schedule gets one run (W-06)."""

from __future__ import annotations

import asyncio
import datetime as dt
import multiprocessing
import random
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests.races.jobs import new_workflow

from orcheo_sql import (
    CronMisfirePolicy,
    CronTriggerConfig,
    Database,
    TransientError,
)

if TYPE_CHECKING:
    from ctypes import c_int
    from multiprocessing.context import ForkServerProcess

    from orcheo_sql import WorkflowVersion

SCHEDULERS = 8
TICKS = 1100
TICK = dt.timedelta(minutes=5)
START = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)
SKEWS = [-5.0, -3.5, -1.0, 0.0, 0.0, 1.0, 3.5, 5.0]
MOST_BEHIND = 40
KILLS = 40


def schedule(number: int, settings: dict[str, Any], tick: c_int, seed: int) -> None:
    """Dispatch what is due by a clock of one's own until the end of time."""
    skew = dt.timedelta(seconds=SKEWS[number])
    chance = random.Random(seed)

    async def work() -> None:
        async with Database(**settings, postgres_pool_max_size=2) as db:
            while (now := tick.value) < TICKS:
                with suppress(TransientError):
                    runs = await db.workflows.dispatch_due_cron_runs(now=START + now * TICK + skew)
                    for run in runs:
                        if chance.random() < 0.9:  # the rest is left to others
                            await db.workflows.mark_run_started(run.id, actor=str(number))
                            await db.workflows.mark_run_succeeded(
                                run.id, actor=str(number), output=None
                            )
                await asyncio.sleep(0.002 * chance.random())

    asyncio.run(work())


async def occurrences(db: Database, version: WorkflowVersion) -> Counter[str]:
    found: Counter[str] = Counter()
    cursor = None
    while True:
        page = await db.workflows.page_runs(limit=1000, cursor=cursor)
        found.update(
            run.input_payload["scheduled_for"]
            for run in page.items
            if run.workflow_version_id == version.id
        )
        cursor = page.next_cursor
        if cursor is None:
            return found


async def new_schedule(db: Database, **config: Any) -> WorkflowVersion:
    workflow = await new_workflow(db, "scheduled")
    version = await db.workflows.create_version(
        workflow.id, graph={}, metadata={}, notes=None, created_by="racer"
    )
    await db.workflows.configure_cron_trigger(workflow.id, CronTriggerConfig(**config))
    return version


async def keep_pace(db: Database, version: WorkflowVersion, until: dt.datetime) -> None:
    """Wait until a schedule has been dispatched up to a time: what is made up for has its bounds."""
    async with asyncio.timeout(150):
        while True:
            last = (await db.workflows.get_cron_schedule(version.workflow_id)).last_dispatched_at
            if last is not None and last >= until:
                return
            await asyncio.sleep(0.01)


def expected(every: dt.timedelta) -> Counter[str]:
    count = int((TICKS - 1) * TICK / every) + 1
    return Counter(str((START + n * every).isoformat()) for n in range(count))


async def test_each_occurrence_gets_one_run(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db:
        catch_up: dict[str, Any] = {
            "misfire_policy": CronMisfirePolicy.CATCH_UP,
            "max_catch_up": 100,
        }
        often = await new_schedule(db, expression="*/5 * * * *", allow_overlapping=True, **catch_up)
        hourly = await new_schedule(db, expression="0 * * * *", allow_overlapping=True, **catch_up)
        alone = await new_schedule(db, expression="*/5 * * * *")
        # The first look: from here on it is known since when they are due.
        await db.workflows.dispatch_due_cron_runs(now=START)

        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["orcheo_sql", "orcheo_sql._database", __name__])
        # Without a lock: a process that is killed while it reads would keep it.
        tick = context.RawValue("i", 0)
        chance = random.Random(7)

        def start(number: int) -> ForkServerProcess:
            process = context.Process(
                target=schedule, args=(number, settings_of, tick, chance.random()), daemon=True
            )
            process.start()
            return process

        processes = [start(n) for n in range(SCHEDULERS)]
        kill_at = set(chance.sample(range(20, TICKS - 20), KILLS))
        while tick.value < TICKS:
            tick.value += 1
            if tick.value in kill_at:
                number = chance.randrange(SCHEDULERS)
                processes[number].kill()
                await asyncio.to_thread(processes[number].join)
                processes[number] = start(number)
            # At the last tick the schedulers end, however far they have got.
            if tick.value % 4 == 0 and tick.value < TICKS:
                await keep_pace(db, often, START + (tick.value - MOST_BEHIND) * TICK)
        for process in processes:
            await asyncio.to_thread(process.join, 60)
            assert process.exitcode == 0
        end = START + (TICKS - 1) * TICK
        await db.workflows.dispatch_due_cron_runs(now=end)

        assert await occurrences(db, often) == expected(TICK)
        assert await occurrences(db, hourly) == expected(dt.timedelta(hours=1))
        found = await occurrences(db, alone)
        assert found, "the schedule that must not overlap has never fired"
        assert set(found.values()) == {1}
        assert found.keys() <= expected(TICK).keys()


async def test_a_schedule_that_must_not_overlap_never_does(settings_of: dict[str, Any]) -> None:
    """Runs are left unfinished: whoever dispatches, there is one at a time."""
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        for _ in range(3):
            await new_schedule(db, expression="*/5 * * * *")
        for n in range(40):
            now = START + n * TICK
            await asyncio.gather(
                *(
                    each.workflows.dispatch_due_cron_runs(now=now + dt.timedelta(seconds=skew))
                    for each in (db, other)
                    for skew in (0, 1, 2, 3)
                )
            )
            pending = (await db.workflows.page_runs(status="pending")).items
            assert Counter(run.workflow_version_id for run in pending).most_common(1)[0][1] == 1
            for run in pending:
                if n % 3:
                    await db.workflows.mark_run_cancelled(run.id, actor="racer", reason=None)
