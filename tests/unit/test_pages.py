from __future__ import annotations

import base64
import datetime as dt
import re
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql._errors import InvalidCursorError, ValidationError
from orcheo_sql._pages import Page, check_limit, decode_cursor, encode_cursor, page_of

ID = UUID("12345678-1234-5678-1234-567812345678")
NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 6, tzinfo=dt.UTC)
BERLIN = dt.timezone(dt.timedelta(hours=1))

parts = st.lists(
    st.uuids()
    | st.datetimes(timezones=st.just(dt.UTC))
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(),
    max_size=4,
)


@given(st.sampled_from(["runs", "workflows"]), parts)
def test_a_cursor_leads_back_to_its_position(kind: str, position: list[Any]) -> None:
    cursor = encode_cursor(kind, *position)
    assert re.fullmatch("[A-Za-z0-9_-]+", cursor)
    assert decode_cursor(kind, cursor, tuple(map(type, position))) == tuple(position)


@given(parts, st.integers(0, 999), st.characters())
def test_a_cursor_with_another_character_is_refused(
    position: list[Any], where: int, character: str
) -> None:
    cursor = encode_cursor("runs", *position)
    where %= len(cursor)
    other = cursor[:where] + character + cursor[where + 1 :]
    if other != cursor:
        with pytest.raises(InvalidCursorError):
            decode_cursor("runs", other, tuple(map(type, position)))


def test_the_same_instant_is_the_same_cursor() -> None:
    cursor = encode_cursor("runs", NOON)
    assert encode_cursor("runs", NOON.replace(tzinfo=None)) == cursor
    assert encode_cursor("runs", NOON.astimezone(BERLIN)) == cursor
    (instant,) = decode_cursor("runs", cursor, (dt.datetime,))
    assert instant.utcoffset() == dt.timedelta(0)


CURSOR = encode_cursor("runs", NOON, ID)


def with_check(body: bytes) -> str:
    """Return a cursor whose check is right although its body is not."""
    from orcheo_sql._pages import _check

    return base64.urlsafe_b64encode(_check("runs", body) + body).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("kind", "cursor", "types"),
    [
        ("workflows", CURSOR, (dt.datetime, UUID)),  # of another list
        ("runs", CURSOR, (dt.datetime,)),
        ("runs", CURSOR, (dt.datetime, UUID, int)),
        ("runs", CURSOR, (UUID, dt.datetime)),
        ("runs", CURSOR, (str, UUID)),
        ("runs", CURSOR[:-1], (dt.datetime, UUID)),
        ("runs", CURSOR + "A", (dt.datetime, UUID)),
        ("runs", CURSOR + "=", (dt.datetime, UUID)),
        ("runs", CURSOR + "\n", (dt.datetime, UUID)),
        ("runs", "\0" + CURSOR, (dt.datetime, UUID)),
        ("runs", "", ()),
        ("runs", "A", ()),
        ("runs", "\ud800é", ()),
        ("runs", "A" * 10_000, ()),
        ("runs", 5, ()),
        ("runs", CURSOR.encode(), (dt.datetime, UUID)),
        ("runs", with_check(b""), ()),
        ("runs", with_check(b"\xc1"), ()),
        ("runs", with_check(msgspec.msgpack.encode({"a": 1})), ()),
        ("runs", with_check(msgspec.msgpack.encode([None])), (int,)),
        ("runs", with_check(msgspec.msgpack.encode([b"short"])), (UUID,)),
        ("runs", with_check(msgspec.msgpack.encode([2**63 - 1])), (dt.datetime,)),
    ],
)
def test_what_a_list_did_not_hand_out_is_refused(
    kind: str, cursor: Any, types: tuple[type, ...]
) -> None:
    with pytest.raises(InvalidCursorError, match=rf"not a cursor of this list \({kind}\)"):
        decode_cursor(kind, cursor, types)


def test_pages_lead_through_a_list() -> None:
    rows = list(range(7))
    seen: list[int] = []
    after = -1
    for size in (3, 3, 1):
        page = page_of([row for row in rows if row > after][:4], 3, str)
        seen += page.items
        assert len(page.items) == size
        after = int(page.next_cursor) if page.next_cursor else 99
    assert seen == rows
    assert after == 99


@pytest.mark.parametrize(
    ("rows", "limit", "page"),
    [
        ([], 2, Page([], None)),
        ([1, 2], 2, Page([1, 2], None)),
        ([1, 2, 3], 2, Page([1, 2], "2")),
        ((1, 2), 1, Page([1], "1")),
        ([1], 0, Page([], None)),
    ],
)
def test_the_row_beyond_the_limit_makes_a_next_page(rows: Any, limit: int, page: Page[int]) -> None:
    assert page_of(rows, limit, str) == page


def test_limits() -> None:
    assert check_limit(0) == 0
    assert check_limit(10, maximum=10) == 10
    assert check_limit(2**31 - 2)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        (-1, "limit must not be negative, but is -1"),
        (11, "limit must be at most 10, but is 11"),
        (True, "limit must be an integer, not bool"),
        (1.0, "limit must be an integer, not float"),
        ("1", "limit must be an integer, not str"),
        (None, "limit must be an integer, not NoneType"),
    ],
)
def test_limits_that_are_refused(limit: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=f"^{message}$"):
        check_limit(limit, maximum=10)
