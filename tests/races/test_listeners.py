"""Eight processes at the same listeners, killed ones among them: one holder, one run per event, pauses that stand."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.races.jobs import new_workflow
from tests.races.listener_jobs import deliver_forever, redeploy_forever
from tests.races.test_kills import check_sqlite
from tests.repositories.factories import rows
from tests.repositories.listeners import (
    actions,
    count,
    dispatch,
    listen,
    require_consistent,
    served,
)

from orcheo_sql import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from uuid import UUID

    from tests.races.crew import Crew

EVENTS = 30
KILLS = 6


async def require_whole_runs(settings: dict[str, Any]) -> int:
    """See that each run has all that an event brings, and return how many there are."""
    tables = (
        "workflow_runs", "workflow_run_inputs", "workflow_run_search", "run_outbox", "listener_dedupe",
    )  # fmt: skip
    counts = {table: await count(settings, table) for table in tables}
    assert len(set(counts.values())) == 1, counts
    return counts["workflow_runs"]


async def test_w18_one_runtime_gets_the_lease(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        bots = [await listen(db) for _ in range(25)]
        results = crew.run(settings_of, "listener_jobs.claim", [bot.id for bot in bots])
        for bot, epochs in zip(bots, zip(*results, strict=True), strict=True):
            assert Counter(epochs) == {None: 7, 1: 1}
            found = await db.workflows.get_listener_subscription(bot.id)
            assert found.assigned_runtime == f"runtime {epochs.index(1)}"
            assert actions(found) == ["synced", "claimed"]


async def test_w34_what_is_done_under_leases_is_done_in_turns(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    """A read and a write that belong together; without fencing, some additions would be lost."""
    async with Database(**settings_of) as db:
        bot = await listen(db)
        results = crew.run(settings_of, "listener_jobs.count_up_under_leases", bot.id, 4.0)
        saved, refused = (sum(each) for each in zip(*results, strict=True))
        cursor = await db.workflows.get_listener_cursor(bot.id)
        assert cursor is not None
        assert cursor.telegram_offset == saved
        assert saved > 10
        assert refused > 0, "nobody slept too long: the test shows nothing"


async def test_w20_one_run_for_each_event(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        bot = await listen(db)
        keys = [f"telegram:{number}" for number in range(EVENTS)]
        results = crew.run(settings_of, "listener_jobs.deliver", bot.id, keys)
        assert [sum(made) for made in zip(*results, strict=True)] == [1] * EVENTS
        assert await require_whole_runs(settings_of) == EVENTS


async def test_w09_a_pause_stands(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        bot = await listen(db)
        late = crew.run(settings_of, "listener_jobs.deliver_and_pause", bot.id, 40)
        assert late == [False] * 8
        paused = await db.workflows.get_listener_subscription(bot.id)
        assert (paused.status, actions(paused)) == ("paused", ["synced", "status_paused"])
        assert 0 < await require_whole_runs(settings_of) <= 7 * 41
        await require_consistent(settings_of)


async def test_the_newest_version_is_served(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db, "w")
        results = crew.run(settings_of, "listener_jobs.create_versions", workflow.id, 10)
        assert {outcome for member in results for outcome in member} == {"ok"}
        latest = await db.workflows.get_latest_version(workflow.id)
        assert latest.version == 80
        [current] = await served(db, workflow.id)
        assert (current.workflow_version_id, current.status) == (latest.id, "active")
        assert len(await db.workflows.list_listener_subscriptions(workflow_id=workflow.id)) == 80
        await require_consistent(settings_of)


async def test_w33_what_was_replaced_is_not_revived(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        bots = [await listen(db) for _ in range(24)]
        rounds = [(bot.workflow_id, bot.id) for bot in bots]
        results = crew.run(settings_of, "listener_jobs.redeploy_or_archive_or_set_active", rounds)
        outcomes = Counter(outcome for member in results for outcome in member)
        assert outcomes.keys() == {"ok", "ListenerNotCurrentError"}
        for bot in bots:
            found = await db.workflows.get_listener_subscription(bot.id)
            assert (found.status, found.assigned_runtime) == ("disabled", None)
        await require_consistent(settings_of)


async def test_whatever_happens_at_once_the_rules_hold(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    async with Database(**settings_of) as db:
        bot = await listen(db)
        results = crew.run(settings_of, "listener_jobs.do_anything", bot.workflow_id, 60)
        outcomes = Counter(outcome for member in results for outcome in member)
        allowed = {"ok", "ListenerNotCurrentError"}
        assert {outcome.rpartition(" ")[2] for outcome in outcomes} <= allowed, outcomes
        refused = {o.partition(":")[0] for o in outcomes if not o.endswith(" ok")}
        assert refused <= {"status active", "status paused", "status error", "cursor"}
        await require_consistent(settings_of)
        await require_whole_runs_and_events(settings_of)


async def require_whole_runs_and_events(settings: dict[str, Any]) -> None:
    """Events may be forgotten; a run is never without its parts, nor an event remembered without a run."""
    parts = {
        await count(settings, table)
        for table in ("workflow_runs", "workflow_run_inputs", "workflow_run_search", "run_outbox")
    }
    assert len(parts) == 1
    assert await count(settings, "listener_dedupe") <= max(parts)


class Doomed:
    """A process that works until it is killed."""

    def __init__(self, work: Callable[..., None], settings: dict[str, Any], of: UUID, first: int):
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection
        self._pipe, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=work, args=(settings, of, first, theirs), daemon=True
        )
        self._process.start()
        theirs.close()
        self.told: list[int] = []

    def hear(self, times: int) -> None:
        for _ in range(times):
            assert self._pipe.poll(60), "the process says nothing"
            self.told.append(self._pipe.recv())

    def kill(self) -> list[int]:
        assert self._process.is_alive(), "it failed by itself"
        self._process.kill()
        self._process.join()
        try:
            while True:
                self.told.append(self._pipe.recv())
        except EOFError:
            self._pipe.close()
        self._process.close()
        return self.told


async def test_w21_an_event_is_a_run_or_can_be_delivered_again(
    settings_of: dict[str, Any],
) -> None:
    """Killed in the middle of it: what was told to be done is, and all the rest can be done once."""
    chance = random.Random(5)
    async with Database(**settings_of) as db:
        bot = await listen(db)
        doomed = [Doomed(deliver_forever, settings_of, bot.id, n * 10_000) for n in range(KILLS)]
        told: list[int] = []
        again: list[int] = []
        for number, each in enumerate(doomed):
            each.hear(3)
            time.sleep(chance.random() / 20)
            told += each.kill()
            again += range(number * 10_000, max(told) + 3)
        done = await require_whole_runs(settings_of)
        assert len(told) <= done <= len(told) + KILLS
        made = [key for key in again if await dispatch(db, bot, f"{key}") is not None]
        assert not set(told) & set(made), "an event was dispatched twice"
        assert await require_whole_runs(settings_of) == len(again) == done + len(made)
    if "database_path" in settings_of:
        check_sqlite(settings_of)


@pytest.mark.parametrize("kills", [KILLS])
async def test_w22_a_version_comes_with_its_listeners(
    settings_of: dict[str, Any], kills: int
) -> None:
    chance = random.Random(6)
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db, "w")
        told: list[int] = []
        doomed = [Doomed(redeploy_forever, settings_of, workflow.id, 0) for _ in range(kills)]
        for each in doomed:
            each.hear(3)
            time.sleep(chance.random() / 20)
            told += each.kill()
        latest = await db.workflows.get_latest_version(workflow.id)
        assert len(told) == len(set(told))
        assert len(told) <= latest.version <= len(told) + kills
        [current] = await served(db, workflow.id)
        assert current.workflow_version_id == latest.id
        assert await rows(settings_of, "SELECT count(*) FROM listener_subscriptions") == [
            (latest.version,)
        ]
        await require_consistent(settings_of)
