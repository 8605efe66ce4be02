"""Instants as SQLite stores them, whatever kind of time was given."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql.codecs.encode import instant_text, utc


class Moment(dt.datetime):
    """A time of another library, or one that a test has frozen."""


def expected(value: dt.datetime) -> str:
    return f"{utc(value).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


FIRST = dt.datetime(1, 1, 3)  # noqa: DTZ001 - the time zone comes with the strategy
LAST = dt.datetime(9999, 12, 29)  # noqa: DTZ001 - so it does here


@given(
    st.datetimes(FIRST, LAST)
    | st.datetimes(FIRST, LAST, timezones=st.timezones())
    | st.datetimes(FIRST, LAST, timezones=st.just(dt.UTC))
)
def test_an_instant_has_one_text(value: dt.datetime) -> None:
    text = instant_text(value)
    assert text == expected(value)
    assert len(text) == 27


def test_a_time_of_another_class_is_a_time() -> None:
    for value in (
        Moment(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
        Moment(2026, 1, 2, 3, 4, 5, 6),
        Moment(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone(dt.timedelta(hours=-3))),
    ):
        assert instant_text(value) == expected(value)
