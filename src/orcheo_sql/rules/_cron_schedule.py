"""The occurrences of a cron expression in a time zone, as instants in UTC.

An expression speaks of local time, which the clocks sometimes skip and sometimes show twice:

* A time that the clocks skip occurs as much later as they jump: 02:30 at 03:30.
* A time that they show twice occurs the first time; the second time too if the expression names
  no hours, because such a schedule means "so often", not "at this time".

croniter reads the expression and steps through local times without a zone; it is told nothing
of clocks. One stretch of constant offset contributes its local times, shifted by its offset:

* from its start, or, when hours are named, from where local time is new;
* to its end, and on through what the clocks skip there.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orcheo_sql._errors import CronValidationError
from orcheo_sql.rules._zones import FURTHEST_SHIFT, offset_at, stretches, to_utc, zone_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from orcheo_sql.rules._zones import Stretch

MAX_EXPRESSION_LENGTH = 512

# As many years as the year field knows.
_HORIZON_YEARS = 130
_WINDOW = timedelta(days=4)
_SECOND = timedelta(seconds=1)

_HOURS = 1
_CHARACTERS = re.compile(r"[A-Za-z0-9*/,#?()@ \t-]+")
_RANDOM = re.compile(r"[rR](?:\((\d{1,4})-(\d{1,4})\))?(?:/(\d{1,4}))?")
# Days that every month has.
_DRAWN_FROM = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6), (0, 59), (1970, 2099))


def parse_expression(expression: str) -> Any:
    """Return croniter's reading of an expression; refuse what it can't read."""
    from croniter import croniter  # type: ignore[import-untyped]

    if len(expression) > MAX_EXPRESSION_LENGTH or _CHARACTERS.fullmatch(expression) is None:
        raise _invalid(expression)
    try:
        return croniter(
            expression,
            start_time=datetime(2000, 1, 1),  # noqa: DTZ001 - local times have no zone
            ret_type=datetime,
            max_years_between_matches=_HORIZON_YEARS,
        )
    # It is not careful about what its own parser stumbles over.
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _invalid(expression) from error


def draw_random_fields(expression: str, draw: Callable[[int], int] = secrets.randbelow) -> str:
    """Return an expression with each random field (``R``, ``R(1-9)``, ``R/5``) replaced by a draw.

    `draw` returns a number from 0 on, below the given one. 0 gives a stepped field its shortest
    interval.
    """
    fields = expression.split()
    matches = [_RANDOM.fullmatch(field) for field in fields]
    if not any(matches):
        return expression
    drawn = [
        field if match is None else _drawn(expression, match, bounds, draw)
        for field, match, bounds in zip(fields, matches, _DRAWN_FROM, strict=False)
    ]
    return " ".join(drawn)


def _drawn(
    expression: str, match: re.Match[str], bounds: tuple[int, int], draw: Callable[[int], int]
) -> str:
    first, last, step = (int(text) if text else None for text in match.groups())
    low, high = bounds
    if first is not None and last is not None:
        low, high = first, last
    count = high - low + 1
    if count < 1 or step == 0:
        raise _invalid(expression)
    value = low + draw(count if step is None else min(step, count))
    return str(value) if step is None or value == high else f"{value}-{high}/{step}"


def _invalid(expression: str) -> CronValidationError:
    shown = expression if len(expression) <= 100 else f"{expression[:100]}..."
    return CronValidationError(f"Invalid cron expression: {shown}")


class CronSchedule:
    """When a cron expression fires, within a window that includes both its ends.

    Instances step a croniter of their own: use one from one thread at a time.
    """

    def __init__(
        self,
        expression: str,
        timezone: str = "UTC",
        start_at: datetime | None = None,
        end_at: datetime | None = None,
    ):
        self._cron = parse_expression(expression)
        self._zone = zone_named(timezone)
        self._start_at = None if start_at is None else to_utc(start_at)
        self._end_at = None if end_at is None else to_utc(end_at)
        self._names_hours = "*" not in self._cron.expanded[_HOURS]

    @property
    def fields(self) -> list[list[int | str]]:
        """The values of each field: minutes, hours, days, months, weekdays, seconds, years."""
        return [list(values) for values in self._cron.expanded]

    @property
    def resolution(self) -> timedelta:
        """The unit of time of the expression: a minute, or a second if it has a field for them."""
        return timedelta(minutes=1) if len(self._cron.expanded) == 5 else _SECOND

    def after(self, instant: datetime) -> datetime | None:
        """Return the first occurrence strictly after an instant; None when there is none."""
        try:
            found = self._after(self._not_before_start(_whole_second(instant)))
        except OverflowError:  # the calendar ends before the search does
            return None
        return None if found is None or (self._end_at and found > self._end_at) else found

    def latest(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last occurrence that is after the first instant, not after the second."""
        until = _whole_second(until)
        if self._end_at is not None:
            until = min(until, self._end_at)
        return self._latest(self._not_before_start(_whole_second(after)), until)

    def first(self, now: datetime) -> datetime | None:
        """Return the first occurrence from now on, that of the current minute or second included."""
        start = _whole_second(now)
        return self.after(start - _SECOND * (start.second % (self.resolution // _SECOND) + 1))

    def wall_after(self, wall: datetime) -> datetime | None:
        """Return the first matching local time after another; zones and the window play no part."""
        return self._step("get_next", wall)

    def _not_before_start(self, instant: datetime) -> datetime:
        start = self._start_at
        return instant if start is None or start <= instant else start - _SECOND

    def _after(self, after: datetime) -> datetime | None:
        while True:
            until = after + _WINDOW
            found = self._first_in(after, until)
            if found is not None:
                return found
            # Nothing in this window: go close to the next local time that matches.
            offset = offset_at(self._zone, until)
            wall = self.wall_after(_wall(until, offset - FURTHEST_SHIFT))
            if wall is None:
                return None
            after = max(until, _instant(wall, offset) - _WINDOW / 2)

    def _latest(self, after: datetime, until: datetime) -> datetime | None:
        while until > after:
            start = max(after, until - _WINDOW)
            found = self._last_in(start, until)
            if found is not None:
                return found
            offset = offset_at(self._zone, start)
            wall = self._step("get_prev", _wall(start, offset + FURTHEST_SHIFT))
            if wall is None:
                return None
            until = min(start, _instant(wall, offset) + _WINDOW / 2)
        return None

    def _first_in(self, after: datetime, until: datetime) -> datetime | None:
        found = []
        for stretch in stretches(self._zone, after - FURTHEST_SHIFT, until):
            start, end = self._reach(stretch)
            wall = self.wall_after(_wall(max(after, start - _SECOND), stretch.offset))
            instant = None if wall is None else _instant(wall, stretch.offset)
            if instant is not None and instant <= until and instant < end:
                found.append(instant)
        return min(found, default=None)

    def _last_in(self, after: datetime, until: datetime) -> datetime | None:
        found = []
        for stretch in stretches(self._zone, after - FURTHEST_SHIFT, until):
            start, end = self._reach(stretch)
            wall = self._step("get_prev", _wall(min(until + _SECOND, end), stretch.offset))
            instant = None if wall is None else _instant(wall, stretch.offset)
            if instant is not None and instant > after and instant >= start:
                found.append(instant)
        return max(found, default=None)

    def _reach(self, stretch: Stretch) -> tuple[datetime, datetime]:
        """Return from when to before when the local times of a stretch are occurrences."""
        start = stretch.start + stretch.repeated if self._names_hours else stretch.start
        return start, stretch.end + stretch.skipped

    def _step(self, method: str, wall: datetime) -> datetime | None:
        try:
            found: datetime = getattr(self._cron, method)(datetime, start_time=wall)
        except (ValueError, OverflowError):  # nothing within the horizon, or within the calendar
            return None
        return found


def _wall(instant: datetime, offset: timedelta) -> datetime:
    return instant.replace(tzinfo=None) + offset


def _instant(wall: datetime, offset: timedelta) -> datetime:
    return (wall - offset).replace(tzinfo=UTC)


def _whole_second(instant: datetime) -> datetime:
    # Occurrences are whole seconds, so what is after an instant is after the second it is in.
    return to_utc(instant).replace(microsecond=0)
