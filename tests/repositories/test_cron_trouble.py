"""Cron schedules when something is wrong: times, stored configs, rows that are busy, services that hang, and races."""

from __future__ import annotations

import asyncio
import datetime as dt
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.repositories.factories import (
    Clock,
    direct,
    lead_to,
    new_version,
    workflow_with_version,
)

from orcheo_sql import (
    CronMisfirePolicy,
    CronTriggerConfig,
    Database,
    DecodeError,
    StatementTimeoutError,
    StoreError,
    ValidationError,
)
from orcheo_sql.repositories.base import EARLIEST, LOWEST_ID

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from orcheo_sql import CronSchedule, WorkflowVersion

NOON = dt.datetime(2025, 1, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)
YEARLY = CronTriggerConfig(expression="0 0 1 1 *", timezone="Europe/Berlin")


async def scheduled(db: Database, expression: str = "0 12 * * *", **fields: Any) -> WorkflowVersion:
    version = await workflow_with_version(db)
    await db.workflows.configure_cron_trigger(
        version.workflow_id, CronTriggerConfig(expression=expression, **fields)
    )
    return version


async def dispatched(db: Database, now: dt.datetime = NOON) -> list[UUID]:
    """Dispatch, and return the versions of the runs."""
    return [run.workflow_version_id for run in await db.workflows.dispatch_due_cron_runs(now=now)]


async def schedule_of(db: Database, version: WorkflowVersion) -> CronSchedule:
    return await db.workflows.get_cron_schedule(version.workflow_id)


class Credentials:
    """A credential service that hangs for some, and lets things happen meanwhile."""

    def __init__(self) -> None:
        self.hanging: set[UUID] = set()
        self.meanwhile: Callable[[UUID], Awaitable[object]] | None = None

    async def ensure_workflow_health(self, workflow_id: UUID, *, actor: str | None = None) -> None:
        if workflow_id in self.hanging:
            await asyncio.sleep(3600)
        if self.meanwhile is not None:
            step, self.meanwhile = self.meanwhile, None
            await step(workflow_id)


@pytest.fixture
def credentials() -> Credentials:
    return Credentials()


@pytest.fixture
async def gated(settings_of: dict[str, Any], credentials: Credentials) -> Any:
    async with Database(**settings_of, credentials=credentials) as database:
        yield database


# Times


@pytest.mark.parametrize("year", [1, 1970, 9000, 9999])
async def test_an_impossible_time_is_refused_and_changes_nothing(db: Database, year: int) -> None:
    """Each schedule seemed to be what was wrong, and was set aside."""
    seen, unseen = await scheduled(db), await scheduled(db)
    before = await schedule_of(db, unseen)
    await db.workflows.pause_cron_trigger(unseen.workflow_id, actor="ada")
    assert await dispatched(db) == [seen.id]
    await db.workflows.resume_cron_trigger(unseen.workflow_id, actor="ada")
    for run in (await db.workflows.page_runs()).items:
        await lead_to(db, run, "succeeded")
    with pytest.raises(ValidationError, match="now must be a date and time in the years 1971"):
        await db.workflows.dispatch_due_cron_runs(now=dt.datetime(year, 6, 1, tzinfo=dt.UTC))
    assert (await schedule_of(db, seen)).state == "active"
    after = await schedule_of(db, unseen)
    assert (after.state, after.next_fire_at) == ("active", before.next_fire_at)
    assert await dispatched(db, NOON + DAY) == [unseen.id, seen.id]


async def test_so_is_a_clock_that_was_never_set(timed: Database, clock: Clock) -> None:
    version = await scheduled(timed)
    clock.at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(ValidationError, match="the clock must be"):
        await timed.workflows.dispatch_due_cron_runs(now=NOON)
    assert (await schedule_of(timed, version)).state == "active"


@pytest.mark.parametrize("minutes", [0, 30])
async def test_a_time_before_a_schedule_was_made_leaves_no_backlog(
    timed: Database, clock: Clock, minutes: int
) -> None:
    """It counts from its making on; who asks for an earlier time gets what is due then, and no more."""
    clock.at = NOON + HOUR / 2
    version = await scheduled(
        timed, "0 * * * *", allow_overlapping=True, misfire_policy=CronMisfirePolicy.CATCH_UP
    )
    asked_for = NOON - 30 * DAY + dt.timedelta(minutes=minutes)
    assert len(await dispatched(timed, asked_for)) == (0 if minutes else 1)
    assert await timed.workflows.dispatch_due_cron_runs() == []
    assert (await schedule_of(timed, version)).next_fire_at == NOON + HOUR
    clock.at = NOON + HOUR
    [run] = await timed.workflows.dispatch_due_cron_runs()
    assert run.input_payload["scheduled_for"] == (NOON + HOUR).isoformat()


# What is stored


async def spoil(settings: dict[str, Any], version: WorkflowVersion, config: str) -> None:
    async with direct(settings) as connection:
        await connection.execute(
            f"UPDATE cron_triggers SET config = '{config}' WHERE workflow_id = '{version.workflow_id}'"
        )


