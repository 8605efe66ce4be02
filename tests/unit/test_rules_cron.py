"""Cron triggers: accepted configs, first and next occurrences, misfires."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from orcheo_sql._errors import (
    CronOverlapError,
    CronTriggerNotFoundError,
    CronValidationError,
    ValidationError,
)
from orcheo_sql.rules.cron import (
    UNSEEN,
    DispatchPlan,
    DueOccurrences,
    due_occurrences,
    first_occurrence,
    next_occurrence,
    parse_cron_config,
    plan_dispatch,
    schedule_of,
    shortest_interval_seconds,
)
from orcheo_sql.structs.triggers import CronMisfirePolicy, CronTriggerConfig

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
SKIP, CATCH_UP = CronMisfirePolicy.SKIP, CronMisfirePolicy.CATCH_UP


def config(expression: str = "0 * * * *", **fields: Any) -> CronTriggerConfig:
    return CronTriggerConfig(expression=expression, **fields)


@pytest.mark.parametrize(
    "expression",
    [
        "0 9 * * *",
        "@hourly",
        "0 0 L * *",
        "0 0 * * 1#1",
        "0 9 * * mon",
        "0 9 * * * 30",
        "0 9 1 1 * 0 2030",
        "*/5 * * * *",
        "0 0 29 2 *",
        "0 0 1 1 * 0 1999",
        "0 0 13 * fri",
    ],
)
def test_expressions_are_kept_as_given(expression: str) -> None:
    assert config(expression).expression == expression


def test_random_expressions_are_drawn_once() -> None:
    drawn = config("R R(2-4) R * *")
    minute, hour, day, *rest = drawn.expression.split()
    assert int(minute) in range(60)
    assert int(hour) in range(2, 5)
    assert int(day) in range(1, 29)
    assert rest == ["*", "*"]
    assert parse_cron_config({"expression": drawn.expression}) == drawn


@pytest.mark.parametrize("expression", ["nope", "* * * *", "H * * * *", "60 * * * *", ""])
def test_expressions_that_are_none_are_refused(expression: str) -> None:
    with pytest.raises(CronValidationError, match="Invalid cron expression: "):
        config(expression)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"expression": 5}, "expression must be text"),
        ({"timezone": "Mars/Olympus"}, "Unknown timezone 'Mars/Olympus'"),
        ({"timezone": None}, "timezone must be text"),
        ({"allow_overlapping": 1}, "allow_overlapping must be true or false"),
        ({"start_at": datetime(2026, 1, 1)}, "timezone-aware"),  # noqa: DTZ001
        ({"end_at": "2026-01-01T00:00"}, "timezone-aware"),
        ({"end_at": NOON + timedelta(seconds=1)}, "align to whole minutes"),
        ({"end_at": NOON + timedelta(microseconds=1)}, "align to whole minutes"),
        ({"start_at": "soon"}, "not a date and time: 'soon'"),
        ({"start_at": date(2026, 1, 1)}, "must be dates with a time"),
        ({"start_at": "0001-01-01T00:00+14:00"}, "years 1 to 9999"),
        ({"start_at": NOON, "end_at": NOON - MINUTE}, "start_at must be earlier than end_at"),
        ({"misfire_policy": "panic"}, "misfire_policy must be one of: skip, fire_once, catch_up"),
        ({"misfire_policy": []}, "misfire_policy must be one of"),
        ({"misfire_grace_seconds": -1}, "misfire_grace_seconds must be a whole number from 0"),
        ({"max_catch_up": 0}, "max_catch_up must be a whole number from 1 to 100"),
        ({"expression": "0 0 31 2 *"}, r"'0 0 31 2 \*' never fires\.$"),
        (
            {"start_at": NOON + MINUTE, "end_at": NOON + 2 * MINUTE},
            "never fires between start_at and end_at",
        ),
    ],
)
def test_other_fields_are_checked(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        CronTriggerConfig(**fields)


def test_boundaries_are_instants_in_utc_also_given_as_text() -> None:
    east = timezone(2 * HOUR)
    made = config(start_at=NOON.astimezone(east), end_at="2026-01-01T14:00:00+02:00")
    assert made.start_at == made.end_at == NOON
    assert made.start_at is not None
    assert made.start_at.tzinfo is UTC
    assert config(start_at="2026-01-01T12:00Z").start_at == NOON
    assert config(end_at="9999-12-31T23:59Z").end_at is not None
    assert first_occurrence(config(start_at="0001-01-01T00:00Z"), NOON) == NOON


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("* * * * *", 60),
        ("0,1 9 * * *", 60),
        ("*/7 * * * *", 240),
        ("0 9 * * * 0,30", 30),
        ("* * * * * *", 1),
        ("0 * * * * 10-12", 1),
        ("0,59 * * * *", 60),
        ("0,59 * * * * 30", 60),
        ("0,58 0,23 * * *", 120),
        ("0,58 0,23 1,31 * *", 120),
        ("0,58 0,23 * * * 0 2030", 120),
        ("R/7 * * * *", 240),
    ],
)
def test_frequent_schedules_need_overlap(expression: str, seconds: int) -> None:
    with pytest.raises(CronValidationError, match=f"fires every {seconds}s.*allow_overlapping"):
        config(expression)
    assert config(expression, allow_overlapping=True).allow_overlapping


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("*/5 * * * *", 300),
        ("0 9 * * *", None),
        ("0 9,17 * * *", 8 * 3600),
        ("0 0,23 * * *", 3600),
        ("0,58 0,23 1,15 * *", 58 * 60),
        ("0,58 0,23 1 1 * 0 2030", 58 * 60),
    ],
)
def test_rare_schedules_do_not(expression: str, seconds: int | None) -> None:
    assert shortest_interval_seconds(schedule_of(config(expression))) == seconds


@settings(deadline=None)
@given(st.sets(st.integers(0, 59), min_size=1), st.sets(st.integers(0, 23), min_size=1))
def test_the_shortest_interval_is_that_of_a_day(minutes: set[int], hours: set[int]) -> None:
    expression = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
    times = sorted(h * 60 + m for h in hours for m in minutes)
    gaps = [b - a for a, b in zip(times, [*times[1:], times[0] + 1440], strict=True)]
    schedule = schedule_of(config(expression, allow_overlapping=True))
    assert (shortest_interval_seconds(schedule) or 86_400) == min(gaps) * 60


def test_configs_come_as_mappings_models_or_themselves() -> None:
    class Model(BaseModel):
        expression: str = "0 * * * *"
        timezone: str = "UTC"
        start_at: datetime | None = None

    made = config("0 9 * * *", start_at=NOON)
    assert parse_cron_config(made) is made
    assert parse_cron_config({"expression": "0 9 * * *", "start_at": NOON}) == made
    assert parse_cron_config(Model(expression="0 9 * * *", start_at=NOON)) == made
    assert parse_cron_config({}) == CronTriggerConfig()
    with pytest.raises(ValidationError, match="cron trigger has unknown fields: 'cron'"):
        parse_cron_config({"cron": "0 9 * * *"})
    with pytest.raises(ValidationError, match="cron trigger must be a mapping"):
        parse_cron_config("0 9 * * *")


def test_stored_configs_are_read_whatever_the_rules_say() -> None:
    stored = CronTriggerConfig.from_stored(
        {"expression": "* * * * *", "timezone": "Mars/Olympus", "of_a_newer_release": 1}
    )
    assert (stored.expression, stored.timezone) == ("* * * * *", "Mars/Olympus")
    assert stored.allow_overlapping is False
    with pytest.raises(CronValidationError, match="Unknown timezone"):
        due_occurrences(stored, NOON, NOON)


def test_a_schedule_starts_from_now() -> None:
    daily = config("0 9 * * *")
    nine = NOON.replace(hour=9)
    assert first_occurrence(daily, nine + timedelta(seconds=37, microseconds=123)) == nine
    assert first_occurrence(daily, nine + MINUTE) == nine + DAY
    assert first_occurrence(config(start_at=NOON - 365 * DAY), NOON + MINUTE) == NOON + HOUR
    assert first_occurrence(config(start_at=NOON + DAY), NOON) == NOON + DAY
    assert first_occurrence(config(end_at=NOON - DAY), NOON) is None
    los_angeles = config("0 9 * * *", timezone="America/Los_Angeles")
    assert first_occurrence(los_angeles, NOON) == NOON.replace(hour=17)
    assert next_occurrence(daily, nine) == nine + DAY
    assert next_occurrence(daily, nine.replace(tzinfo=None)) == nine + DAY


@pytest.mark.parametrize("now", [None, "now", FIRST, LAST, date(2026, 1, 1)])
def test_now_is_a_time_that_can_be(now: Any) -> None:
    for ask in (first_occurrence, next_occurrence):
        with pytest.raises(ValidationError, match="years 1971 to 8999"):
            ask(config(), now)
    with pytest.raises(ValidationError, match="now must be a date and time"):
        due_occurrences(config(), NOON, now)


def test_nothing_is_due_before_its_time_or_without_one() -> None:
    later = NOON + timedelta(microseconds=1)
    assert due_occurrences(config(), later, NOON) == DueOccurrences(fire=[], next_fire_at=later)
    assert due_occurrences(config(), None, NOON) == DueOccurrences(fire=[], next_fire_at=None)


def test_what_is_due_on_time_fires_under_each_policy() -> None:
    for policy in CronMisfirePolicy:
        due = due_occurrences(config(misfire_policy=policy), NOON, NOON + MINUTE)
        assert due == DueOccurrences(fire=[NOON], next_fire_at=NOON + HOUR)


def test_the_last_occurrence_of_a_window() -> None:
    due = due_occurrences(config(end_at=NOON), NOON, NOON + DAY)
    assert due == DueOccurrences(fire=[NOON], next_fire_at=None)


def test_skip_drops_what_is_late() -> None:
    schedule = config(misfire_policy=SKIP, misfire_grace_seconds=60)
    begun = NOON - 10 * HOUR
    assert due_occurrences(schedule, begun, NOON + MINUTE) == DueOccurrences(
        fire=[NOON], next_fire_at=NOON + HOUR, dropped_since=begun
    )
    assert due_occurrences(schedule, begun, NOON + 2 * MINUTE) == DueOccurrences(
        fire=[], next_fire_at=NOON + HOUR, dropped_since=begun
    )


def test_fire_once_fires_the_newest() -> None:
    begun = NOON - 10 * HOUR
    assert due_occurrences(config(), begun, NOON + 59 * MINUTE) == DueOccurrences(
        fire=[NOON], next_fire_at=NOON + HOUR, dropped_since=begun
    )


def test_catch_up_fires_the_newest_in_order() -> None:
    schedule = config(misfire_policy=CATCH_UP, max_catch_up=3, allow_overlapping=True)
    begun = NOON - 10 * HOUR
    assert due_occurrences(schedule, begun, NOON) == DueOccurrences(
        fire=[NOON - 2 * HOUR, NOON - HOUR, NOON], next_fire_at=NOON + HOUR, dropped_since=begun
    )
    assert due_occurrences(schedule, NOON - HOUR, NOON) == DueOccurrences(
        fire=[NOON - HOUR, NOON], next_fire_at=NOON + HOUR
    )


def test_catch_up_without_overlap_goes_one_by_one() -> None:
    schedule = config(misfire_policy=CATCH_UP, max_catch_up=3)
    due = due_occurrences(schedule, NOON - 10 * HOUR, NOON)
    fired, drops = [], [due.dropped_since]
    while due.fire:
        assert len(due.fire) == 1
        fired += due.fire
        due = due_occurrences(schedule, due.next_fire_at, NOON)
        drops.append(due.dropped_since)
    assert fired == [NOON - 2 * HOUR, NOON - HOUR, NOON]
    assert drops == [NOON - 10 * HOUR, None, None, None]
    assert due.next_fire_at == NOON + HOUR


def test_a_due_time_that_the_zone_no_longer_has_is_kept() -> None:
    odd = NOON + 17 * MINUTE
    assert due_occurrences(config(), odd, odd + MINUTE) == DueOccurrences(
        fire=[odd], next_fire_at=NOON + HOUR
    )


def test_a_long_outage_costs_no_more_than_a_short_one() -> None:
    every_second = config(
        "* * * * * *", misfire_policy=CATCH_UP, max_catch_up=100, allow_overlapping=True
    )
    begun = time.process_time()
    due = due_occurrences(every_second, NOON - 3650 * DAY, NOON)
    assert due.fire == [NOON - timedelta(seconds=back) for back in range(99, -1, -1)]
    assert time.process_time() - begun < 1


def plan(
    now: datetime,
    next_fire_at: datetime = UNSEEN,
    counted_from: datetime = NOON,
    clock: datetime | None = None,
    **fields: Any,
) -> DispatchPlan:
    return plan_dispatch(
        config(**fields),
        next_fire_at=next_fire_at,
        counted_from=counted_from,
        now=now,
        clock=clock or now,
    )


def test_what_nobody_has_looked_at_is_due_from_when_it_was_made() -> None:
    made = NOON + 10 * MINUTE
    late = plan(NOON + 3 * HOUR, counted_from=made, misfire_policy=CATCH_UP)
    assert (late.due_since, late.is_due, late.fire) == (NOON + HOUR, True, [NOON + HOUR])
    early = plan(NOON + 20 * MINUTE, counted_from=made)
    assert (early.due_since, early.is_due, early.fire) == (NOON + HOUR, False, [])


def test_a_time_before_it_was_made_leaves_nothing_behind() -> None:
    before = NOON - 30 * DAY
    assert plan(before + MINUTE).due_since == UNSEEN, "nothing to store"
    asked_for = plan(before, misfire_policy=CATCH_UP, allow_overlapping=True)
    assert (asked_for.due_since, asked_for.fire) == (before, [before])
    assert asked_for.next_fire_at == before + HOUR
    # Who goes on from there by such times gets on; who comes by the clock starts where it was made.
    assert plan(before + HOUR, before + HOUR).fire == [before + HOUR]
    later = plan(NOON + MINUTE, before + HOUR, misfire_policy=CATCH_UP, allow_overlapping=True)
    assert (later.due_since, later.fire) == (NOON, [NOON])


def test_fired_early_it_is_due_by_the_clock_again() -> None:
    early = plan(NOON + 365 * DAY, NOON + HOUR, clock=NOON)
    assert early.fire == [NOON + 365 * DAY]
    assert early.next_fire_at == NOON + HOUR


def test_the_bound_of_what_is_made_up_for_holds_without_rules() -> None:
    for stored, most in ((10**9, 100), (0, 1), (-5, 1)):
        unruly = CronTriggerConfig.from_stored(
            {"misfire_policy": CATCH_UP, "max_catch_up": stored, "allow_overlapping": True}
        )
        assert len(due_occurrences(unruly, NOON - 365 * DAY, NOON).fire) == most


@settings(deadline=None)
@given(
    st.sampled_from(CronMisfirePolicy),
    st.booleans(),
    st.integers(1, 4),
    st.lists(st.integers(0, 9 * 3600), min_size=1, max_size=6),
)
def test_dispatches_fire_no_occurrence_twice_and_only_occurrences(
    policy: CronMisfirePolicy, overlap: bool, bound: int, pauses: list[int]
) -> None:
    schedule = config(
        "*/20 * * * *",
        timezone="America/New_York",
        misfire_policy=policy,
        max_catch_up=bound,
        allow_overlapping=overlap,
    )
    now = datetime(2026, 10, 31, 20, tzinfo=UTC)
    next_fire_at = first_occurrence(schedule, now)
    fired: list[datetime] = []
    for pause in pauses:
        now += timedelta(seconds=pause)
        due = due_occurrences(schedule, next_fire_at, now)
        assert len(due.fire) <= bound
        fired += due.fire
        next_fire_at = due.next_fire_at
    assert fired == sorted(set(fired))
    assert all(each.minute % 20 == 0 and each.second == 0 and each <= now for each in fired)
    assert next_fire_at is not None
    assert all(each < next_fire_at for each in fired)


def test_error_texts() -> None:
    assert str(CronOverlapError()) == "Cron trigger already has an active run"
    assert str(CronTriggerNotFoundError("w")) == "No cron trigger configured for workflow w"
    assert issubclass(CronOverlapError, RuntimeError)
    assert issubclass(CronTriggerNotFoundError, RuntimeError)
    assert issubclass(CronValidationError, ValueError)
