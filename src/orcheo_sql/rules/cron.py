"""Cron triggers: which configs are accepted, when they fire, and what a late dispatch does."""

from __future__ import annotations

import functools
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import CronValidationError, ValidationError
from orcheo_sql.rules._configs import at_least, parse_config
from orcheo_sql.rules._cron_schedule import CronSchedule, draw_random_fields, parse_expression
from orcheo_sql.rules._values import require_flag, require_int, require_text
from orcheo_sql.rules._zones import to_utc
from orcheo_sql.structs.base import Record
from orcheo_sql.structs.triggers import CronMisfirePolicy, CronTriggerConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_INTERVAL_SECONDS = 300
MAX_CATCH_UP = 100
UNSEEN = datetime(1, 1, 1, tzinfo=UTC)
"""When a schedule is due that no dispatcher has looked at yet."""

_DAY = 86_400
_SECOND = timedelta(seconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# How far the clocks of dispatchers may be apart; beyond, a time that is given is one of the future.
_SKEW = timedelta(minutes=1)

# Days looked at for two in a row: over two years of a schedule that fires every other day.
_DAYS_LOOKED_AT = 400

PARSED_SCHEDULES = 256
"""How many parsed schedules are kept at most."""


class DueOccurrences(Record, frozen=True, kw_only=True):
    """What a dispatch does with one schedule."""

    fire: list[datetime]
    """The occurrences to start runs for, oldest first."""
    next_fire_at: datetime | None
    """When the schedule is due again; None when it never is."""
    dropped_since: datetime | None = None
    """The oldest occurrence that the misfire policy gives up; None when it gives up none."""


class DispatchPlan(Record, frozen=True, kw_only=True):
    """What a dispatcher does with a schedule that it was listed."""

    due_since: datetime | None
    """Since when it is due, or when it will be; to be stored if that is not what is stored."""
    is_due: bool
    fire: list[datetime]
    """The occurrences to start runs for, oldest first."""
    next_fire_at: datetime | None
    """When it is due again after them."""
    dropped_since: datetime | None


def parse_cron_config(value: object, field: str = "cron trigger") -> CronTriggerConfig:
    """Return a cron config from itself, a mapping, or a model that offers ``model_dump``."""
    return parse_config(value, field, CronTriggerConfig)


def checked_cron(config: CronTriggerConfig) -> dict[str, Any]:
    """Return the fields of a config, checked and normalised.

    No rule asks the clock, so what was accepted once is always accepted.
    """
    expression = require_text(config.expression, "expression")
    parse_expression(expression)
    fields: dict[str, Any] = {
        "expression": draw_random_fields(expression),
        "timezone": require_text(config.timezone, "timezone"),
        "allow_overlapping": require_flag(config.allow_overlapping, "allow_overlapping"),
        "start_at": _boundary(config.start_at),
        "end_at": _boundary(config.end_at),
        "misfire_policy": _policy(config.misfire_policy),
        "misfire_grace_seconds": at_least(config.misfire_grace_seconds, "misfire_grace_seconds", 0),
        "max_catch_up": require_int(config.max_catch_up, "max_catch_up", 1, MAX_CATCH_UP),
    }
    start_at, end_at = fields["start_at"], fields["end_at"]
    if start_at and end_at and start_at > end_at:
        raise CronValidationError("start_at must be earlier than end_at")
    schedule = CronSchedule(fields["expression"], fields["timezone"], start_at, end_at)
    _check_fires(schedule, expression, bounded=bool(start_at or end_at))
    if not fields["allow_overlapping"]:
        # A random expression is judged by its least favourable draw, not by the one it got.
        _check_frequency(CronSchedule(draw_random_fields(expression, lambda _: 0)), expression)
    return fields


def schedule_of(config: CronTriggerConfig) -> CronSchedule:
    """Return the schedule of a config; refuse a stored one whose expression or zone is unknown."""
    bounds = [None if at is None else to_utc(at) for at in (config.start_at, config.end_at)]
    if not isinstance(config.expression, str) or not isinstance(config.timezone, str):
        return CronSchedule(config.expression, config.timezone, *bounds)  # refuses it
    return _parsed(config.expression, config.timezone, *bounds, threading.get_ident())


@functools.lru_cache(maxsize=PARSED_SCHEDULES)
def _parsed(
    expression: str, timezone: str, start_at: datetime | None, end_at: datetime | None, _thread: int
) -> CronSchedule:
    """Parse a schedule, once for each thread that asks: what it says depends on nothing else (docs/performance.md)."""
    return CronSchedule(expression, timezone, start_at, end_at)


def first_occurrence(config: CronTriggerConfig, now: datetime) -> datetime | None:
    """Return when a schedule that is configured, or looked at for the first time, is due.

    The current minute (or second) counts; nothing before it does, wherever `start_at` is.
    """
    return schedule_of(config).first(_instant(now, "now"))


def next_occurrence(config: CronTriggerConfig, after: datetime) -> datetime | None:
    """Return the first occurrence strictly after an instant; None when there is none."""
    return schedule_of(config).after(_instant(after, "after"))


def due_occurrences(
    config: CronTriggerConfig, next_fire_at: datetime | None, now: datetime
) -> DueOccurrences:
    """Return which occurrences to fire now, and when the schedule is due again.

    However long nothing dispatched, this looks at no more occurrences than may fire. A schedule
    that forbids overlap fires one at a time: of several, the rest stay due.
    """
    now = dispatch_time(now)
    if next_fire_at is None or to_utc(next_fire_at) > now:
        return DueOccurrences(fire=[], next_fire_at=next_fire_at)
    due_since = to_utc(next_fire_at)
    schedule = schedule_of(config)
    policy = config.misfire_policy
    catches_up = policy is CronMisfirePolicy.CATCH_UP
    # The bound holds for a config too that no rule has seen: a number alone must not flood the outbox.
    most = min(max(config.max_catch_up, 1), MAX_CATCH_UP)
    fire = _newest(schedule, due_since, now, most if catches_up else 1)
    grace = timedelta(seconds=config.misfire_grace_seconds)
    if policy is CronMisfirePolicy.SKIP and now - fire[-1] > grace:
        fire = []
    one_at_a_time = len(fire) > 1 and not config.allow_overlapping
    return DueOccurrences(
        fire=fire[:1] if one_at_a_time else fire,
        next_fire_at=fire[1] if one_at_a_time else schedule.after(now),
        dropped_since=None if fire and fire[0] == due_since else due_since,
    )


def plan_dispatch(
    config: CronTriggerConfig,
    *,
    next_fire_at: datetime,
    counted_from: datetime,
    now: datetime,
    clock: datetime,
) -> DispatchPlan:
    """Return what to do about a schedule as it is stored, at a time that may be another than the clock's.

    Occurrences before `counted_from` are no concern of a schedule. Only who dispatches with a time before it gets
    them, and leaves nothing behind for those who come later.
    """
    due_since: datetime | None = next_fire_at
    if next_fire_at < counted_from:
        if now >= counted_from:
            due_since = first_occurrence(config, counted_from)
        elif next_fire_at == UNSEEN:
            first = first_occurrence(config, now)
            due_since = first if first is not None and first <= now else UNSEEN
    if due_since is None or due_since == UNSEEN or due_since > now:
        return DispatchPlan(
            due_since=due_since, is_due=False, fire=[], next_fire_at=due_since, dropped_since=None
        )
    due = due_occurrences(config, due_since, now)
    then = due.next_fire_at
    if now > clock + _SKEW:
        # Fired early, on request: the schedule itself goes by the clock, or it would be silent until then.
        after_clock = next_occurrence(config, clock)
        then = after_clock if then is None or after_clock is None else min(then, after_clock)
    return DispatchPlan(
        due_since=due_since,
        is_due=True,
        fire=due.fire,
        next_fire_at=then,
        dropped_since=due.dropped_since,
    )


def dispatch_time(value: object, field: str = "now") -> datetime:
    """Return a time at which schedules can be dispatched, in UTC; refuse any other.

    A dispatcher asks before it looks at the first schedule: else each of them would seem to be what is wrong.
    """
    return _instant(value, field)


def shortest_interval_seconds(schedule: CronSchedule) -> int | None:
    """Return the least time between two occurrences by the clock on the wall.

    It is exact below a day. None means that no two occurrences are less than a day apart.
    """
    fields = schedule.fields
    minutes, hours = _numbers(fields[0], 60), _numbers(fields[1], 24)
    seconds = _numbers(fields[5], 60) if len(fields) > 5 else [0]
    first = minutes[0] * 60 + seconds[0]
    last = minutes[-1] * 60 + seconds[-1]
    gaps = [
        *(b - a for a, b in pairwise(seconds)),
        *((b - a) * 60 + seconds[0] - seconds[-1] for a, b in pairwise(minutes)),
        *((b - a) * 3600 + first - last for a, b in pairwise(hours)),
    ]
    midnight = _DAY + hours[0] * 3600 + first - hours[-1] * 3600 - last
    if midnight < min(gaps, default=_DAY) and _has_two_days_in_a_row(schedule):
        gaps.append(midnight)
    return min(gaps, default=None)


def _check_fires(schedule: CronSchedule, expression: str, *, bounded: bool) -> None:
    if schedule.after(_EPOCH - _SECOND) is None:
        where = " between start_at and end_at" if bounded else ""
        raise CronValidationError(f"Cron expression '{expression}' never fires{where}.")


def _check_frequency(schedule: CronSchedule, expression: str) -> None:
    interval = shortest_interval_seconds(schedule)
    if interval is not None and interval < MIN_INTERVAL_SECONDS:
        raise CronValidationError(
            f"Cron expression '{expression}' fires every {interval}s at its most frequent, which "
            f"is under {MIN_INTERVAL_SECONDS}s. Set allow_overlapping to accept that."
        )


def _has_two_days_in_a_row(schedule: CronSchedule) -> bool:
    years = schedule.fields[6] if len(schedule.fields) > 6 else ["*"]
    start = datetime(min(_numbers(years, 0), default=2000), 1, 1) - _SECOND  # noqa: DTZ001
    previous = schedule.wall_after(start)
    for _ in range(_DAYS_LOOKED_AT):
        if previous is None:
            return False
        wall = schedule.wall_after(previous.replace(hour=23, minute=59, second=59))
        if wall is not None and wall.date() - previous.date() == timedelta(days=1):
            return True
        previous = wall
    return False


def _numbers(values: Sequence[int | str], count: int) -> list[int]:
    if "*" in values:
        return list(range(count))
    return sorted(value for value in values if isinstance(value, int))


def _newest(
    schedule: CronSchedule, due_since: datetime, now: datetime, limit: int
) -> list[datetime]:
    """Return the newest due occurrences, at most `limit`, oldest first.

    The one the schedule has been due since counts as one, also if the rules of its zone have
    changed since it was computed.
    """
    found: list[datetime] = []
    until = now
    while len(found) < limit:
        occurrence = schedule.latest(due_since, until)
        if occurrence is None:
            found.append(due_since)
            break
        found.append(occurrence)
        until = occurrence - _SECOND
    return found[::-1]


def _boundary(value: object) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise CronValidationError(f"Cron boundary is not a date and time: {value!r}") from None
    if not isinstance(value, datetime):
        raise CronValidationError("Cron boundaries must be dates with a time")
    if value.utcoffset() is None:
        raise CronValidationError("Cron boundaries must be timezone-aware")
    if value.second or value.microsecond:
        raise CronValidationError("Cron boundaries must align to whole minutes")
    try:
        return to_utc(value)
    except OverflowError:
        raise CronValidationError("Cron boundaries must be in the years 1 to 9999") from None


def _policy(value: object) -> CronMisfirePolicy:
    try:
        return CronMisfirePolicy(value)  # type: ignore[arg-type]
    except ValueError:
        allowed = ", ".join(CronMisfirePolicy)
        raise CronValidationError(f"misfire_policy must be one of: {allowed}.") from None


def _instant(value: object, field: str) -> datetime:
    # Years beyond leave no room for the search.
    if not isinstance(value, datetime) or not 1970 < value.year < 9000:
        raise ValidationError(f"{field} must be a date and time in the years 1971 to 8999.")
    return to_utc(value)
