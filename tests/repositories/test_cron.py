"""Cron schedules: what fires when, what does not, and what happens to one that can't be dispatched."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import (
    MISSING,
    Clock,
    Queries,
    change,
    direct,
    lead_to,
    new_run,
    new_version,
    new_workflow,
    rows,
    workflow_with_version,
)

from orcheo_sql import (
    CronMisfirePolicy,
    CronTriggerConfig,
    CronTriggerNotFoundError,
    CronValidationError,
    Database,
    TransactionError,
    ValidationError,
    WorkflowNotFoundError,
)

if TYPE_CHECKING:
    from uuid import UUID

    from orcheo_sql import WorkflowVersion


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


NOON = at("2025-01-01T12:00:00+00:00")
DAY = dt.timedelta(days=1)
HOUR = dt.timedelta(hours=1)


async def scheduled(db: Database, expression: str = "0 12 * * *", **fields: Any) -> WorkflowVersion:
    version = await workflow_with_version(db)
    await db.workflows.configure_cron_trigger(
        version.workflow_id, CronTriggerConfig(expression=expression, **fields)
    )
    return version


async def dispatch(db: Database, now: dt.datetime) -> list[str]:
    """Dispatch, and return the occurrences that got a run."""
    runs = await db.workflows.dispatch_due_cron_runs(now=now)
    return [run.input_payload["scheduled_for"] for run in runs]


async def finish(db: Database) -> None:
    for run in (await db.workflows.page_runs(status="pending")).items:
        await lead_to(db, run, "succeeded")


async def test_an_occurrence_fires_once(db: Database) -> None:
    version = await scheduled(db)
    [run] = await db.workflows.dispatch_due_cron_runs(now=NOON)
    assert run.triggered_by == "cron"
    assert run.workflow_version_id == version.id
    assert run.status == "pending"
    assert run.input_payload == {"scheduled_for": "2025-01-01T12:00:00+00:00", "timezone": "UTC"}
    assert [(r.actor, r.action) for r in run.audit_log] == [("cron", "run_created")]
    assert await db.workflows.get_run(run.id) == run
    assert await db.workflows.dispatch_due_cron_runs(now=NOON) == []
    stored = await db.workflows.get_cron_schedule(version.workflow_id)
    assert stored.last_dispatched_at == NOON
    assert stored.next_fire_at == NOON + DAY


REFERENCE: list[tuple[dict[str, Any], list[tuple[str, list[str]]]]] = [
    (
        {"expression": "0 9 * * *", "timezone": "America/Los_Angeles"},
        [("2025-01-02T17:00:00Z", ["2025-01-02T17:00:00+00:00"])],
    ),
    (
        {"expression": "0 9 * * *"},
        [("2025-01-02T09:01:00Z", []), ("2025-01-03T09:00:00Z", ["2025-01-03T09:00:00+00:00"])],
    ),
    # Occurrences are whole minutes, whenever in theirs they are looked at.
    (
        {"expression": "0 9 * * *"},
        [("2025-01-02T09:00:37.000123Z", ["2025-01-02T09:00:00+00:00"])],
    ),
    (
        {"expression": "0 9 * * *"},
        [
            ("2025-01-02T09:00:00Z", ["2025-01-02T09:00:00+00:00"]),
            ("2025-01-02T12:00:00Z", []),
            ("2025-01-03T08:59:59Z", []),
        ],
    ),
    # A start a year ago is no reason to make up for a year.
    (
        {"expression": "0 * * * *", "start_at": at("2024-01-01T00:00:00Z")},
        [
            ("2025-01-02T09:00:00Z", ["2025-01-02T09:00:00+00:00"]),
            ("2025-01-02T10:00:00Z", ["2025-01-02T10:00:00+00:00"]),
        ],
    ),
    # New York: clocks go forward over 02:30, and back over 01:30.
    (
        {"expression": "30 2 * * *", "timezone": "America/New_York"},
        [
            ("2025-03-09T07:00:00Z", []),
            ("2025-03-09T07:30:00Z", ["2025-03-09T07:30:00+00:00"]),
            ("2025-03-09T23:00:00Z", []),
        ],
    ),
    (
        {"expression": "30 1 * * *", "timezone": "America/New_York"},
        [
            ("2025-11-02T05:30:00Z", ["2025-11-02T05:30:00+00:00"]),
            ("2025-11-02T06:30:00Z", []),
        ],
    ),
    (
        {"expression": "*/30 * * * *", "timezone": "America/New_York"},
        [
            (
                f"2025-11-02T{hour:02}:{minute:02}:00Z",
                [f"2025-11-02T{hour:02}:{minute:02}:00+00:00"],
            )
            for hour in (5, 6, 7)
            for minute in (0, 30)
        ],
    ),
]


@pytest.mark.parametrize(("config", "looks"), REFERENCE)
async def test_reference_cases(
    db: Database, config: dict[str, Any], looks: list[tuple[str, list[str]]]
) -> None:
    await scheduled(db, **config)
    for now, expected in looks:
        assert await dispatch(db, at(now)) == expected
        await finish(db)


async def test_a_naive_time_is_in_utc(db: Database) -> None:
    await scheduled(db)
    assert await dispatch(db, NOON.replace(tzinfo=None)) == ["2025-01-01T12:00:00+00:00"]


async def test_without_a_time_the_clock_decides(timed: Database, clock: Clock) -> None:
    clock.at = NOON - HOUR
    await scheduled(timed)
    assert await timed.workflows.dispatch_due_cron_runs() == []
    clock.at = NOON
    assert len(await timed.workflows.dispatch_due_cron_runs()) == 1


async def test_configs_are_kept_and_handed_out(db: Database) -> None:
    workflow = await new_workflow(db)
    config = CronTriggerConfig(
        expression="*/10 9-17 * * mon-fri",
        timezone="Europe/Berlin",
        allow_overlapping=True,
        start_at=at("2025-01-01T00:00:00+01:00"),
        end_at=at("2026-01-01T00:00:00Z"),
        misfire_policy=CronMisfirePolicy.CATCH_UP,
        misfire_grace_seconds=60,
        max_catch_up=3,
    )
    assert await db.workflows.configure_cron_trigger(workflow.id, config) == config
    assert await db.workflows.get_cron_trigger_config(workflow.id) == config
    trail = (await db.workflows.get_workflow(workflow.id)).audit_log
    assert [(r.actor, r.action) for r in trail[1:]] == [("system", "cron_trigger_configured")]
    # The same again changes nothing.
    await db.workflows.configure_cron_trigger(workflow.id, config, actor="ada")
    assert (await db.workflows.get_workflow(workflow.id)).audit_log == trail


async def test_what_is_missing_is_said(db: Database) -> None:
    workflow = await new_workflow(db)
    for call in (db.workflows.get_cron_trigger_config, db.workflows.get_cron_schedule):
        with pytest.raises(WorkflowNotFoundError):
            await call(MISSING)
        with pytest.raises(
            CronTriggerNotFoundError,
            match=f"^No cron trigger configured for workflow {workflow.id}$",
        ):
            await call(workflow.id)
    for change_it in (db.workflows.pause_cron_trigger, db.workflows.resume_cron_trigger):
        with pytest.raises(CronTriggerNotFoundError):
            await change_it(workflow.id, actor="ada")
        with pytest.raises(WorkflowNotFoundError):
            await change_it(MISSING, actor="ada")
    with pytest.raises(WorkflowNotFoundError):
        await db.workflows.configure_cron_trigger(MISSING, CronTriggerConfig())
    with pytest.raises(WorkflowNotFoundError):
        await db.workflows.delete_cron_trigger(MISSING)
    await db.workflows.delete_cron_trigger(workflow.id)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expression": "often"}, "Invalid cron expression: often"),
        ({"expression": "0 0 31 2 *"}, "never fires"),
        ({"expression": "* * * * *"}, "fires every 60s.*allow_overlapping"),
        ({"expression": "0,1 9 * * *"}, "fires every 60s"),
        ({"timezone": "Mars/Olympus"}, "Unknown timezone 'Mars/Olympus'"),
        ({"start_at": dt.datetime(2025, 1, 1)}, "timezone-aware"),  # noqa: DTZ001
        ({"start_at": at("2025-01-01T00:00:01Z")}, "align to whole minutes"),
        ({"start_at": at("2025-01-02T00:00:00Z"), "end_at": NOON}, "start_at must be earlier"),
    ],
)
async def test_bad_configs_are_refused(db: Database, fields: dict[str, Any], message: str) -> None:
    workflow = await new_workflow(db)
    with pytest.raises(CronValidationError, match=message):
        await db.workflows.configure_cron_trigger(workflow.id, fields)
    with pytest.raises(CronTriggerNotFoundError):
        await db.workflows.get_cron_trigger_config(workflow.id)


async def test_boundaries_may_come_as_text_and_survive_a_restart(
    settings_of: dict[str, Any],
) -> None:
    """W-02: the only form that JSON has made every later operation fail."""
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db)
        config = await db.workflows.configure_cron_trigger(
            workflow.id, {"expression": "0 9 * * *", "start_at": "2025-01-01T00:00:00+01:00"}
        )
    async with Database(**settings_of) as db:
        assert await db.workflows.get_cron_trigger_config(workflow.id) == config
        assert await db.workflows.dispatch_due_cron_runs(now=NOON) == []


# Overlap


async def test_an_unfinished_run_holds_the_next_one_back(db: Database) -> None:
    await scheduled(db, "0 * * * *")
    assert len(await dispatch(db, NOON)) == 1
    assert await dispatch(db, NOON + HOUR) == []
    [run] = (await db.workflows.page_runs()).items
    await db.workflows.mark_run_started(run.id, actor="w")
    assert await dispatch(db, NOON + 2 * HOUR) == []
    await db.workflows.mark_run_failed(run.id, actor="w", error="boom")
    # It has been due since 13:00; of what was missed the newest fires.
    assert await dispatch(db, NOON + 2 * HOUR) == ["2025-01-01T14:00:00+00:00"]


@pytest.mark.parametrize("ending", ["succeeded", "failed", "cancelled"])
async def test_a_slot_is_free_wherever_the_run_ends(
    settings_of: dict[str, Any], ending: str
) -> None:
    """W-07: the process that dispatched need not be the one that executes."""
    async with Database(**settings_of) as db, Database(**settings_of) as worker:
        await scheduled(db, "0 * * * *")
        [run] = await db.workflows.dispatch_due_cron_runs(now=NOON)
        await lead_to(worker, run, ending)
        assert len(await dispatch(db, NOON + HOUR)) == 1


async def test_a_swept_or_forgotten_run_is_not_for_ever(db: Database) -> None:
    """W-08: a run that a dead worker left behind holds its schedule back until it is ended."""
    await scheduled(db, "0 * * * *")
    [run] = await db.workflows.dispatch_due_cron_runs(now=NOON)
    await db.workflows.mark_run_started(run.id, actor="w")
    assert await dispatch(db, NOON + 29 * DAY) == []
    await db.workflows.mark_run_failed(run.id, actor="operator", error="worker died")
    assert len(await dispatch(db, NOON + 29 * DAY)) == 1


async def test_schedules_may_be_allowed_to_overlap(db: Database) -> None:
    await scheduled(db, "*/1 * * * *", allow_overlapping=True)
    for minute in range(3):
        assert len(await dispatch(db, NOON + dt.timedelta(minutes=minute))) == 1
    assert len((await db.workflows.page_runs(status="pending")).items) == 3


async def test_the_label_cron_means_nothing(db: Database) -> None:
    """W-25: anybody may write it."""
    version = await scheduled(db, "0 * * * *")
    for _ in range(2):
        await new_run(db, version, triggered_by="cron")
    assert len(await dispatch(db, NOON)) == 1


# Misfires


async def missed(db: Database, hours: int, **config: Any) -> list[str]:
    await scheduled(db, "0 * * * *", **config)
    assert len(await dispatch(db, NOON)) == 1
    await finish(db)
    return [text[11:13] for text in await dispatch(db, NOON + hours * HOUR + HOUR / 2)]


async def test_by_default_the_newest_missed_occurrence_fires(db: Database) -> None:
    assert await missed(db, 9) == ["21"]
    await finish(db)
    assert await dispatch(db, NOON + 9 * HOUR + HOUR / 2) == []


async def test_missed_occurrences_may_be_skipped(db: Database) -> None:
    skip = CronMisfirePolicy.SKIP
    assert await missed(db, 9, misfire_policy=skip, misfire_grace_seconds=60) == []
    assert await dispatch(db, NOON + 10 * HOUR) == ["2025-01-01T22:00:00+00:00"]


async def test_missed_occurrences_may_be_made_up_for_within_bounds(db: Database) -> None:
    config = {"misfire_policy": CronMisfirePolicy.CATCH_UP, "max_catch_up": 3}
    assert await missed(db, 9, allow_overlapping=True, **config) == ["19", "20", "21"]
    assert await dispatch(db, NOON + 9 * HOUR + HOUR / 2) == []


async def test_without_overlap_they_are_made_up_for_one_after_the_other(db: Database) -> None:
    config = {"misfire_policy": CronMisfirePolicy.CATCH_UP, "max_catch_up": 3}
    assert await missed(db, 9, **config) == ["19"]
    now = NOON + 9 * HOUR + HOUR / 2
    for hour in ("20", "21"):
        assert await dispatch(db, now) == []
        await finish(db)
        assert [text[11:13] for text in await dispatch(db, now)] == [hour]
    await finish(db)
    assert await dispatch(db, now) == []


async def test_a_changed_expression_counts_from_now(timed: Database, clock: Clock) -> None:
    """W-28: what the new one would have missed is not made up for."""
    clock.at = NOON
    version = await scheduled(timed, "0 0 1 1 *")
    await timed.workflows.dispatch_due_cron_runs()
    clock.at = NOON + 10 * DAY
    await timed.workflows.configure_cron_trigger(
        version.workflow_id, CronTriggerConfig(expression="30 * * * *")
    )
    assert await timed.workflows.dispatch_due_cron_runs() == []
    clock.tick(1800)
    [run] = await timed.workflows.dispatch_due_cron_runs()
    assert run.input_payload["scheduled_for"] == (NOON + 10 * DAY + HOUR / 2).isoformat()


async def test_what_is_due_between_configuration_and_the_first_look_is_not_lost(
    timed: Database, clock: Clock
) -> None:
    clock.at = NOON - HOUR
    await scheduled(timed)
    clock.at = NOON + 2 * HOUR
    assert len(await timed.workflows.dispatch_due_cron_runs()) == 1


async def test_a_time_in_the_future_fires_early_and_silences_nothing(
    timed: Database, clock: Clock
) -> None:
    """W-28: one look at 2030 kept a daily schedule silent until then."""
    clock.at = NOON - HOUR
    await scheduled(timed, allow_overlapping=True)
    future = at("2030-01-01T12:00:00Z")
    assert await dispatch(timed, future) == ["2030-01-01T12:00:00+00:00"]
    assert await dispatch(timed, future) == []
    clock.at = NOON
    [run] = await timed.workflows.dispatch_due_cron_runs()
    assert run.input_payload["scheduled_for"] == NOON.isoformat()


# Who else has a say


async def test_without_a_version_a_schedule_stays_due(db: Database) -> None:
    workflow = await new_workflow(db)
    await db.workflows.configure_cron_trigger(
        workflow.id, CronTriggerConfig(expression="0 12 * * *")
    )
    assert await dispatch(db, NOON) == []
    await new_version(db, workflow)
    latest = await new_version(db, workflow)
    [run] = await db.workflows.dispatch_due_cron_runs(now=NOON + HOUR)
    assert run.input_payload["scheduled_for"] == NOON.isoformat()
    assert run.workflow_version_id == latest.id


async def test_an_archived_workflow_is_silent_and_makes_up_for_nothing(
    timed: Database, clock: Clock
) -> None:
    clock.at = NOON
    version = await scheduled(timed, "0 * * * *")
    assert len(await timed.workflows.dispatch_due_cron_runs()) == 1
    await finish(timed)
    await timed.workflows.archive_workflow(version.workflow_id, actor="ada")
    clock.at = NOON + 3 * HOUR
    assert await timed.workflows.dispatch_due_cron_runs() == []
    assert (await timed.workflows.get_cron_schedule(version.workflow_id)).state == "suspended"
    clock.at = NOON + 5 * HOUR + HOUR / 2
    await change(timed, version.workflow_id, is_archived=False)
    assert await timed.workflows.dispatch_due_cron_runs() == []
    clock.at = NOON + 6 * HOUR
    assert len(await timed.workflows.dispatch_due_cron_runs()) == 1
    # One that was configured while it was archived rests as well.
    await timed.workflows.archive_workflow(version.workflow_id, actor="ada")
    await timed.workflows.delete_cron_trigger(version.workflow_id)
    await timed.workflows.configure_cron_trigger(version.workflow_id, CronTriggerConfig())
    clock.at = NOON + 7 * HOUR
    assert await timed.workflows.dispatch_due_cron_runs() == []


async def test_a_schedule_can_be_paused(timed: Database, clock: Clock) -> None:
    clock.at = NOON
    version = await scheduled(timed, "0 * * * *")
    paused = await timed.workflows.pause_cron_trigger(version.workflow_id, actor="ada")
    assert paused.state == "paused"
    await timed.workflows.pause_cron_trigger(version.workflow_id, actor="ada")
    clock.at = NOON + 3 * HOUR
    assert await timed.workflows.dispatch_due_cron_runs() == []
    clock.tick(60)
    resumed = await timed.workflows.resume_cron_trigger(version.workflow_id, actor="ada")
    assert resumed.state == "active"
    assert await timed.workflows.dispatch_due_cron_runs() == []
    clock.at = NOON + 4 * HOUR
    assert len(await timed.workflows.dispatch_due_cron_runs()) == 1
    trail = (await timed.workflows.get_workflow(version.workflow_id)).audit_log
    assert [r.action for r in trail[2:]] == ["cron_trigger_paused", "cron_trigger_resumed"]


async def test_a_deleted_schedule_is_forgotten(db: Database) -> None:
    version = await scheduled(db, "0 * * * *")
    assert len(await dispatch(db, NOON)) == 1
    await db.workflows.delete_cron_trigger(version.workflow_id)
    assert await dispatch(db, NOON + HOUR) == []
    await db.workflows.configure_cron_trigger(
        version.workflow_id, CronTriggerConfig(expression="0 * * * *")
    )
    # The run of the former one is not in its way.
    assert len(await dispatch(db, NOON)) == 1


@dataclass
class Report:
    workflow_id: UUID
    is_healthy: bool
    failures: list[str] = field(default_factory=lambda: ["token expired"])


class Credentials:
    """A credential service whose verdict changes."""

    def __init__(self) -> None:
        self.unhealthy: set[UUID] = set()
        self.down = False
        self.asked: list[tuple[UUID, str | None]] = []

    async def ensure_workflow_health(
        self, workflow_id: UUID, *, actor: str | None = None
    ) -> Report:
        self.asked.append((workflow_id, actor))
        if self.down:
            raise OSError("no route to the vault")
        return Report(workflow_id, workflow_id not in self.unhealthy)


async def test_unhealthy_credentials_are_asked_for_again(settings_of: dict[str, Any]) -> None:
    """W-14: one bad verdict switched a schedule off for good. And it stops no other."""
    credentials = Credentials()
    async with Database(**settings_of, credentials=credentials) as db:
        sick, well = await scheduled(db), await scheduled(db)
        credentials.unhealthy.add(sick.workflow_id)
        [run] = await db.workflows.dispatch_due_cron_runs(now=NOON)
        assert run.workflow_version_id == well.id
        assert credentials.asked == [(sick.workflow_id, "cron"), (well.workflow_id, "cron")]
        credentials.unhealthy.clear()
        credentials.down = True
        assert await db.workflows.dispatch_due_cron_runs(now=NOON + HOUR) == []
        credentials.down = False
        [run] = await db.workflows.dispatch_due_cron_runs(now=NOON + 2 * HOUR)
        assert run.workflow_version_id == sick.id
        assert run.input_payload["scheduled_for"] == NOON.isoformat()


async def spoil(settings: dict[str, Any], config: str) -> None:
    async with direct(settings) as connection:
        await connection.execute(f"UPDATE cron_triggers SET config = '{config}'")


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ('{"expression": "every now and then"}', "Invalid cron expression"),
        ('{"expression": "0 12 * * *", "timezone": "Atlantis/Capital"}', "Unknown timezone"),
        ('{"expression": 12}', "Expected `str`, got `int`"),
        ('{"expression": "0 12 * * *", "misfire_policy": "explode"}', "Invalid enum value"),
    ],
)
async def test_a_poisoned_schedule_is_set_aside_and_stops_no_other(
    settings_of: dict[str, Any], db: Database, config: str, reason: str
) -> None:
    """W-03, W-27."""
    poisoned = await scheduled(db)
    await spoil(settings_of, config)
    others = [await scheduled(db) for _ in range(2)]
    runs = await db.workflows.dispatch_due_cron_runs(now=NOON)
    assert [run.workflow_version_id for run in runs] == [v.id for v in others]
    aside = await db.workflows.get_cron_schedule(poisoned.workflow_id)
    assert aside.state == "set_aside"
    assert reason in (aside.reason or "")
    assert await db.workflows.dispatch_due_cron_runs(now=NOON) == []
    await db.workflows.configure_cron_trigger(
        poisoned.workflow_id, CronTriggerConfig(expression="0 12 * * *")
    )
    assert len(await db.workflows.dispatch_due_cron_runs(now=NOON)) == 1


async def test_fields_of_a_newer_release_are_no_poison(
    settings_of: dict[str, Any], db: Database
) -> None:
    await scheduled(db)
    await spoil(settings_of, '{"expression": "0 12 * * *", "colour": "red"}')
    assert len(await db.workflows.dispatch_due_cron_runs(now=NOON)) == 1


async def test_a_rule_that_was_tightened_binds_no_stored_schedule(
    settings_of: dict[str, Any], db: Database
) -> None:
    """W-04: a stored config is never judged anew."""
    version = await scheduled(db)
    await spoil(settings_of, '{"expression": "* * * * *", "allow_overlapping": false}')
    assert len(await db.workflows.dispatch_due_cron_runs(now=NOON)) == 1
    config = await db.workflows.get_cron_trigger_config(version.workflow_id)
    assert config.expression == "* * * * *"


async def test_a_run_is_in_the_outbox_with_its_creation(
    settings_of: dict[str, Any], db: Database
) -> None:
    await scheduled(db)
    [run] = await db.workflows.dispatch_due_cron_runs(now=NOON)
    [(handed,)] = await rows(settings_of, "SELECT CAST(run_id AS text) FROM run_outbox")
    assert handed == str(run.id)
    assert (await db.workflows.search_runs("cron")).items == [run]


async def test_dispatching_is_no_part_of_a_unit_of_work(db: Database) -> None:
    async with db.transaction() as unit:
        with pytest.raises(TransactionError):
            await unit.workflows.dispatch_due_cron_runs(now=NOON)
    with pytest.raises(ValidationError, match="now"):
        await db.workflows.dispatch_due_cron_runs(now="12:00")  # type: ignore[arg-type]


async def test_only_due_schedules_are_looked_at(observed: Database, queries: Queries) -> None:
    """W-50."""
    for _ in range(5):
        await scheduled(observed, "0 0 1 1 *")
    await observed.workflows.dispatch_due_cron_runs(now=NOON)
    queries.take()
    assert await observed.workflows.dispatch_due_cron_runs(now=NOON) == []
    assert queries.take() == ["list_due_schedules"]
    await scheduled(observed)
    queries.take()
    assert len(await observed.workflows.dispatch_due_cron_runs(now=NOON)) == 1
    assert queries.take() == ["list_due_schedules", "move_schedule", "fire_schedule"]
    await finish(observed)
    queries.take()
    assert len(await observed.workflows.dispatch_due_cron_runs(now=NOON + DAY)) == 1
    assert queries.take() == ["list_due_schedules", "fire_schedule"]


async def test_more_are_due_than_fit_a_batch(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orcheo_sql.repositories.workflow_cron_dispatch.BATCH", 3)
    stuck = await new_workflow(db)
    await db.workflows.configure_cron_trigger(stuck.id, CronTriggerConfig(expression="0 12 * * *"))
    versions = [await scheduled(db) for _ in range(8)]
    runs = await db.workflows.dispatch_due_cron_runs(now=NOON)
    assert [run.workflow_version_id for run in runs] == [v.id for v in versions]


async def test_operators_page_through_schedules(db: Database) -> None:
    made = [(await scheduled(db)).workflow_id for _ in range(5)]
    first = await db.workflows.page_cron_schedules(limit=3)
    rest = await db.workflows.page_cron_schedules(limit=3, cursor=first.next_cursor)
    assert [s.workflow_id for s in [*first.items, *rest.items]] == made
    assert {(s.workflow_name, s.state) for s in first.items} == {("Flow", "active")}