@pytest.mark.parametrize("config", ["[]", "null", '"x"', "5"])
async def test_a_config_is_an_object(
    settings_of: dict[str, Any], db: Database, config: str
) -> None:
    version = await scheduled(db)
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError), match=r"(?i)check"):
        await spoil(settings_of, version, config)


async def test_an_unreadable_config_stops_no_other_and_can_be_found(
    settings_of: dict[str, Any], db: Database
) -> None:
    """It hid all schedules: from dispatchers, and from the operator who looked for it."""
    poisoned, well = await scheduled(db), await scheduled(db)
    await spoil(settings_of, poisoned, r'{"expression": "\ud800"}')
    shown = (await db.workflows.page_cron_schedules()).items
    assert [(s.workflow_id, s.config is None) for s in shown] == [
        (poisoned.workflow_id, True),
        (well.workflow_id, False),
    ]
    with pytest.raises(DecodeError):
        await db.workflows.get_cron_trigger_config(poisoned.workflow_id)
    assert await dispatched(db) == [well.id]
    aside = await schedule_of(db, poisoned)
    assert (aside.state, aside.config) == ("set_aside", None)
    assert "not a JSON object" in (aside.reason or "")
    await db.workflows.pause_cron_trigger(poisoned.workflow_id, actor="ada")
    assert (await schedule_of(db, poisoned)).state == "paused"


@pytest.mark.parametrize(
    "config",
    [
        r'{"expression": "a\u0000b"}',
        r'{"timezone": "a\u0000b"}',
        '{"timezone": "' + "x" * 5000 + '"}',
        '{"misfire_grace_seconds": 99999999999999999999, "misfire_policy": "skip"}',
    ],
    ids=["NUL", "NUL in the zone", "long", "large"],
)
async def test_a_poisoned_config_is_set_aside_at_once(
    settings_of: dict[str, Any], db: Database, config: str
) -> None:
    poisoned, well = await scheduled(db), await scheduled(db)
    await spoil(settings_of, poisoned, config)
    assert await dispatched(db) == [well.id]
    aside = await schedule_of(db, poisoned)
    assert aside.state == "set_aside"
    assert len(aside.reason or "") <= 500


async def test_a_schedule_that_stops_being_readable_later_is_set_aside_at_once(
    settings_of: dict[str, Any], db: Database
) -> None:
    version = await scheduled(db)
    assert await dispatched(db) == [version.id]
    for run in (await db.workflows.page_runs()).items:
        await lead_to(db, run, "succeeded")
    await spoil(settings_of, version, '{"expression": "now and then"}')
    assert await dispatched(db, NOON + DAY) == []
    assert (await schedule_of(db, version)).state == "set_aside"


async def test_the_bound_of_what_is_made_up_for_holds_for_stored_configs(
    settings_of: dict[str, Any], db: Database
) -> None:
    version = await scheduled(db, allow_overlapping=True)
    await dispatched(db)
    await spoil(
        settings_of,
        version,
        '{"expression": "* * * * *", "allow_overlapping": true, "misfire_policy": "catch_up", "max_catch_up": 10000000}',
    )
    assert len(await dispatched(db, NOON + 4 * DAY)) == 100


async def test_the_same_config_brings_a_schedule_back(
    settings_of: dict[str, Any], timed: Database, clock: Clock
) -> None:
    clock.at = NOON
    version = await scheduled(timed)
    config = await timed.workflows.get_cron_trigger_config(version.workflow_id)
    async with direct(settings_of) as connection:
        await connection.execute("UPDATE cron_triggers SET set_aside_reason = 'a bad day'")
    assert await timed.workflows.dispatch_due_cron_runs() == []
    clock.at = NOON + 2 * DAY
    await timed.workflows.configure_cron_trigger(version.workflow_id, config)
    back = await schedule_of(timed, version)
    assert (back.state, back.reason) == ("active", None)
    [run] = await timed.workflows.dispatch_due_cron_runs()
    assert run.input_payload["scheduled_for"] == (NOON + 2 * DAY).isoformat(), "it counts from now"


# Who changes what meanwhile


async def test_a_schedule_that_is_made_anew_meanwhile_is_another_one(
    gated: Database, credentials: Credentials, other: Database
) -> None:
    """Its revisions count from 1 again: the occurrence of the former one fired for it."""
    version = await scheduled(gated)

    async def replace(workflow_id: UUID) -> None:
        await other.workflows.delete_cron_trigger(workflow_id)
        await other.workflows.configure_cron_trigger(workflow_id, YEARLY)
        assert await other.workflows.dispatch_due_cron_runs() == []

    credentials.meanwhile = replace
    assert await dispatched(gated) == []
    stored = await schedule_of(gated, version)
    assert stored.last_dispatched_at is None
    assert stored.next_fire_at is not None
    assert (stored.next_fire_at.month, stored.next_fire_at.hour) == (12, 23)


