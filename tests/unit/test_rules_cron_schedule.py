"""Cron schedules: occurrences compared with a scan of every local minute, across clock changes."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orcheo_sql._errors import CronValidationError
from orcheo_sql.rules import _cron_schedule as module
from orcheo_sql.rules._cron_schedule import CronSchedule, draw_random_fields
from orcheo_sql.rules._zones import offset_at, stretches, zone_named

MINUTE = timedelta(minutes=1)
NEW_YORK = "America/New_York"

# A zone, and local days on or near which its clocks change.
CHANGES = (
    ("UTC", "2026-03-08"),
    (NEW_YORK, "2026-03-08"),
    (NEW_YORK, "2026-11-01"),
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("America/Santiago", "2026-04-04"),
    ("America/Santiago", "2026-09-06"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Africa/Casablanca", "2026-03-22"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Kathmandu", "1986-01-01"),
)


class Pattern(NamedTuple):
    """A cron expression as sets; an empty one stands for all."""

    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]

    @property
    def expression(self) -> str:
        fields = (",".join(map(str, sorted(values))) or "*" for values in self)
        minutes, hours, weekdays = fields
        return f"{minutes} {hours} * * {weekdays}"

    def matches(self, wall: datetime) -> bool:
        found = (wall.minute, wall.hour, wall.isoweekday() % 7)
        return all(not values or value in values for values, value in zip(self, found, strict=True))


def scan(pattern: Pattern, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """Return all occurrences in (start, end], by looking at every minute the clocks could show."""
    tz = ZoneInfo(zone)
    all_hours = len(pattern.hours) in (0, 24)
    found = set()
    wall = start.replace(tzinfo=None, second=0) - timedelta(days=2)
    while wall < end.replace(tzinfo=None) + timedelta(days=2):
        if pattern.matches(wall):
            first, second = (wall.replace(tzinfo=tz, fold=fold) for fold in (0, 1))
            found.add(first.astimezone(UTC))
            if all_hours and second.astimezone(UTC) > first.astimezone(UTC):
                found.add(second.astimezone(UTC))
        wall += MINUTE
    return sorted(instant for instant in found if start < instant <= end)


def values(high: int) -> st.SearchStrategy[frozenset[int]]:
    few = st.frozensets(st.integers(0, high), max_size=3)
    return few | st.sampled_from([frozenset(range(0, high + 1, step)) for step in (1, 2, 5)])


patterns = st.builds(Pattern, values(59), values(23), values(6))


def forward(schedule: CronSchedule, start: datetime, end: datetime) -> list[datetime]:
    found = []
    following = schedule.after(start)
    while following is not None and following <= end:
        found.append(following)
        following = schedule.after(following)
    return found


def backward(schedule: CronSchedule, start: datetime, end: datetime) -> list[datetime]:
    found = []
    previous = schedule.latest(start, end)
    while previous is not None:
        found.append(previous)
        previous = schedule.latest(start, previous - timedelta(microseconds=1))
    return found[::-1]


@settings(deadline=None)
@given(
    patterns,
    st.sampled_from(CHANGES),
    st.integers(-40 * 60, 30 * 60),
    st.integers(1, 24 * 60),
    st.integers(0, 59),
)
@example(Pattern(frozenset({30}), frozenset({1}), frozenset()), CHANGES[2], 0, 1440, 0)
@example(Pattern(frozenset({0, 30}), frozenset(), frozenset()), CHANGES[2], 0, 1440, 7)
@example(Pattern(frozenset({45}), frozenset(), frozenset()), CHANGES[5], 0, 1440, 0)
def test_occurrences_are_those_of_a_scan(
    pattern: Pattern, change: tuple[str, str], minutes: int, length: int, seconds: int
) -> None:
    zone, day = change
    start = datetime.fromisoformat(f"{day}T12:00:00+00:00") + minutes * MINUTE
    start += timedelta(seconds=seconds)
    end = start + length * MINUTE
    # Many occurrences say no more than some.
    expected = scan(pattern, zone, start, end)
    if len(expected) > 100:
        end = expected[100]
        expected = expected[:101]
    schedule = CronSchedule(pattern.expression, zone)
    assert forward(schedule, start, end) == expected
    assert backward(schedule, start, end) == expected


def iso(instants: list[datetime]) -> list[str]:
    return [instant.strftime("%m-%dT%H:%M") for instant in instants]


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("30 2 * * *", "2026-03-07T12:00", ["03-08T07:30", "03-09T06:30"]),
        ("30 1 * * *", "2026-10-31T12:00", ["11-01T05:30", "11-02T06:30"]),
        (
            "*/30 * * * *",
            "2026-11-01T04:30",
            ["11-01T05:00", "11-01T05:30", "11-01T06:00", "11-01T06:30", "11-01T07:00"],
        ),
        ("*/30 * * * *", "2026-03-08T06:00", ["03-08T06:30", "03-08T07:00", "03-08T07:30"]),
        # 02:00 is skipped, so it is 03:00, which the expression names anyway: one occurrence.
        ("0 2,3 * * *", "2026-03-08T06:00", ["03-08T07:00", "03-09T06:00"]),
        # Hours that are named fire once for each time named, also at short intervals.
        ("*/30 1 * * *", "2026-11-01T04:30", ["11-01T05:00", "11-01T05:30", "11-02T06:00"]),
    ],
)
def test_new_york_when_the_clocks_change(expression: str, start: str, expected: list[str]) -> None:
    schedule = CronSchedule(expression, NEW_YORK)
    found = [datetime.fromisoformat(start).replace(tzinfo=UTC)]
    for _ in expected:
        following = schedule.after(found[-1])
        assert following is not None
        found.append(following)
    assert iso(found[1:]) == expected


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        ("0 0 l * *", "2026-02-10", "2026-02-28T00:00"),
        ("0 0 * * 1#1", "2026-01-06", "2026-02-02T00:00"),
        ("0 0 * * l5", "2026-01-01", "2026-01-30T00:00"),
        ("0 0 13 * fri", "2026-01-03", "2026-01-09T00:00"),
        ("0 9 * jan MON", "2026-02-01", "2027-01-04T09:00"),
        ("@weekly", "2026-01-01", "2026-01-04T00:00"),
        ("0 0 29 2 *", "2026-01-01", "2028-02-29T00:00"),
        ("0 0 29 2 *", "2096-03-01", "2104-02-29T00:00"),
        ("0 0 1 1 * 0 2099", "2026-01-01", "2099-01-01T00:00"),
    ],
)
def test_days_far_and_near(expression: str, start: str, expected: str) -> None:
    schedule = CronSchedule(expression)
    instant = datetime.fromisoformat(f"{start}T00:00:00+00:00")
    occurrence = datetime.fromisoformat(f"{expected}:00+00:00")
    assert schedule.after(instant) == occurrence
    assert schedule.latest(instant, occurrence) == occurrence
    assert schedule.latest(instant, occurrence - MINUTE) is None
    assert schedule.latest(instant, occurrence + timedelta(days=3)) in (
        occurrence,
        *forward(schedule, occurrence, occurrence + timedelta(days=3)),
    )


def test_latest_looks_back_over_years() -> None:
    schedule = CronSchedule("0 0 29 2 *", NEW_YORK)
    start, end = datetime(2001, 1, 1, tzinfo=UTC), datetime(2103, 1, 1, tzinfo=UTC)
    assert schedule.latest(start, end) == datetime(2096, 2, 29, 5, tzinfo=UTC)
    year = CronSchedule("0 0 1 1 * 0 2050")
    assert year.latest(start, datetime(2049, 6, 1, tzinfo=UTC)) is None


def test_seconds_and_their_resolution() -> None:
    schedule = CronSchedule("0 9 * * * 15,45")
    assert schedule.resolution == timedelta(seconds=1)
    at = datetime(2026, 1, 1, 9, 0, 15, tzinfo=UTC)
    assert schedule.first(at + timedelta(microseconds=999_999)) == at
    assert schedule.after(at) == at + timedelta(seconds=30)
    assert schedule.after(at - timedelta(microseconds=1)) == at
    assert schedule.first(at + timedelta(seconds=31)) == at + timedelta(days=1)
    assert len(schedule.fields) == 6


def test_first_counts_the_current_minute() -> None:
    schedule = CronSchedule("0 9 * * *")
    at = datetime(2026, 1, 1, 9, 0, tzinfo=UTC)
    assert schedule.resolution == MINUTE
    assert schedule.first(datetime(2026, 1, 1, 9, 0, 37, 123)) == at  # noqa: DTZ001 - means UTC
    assert schedule.first(at) == at
    assert schedule.first(at + MINUTE) == at + timedelta(days=1)


def test_the_window_has_both_its_ends() -> None:
    start, end = datetime(2026, 1, 1, 9, tzinfo=UTC), datetime(2026, 1, 1, 12, tzinfo=UTC)
    schedule = CronSchedule("0 * * * *", "UTC", start, end)
    long_before, long_after = start - timedelta(days=400), end + timedelta(days=400)
    assert schedule.first(long_before) == start
    assert schedule.after(start) == start + timedelta(hours=1)
    assert schedule.after(end - MINUTE) == end
    assert schedule.after(end) is None
    assert forward(schedule, long_before, long_after) == backward(schedule, long_before, long_after)
    assert schedule.latest(end, long_after) is None


def test_nothing_fires_outside_the_calendar() -> None:
    schedule = CronSchedule("0 * * * *", "Asia/Tokyo")
    assert schedule.after(datetime.max.replace(tzinfo=UTC)) is None
    assert CronSchedule("0 0 29 2 *").after(datetime(9998, 1, 1, tzinfo=UTC)) is None
    assert CronSchedule("0 0 1 1 * 0 1970").after(datetime(2026, 1, 1, tzinfo=UTC)) is None


NAMES = ("jan", "mon", "L", "l", "R", "H", "W", "15w", "?", "@daily", "1#1", "l5", "9" * 400)
hostile = st.text(alphabet="0123456789*/,-#?()@RHLWlrhmon \t\n\0é²", max_size=60) | st.lists(
    st.sampled_from(NAMES) | st.from_regex(r"[0-9*]{1,12}(-[0-9]{1,12})?(/[0-9]{1,12})?"),
    max_size=9,
).map(" ".join)


@settings(deadline=None)
@given(hostile)
def test_any_text_is_a_schedule_or_refused(expression: str) -> None:
    try:
        schedule = CronSchedule(draw_random_fields(expression))
    except CronValidationError as error:
        assert str(error).startswith("Invalid cron expression: ")  # noqa: PT017
        return
    now = datetime(2026, 1, 1, tzinfo=UTC)
    occurrence = schedule.after(now)
    assert occurrence is None or schedule.latest(now, occurrence) == occurrence


def test_hostile_expressions_cost_little() -> None:
    begun = time.process_time()
    for expression in (
        "0-59," * 100 + "1 * * * *",
        "*/1," * 120 + "1 * * * *",
        "0 0 * * * 0 " + "1970-2099," * 40 + "1970",
        "1-9999999999999 * * * *",
        "0 0 31 2 *",
        "0 0 30 2 * 59 2000-2099",
        "*" * 100_000,
    ):
        try:
            CronSchedule(expression, NEW_YORK).after(datetime(2026, 1, 1, tzinfo=UTC))
        except CronValidationError as error:
            assert len(str(error)) < 200  # noqa: PT017
    assert time.process_time() - begun < 2


def test_parser_accidents_are_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any, **__: Any) -> None:
        raise AttributeError

    monkeypatch.setattr("croniter.croniter.__init__", stumble)
    with pytest.raises(CronValidationError, match=r"^Invalid cron expression: \* \* \* \* \*$"):
        CronSchedule("* * * * *")


@pytest.mark.parametrize(
    ("expression", "low", "high"),
    [
        ("R R * * *", "0 0 * * *", "59 23 * * *"),
        ("R(5-9) r R R R", "5 0 1 1 0", "9 23 28 12 6"),
        ("R/15 * * * *", "0-59/15 * * * *", "14-59/15 * * * *"),
        ("R(0-10)/20 * * * *", "0-10/20 * * * *", "10 * * * *"),
        ("0  12 * * *", "0  12 * * *", "0  12 * * *"),
        ("@hourly", "@hourly", "@hourly"),
    ],
)
def test_random_fields_are_drawn(expression: str, low: str, high: str) -> None:
    assert draw_random_fields(expression, lambda _: 0) == low
    assert draw_random_fields(expression, lambda count: count - 1) == high
    CronSchedule(draw_random_fields(expression))


@pytest.mark.parametrize("expression", ["R/0 * * * *", "R(9-5) * * * *"])
def test_random_fields_without_a_choice_are_refused(expression: str) -> None:
    with pytest.raises(CronValidationError, match="Invalid cron expression"):
        draw_random_fields(expression)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Nowhere",
        "localtime",
        "posixrules",
        "right/UTC",
        "posix/UTC",
        "Factory",
        "/etc/passwd",
        "../UTC",
        "America",
        "a\0b",
        "\ud800",
        "x" * 5000,
    ],
)
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(CronValidationError, match="Unknown timezone"):
        zone_named(name)


def test_stretches_of_a_zone() -> None:
    zone = zone_named(NEW_YORK)
    start, end = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    first, summer, last = stretches(zone, start, end)
    hour = timedelta(hours=1)
    assert (first.start, first.end) == (start, datetime(2026, 3, 8, 7, tzinfo=UTC))
    assert (summer.start, summer.end) == (first.end, datetime(2026, 11, 1, 6, tzinfo=UTC))
    assert last.start == summer.end
    assert last.end > end
    assert [each.offset / hour for each in (first, summer, last)] == [-5, -4, -5]
    assert [each.skipped / hour for each in (first, summer, last)] == [1, 0, 0]
    assert [each.repeated / hour for each in (first, summer, last)] == [0, 0, 1]
    assert offset_at(zone, start) == -5 * hour


def test_the_module_keeps_croniter_for_later() -> None:
    # It loads dateutil, and most programs have no schedule to read.
    assert not hasattr(module, "croniter")
