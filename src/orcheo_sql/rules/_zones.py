"""Time zones as stretches of constant offset, found by looking, since zoneinfo lists none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from orcheo_sql._errors import CronValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

# No clock was ever moved by more than a day (Samoa, 2011).
FURTHEST_SHIFT = timedelta(hours=26)

# The clocks of a zone never change twice within this time.
_LOOK_EVERY = timedelta(hours=6)
_SECOND = timedelta(seconds=1)
_NONE = timedelta(0)


class Stretch(NamedTuple):
    """Instants with one offset: from `start` on, before `end`.

    `repeated` is how much of the local time at its start the clocks had shown already, `skipped`
    how much at its end they never show.
    """

    start: datetime
    end: datetime
    offset: timedelta
    repeated: timedelta
    skipped: timedelta


def zone_named(name: str) -> tzinfo:
    """Return the zone with an IANA name.

    Names that mean another zone on each machine, or one with leap seconds, are unknown.
    """
    if name in ("localtime", "posixrules", "Factory") or name.startswith(("posix/", "right/")):
        raise CronValidationError(f"Unknown timezone '{name}'")
    try:
        return ZoneInfo(name)
    except (ValueError, LookupError, OSError):
        raise CronValidationError(f"Unknown timezone '{name}'") from None


def offset_at(zone: tzinfo, instant: datetime) -> timedelta:
    """Return what the clocks of `zone` are ahead of UTC at an instant."""
    return instant.astimezone(zone).utcoffset() or _NONE


def stretches(zone: tzinfo, start: datetime, end: datetime) -> list[Stretch]:
    """Return the stretches that cover the time from `start` to `end`, in order.

    Both are whole seconds. The outermost stretches go on beyond them.
    """
    changes = list(_changes(zone, start, end))
    bounds = [start, *(instant for instant, _ in changes), end + _SECOND]
    offsets = [offset_at(zone, start), *(offset for _, offset in changes)]
    padded = [offsets[0], *offsets, offsets[-1]]
    return [
        Stretch(
            start=bounds[i],
            end=bounds[i + 1],
            offset=offset,
            repeated=max(_NONE, padded[i] - offset),
            skipped=max(_NONE, padded[i + 2] - offset),
        )
        for i, offset in enumerate(offsets)
    ]


def _changes(zone: tzinfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, timedelta]]:
    offset = offset_at(zone, start)
    while start < end:
        probe = min(start + _LOOK_EVERY, end)
        if offset_at(zone, probe) != offset:
            probe = _first_change(zone, start, probe)
            offset = offset_at(zone, probe)
            yield probe, offset
        start = probe


def _first_change(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    # Whole seconds from `before`, so the bisection ends exactly at the change.
    old = offset_at(zone, before)
    low, high = 0, -(-(after - before) // _SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, before + middle * _SECOND) == old:
            low = middle
        else:
            high = middle
    return before + high * _SECOND


def to_utc(instant: datetime) -> datetime:
    """Return an instant in UTC; a naive one is in UTC already."""
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