async def test_nor_is_it_moved_passed_or_set_aside(db: Database) -> None:
    """Each statement of a dispatcher names the schedule that it looked at."""
    version = await scheduled(db)
    [due] = await db.workflows.q.list_due_schedules(
        now=NOON, after_at=EARLIEST, after_created=EARLIEST, after_id=LOWEST_ID, limit=10
    )
    known: dict[str, Any] = {
        "workflow_id": due.workflow_id,
        "schedule_id": due.schedule_id,
        "revision": 1,
    }
    at: dict[str, Any] = {"scheduled_for": NOON, "next_fire_at": NOON}
    await db.workflows.delete_cron_trigger(version.workflow_id)
    await db.workflows.configure_cron_trigger(version.workflow_id, YEARLY)
    before = await schedule_of(db, version)
    assert await db.workflows.q.move_schedule(**known, next_fire_at=NOON) == 0
    assert await db.workflows.q.pass_occurrence(**known, **at) == 0
    assert await db.workflows.q.set_schedule_aside(**known, reason="x", now=NOON) == 0
    assert await schedule_of(db, version) == before


async def test_a_run_is_of_the_version_that_is_the_latest_when_it_is_made(
    gated: Database, credentials: Credentials, other: Database
) -> None:
    first = await scheduled(gated)
    credentials.meanwhile = lambda workflow_id: new_version(
        other, workflow_id, runnable_config={"tags": ["new"]}
    )
    [run] = await gated.workflows.dispatch_due_cron_runs(now=NOON)
    latest = await gated.workflows.get_latest_version(first.workflow_id)
    assert (latest.version, run.workflow_version_id) == (2, latest.id)
    assert run.tags == ["new"]
    assert (await gated.workflows.search_runs("new")).items == [run]


# What hangs


async def test_a_health_check_that_hangs_stops_no_other(
    gated: Database, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orcheo_sql.repositories._credential_checks.CREDENTIAL_SECONDS", 0.3)
    stuck, *well = [await scheduled(gated) for _ in range(4)]
    credentials.hanging.add(stuck.workflow_id)
    began = time.monotonic()
    assert await dispatched(gated) == [version.id for version in well]
    assert time.monotonic() - began < 5
    assert (await schedule_of(gated, stuck)).state == "active"
    credentials.hanging.clear()
    assert await dispatched(gated) == [stuck.id]


async def test_those_with_a_verdict_do_not_wait_for_it(
    gated: Database, credentials: Credentials
) -> None:
    """A caller that gives up before the service does has lost nothing but the list of runs."""
    stuck, *well = [await scheduled(gated) for _ in range(3)]
    credentials.hanging.add(stuck.workflow_id)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gated.workflows.dispatch_due_cron_runs(now=NOON), 1.5)
    runs = (await gated.workflows.page_runs()).items
    assert {run.workflow_version_id for run in runs} == {version.id for version in well}


@pytest.mark.parametrize("dialect", ["postgres"], indirect=True)
@pytest.mark.parametrize("limit", ["statement_timeout_seconds", "lock_timeout_seconds"])
@pytest.mark.parametrize("seen", [False, True])
async def test_a_row_that_is_busy_stops_no_other(
    settings_of: dict[str, Any], limit: str, seen: bool
) -> None:
    """It ended the dispatch, or, at the moment of firing, set the schedule aside."""
    impatient = {**settings_of, limit: 0.5}
    async with Database(**impatient) as db, Database(**settings_of) as other:
        busy, *well = [await scheduled(db) for _ in range(3)]
        if seen:
            await dispatched(db, NOON - HOUR)
        async with other.transaction() as unit:
            await unit.workflows.pause_cron_trigger(busy.workflow_id, actor="ada")
            await unit.workflows.resume_cron_trigger(busy.workflow_id, actor="ada")
            assert await dispatched(db) == [version.id for version in well]
        assert (await schedule_of(db, busy)).state == "active"
        assert await dispatched(db) == [busy.id]


async def test_an_error_that_does_not_pass_is_raised_when_all_had_their_turn(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, *well = [await scheduled(db) for _ in range(3)]
    repository = type(db.workflows)
    fire_one = repository._fire_one

    async def fail(self: Any, turn: Any, *args: Any) -> Any:
        if turn.due.workflow_id == bad.workflow_id:
            raise failure
        return await fire_one(self, turn, *args)

    monkeypatch.setattr(repository, "_fire_one", fail)
    failure: StoreError = StoreError("a table is gone")
    with pytest.raises(StoreError, match="a table is gone"):
        await dispatched(db)
    assert len((await db.workflows.page_runs()).items) == len(well)
    assert (await schedule_of(db, bad)).state == "active"
    failure = StatementTimeoutError("too slow")
    assert await dispatched(db) == [], "that passes: the next call looks again"
    failure = DecodeError("its version is no version")
    assert await dispatched(db) == []
    assert (await schedule_of(db, bad)).reason == "DecodeError: its version is no version"
