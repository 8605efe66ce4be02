"""Pages of lists, and the cursors that lead from one to the next.

A cursor holds the sort key of the last item on a page, so that the next page begins behind that
item whatever was inserted or deleted meanwhile. To callers it is an opaque text, safe in URLs.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import msgspec

from ._documents import number_text
from ._errors import InvalidCursorError, ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

LARGEST_LIMIT = 2**31 - 2
"""So that one more, which tells whether there is a next page, still fits 32 bit."""

_VERSION = b"1"
_CHECK_BYTES = 6
_LONGEST_CURSOR = 4096
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items of a list; `next_cursor` is None on the last page."""

    items: list[T]
    next_cursor: str | None = None


def page_of(rows: Sequence[T], limit: int, cursor_of: Callable[[T], str]) -> Page[T]:
    """Make a page of the up to ``limit + 1`` rows that a query returned."""
    items = list(rows[:limit])
    more = len(rows) > limit and bool(items)
    return Page(items, cursor_of(items[-1]) if more else None)


def check_limit(limit: int, *, maximum: int = LARGEST_LIMIT) -> int:
    """Return the limit, or raise `ValidationError` when it is not a number from 0 to `maximum`."""
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise ValidationError(f"limit must be an integer, not {type(limit).__name__}")
    if limit < 0:
        raise ValidationError(f"limit must not be negative, but is {number_text(limit)}")
    if limit > maximum:
        raise ValidationError(f"limit must be at most {maximum}, but is {number_text(limit)}")
    return limit


def encode_cursor(kind: str, *parts: UUID | dt.datetime | int | str) -> str:
    """Return the cursor for a position in a list of one kind."""
    body = msgspec.msgpack.encode([_pack(part) for part in parts])
    return base64.urlsafe_b64encode(_check(kind, body) + body).rstrip(b"=").decode()


def decode_cursor(kind: str, cursor: str, types: tuple[type, ...]) -> tuple[Any, ...]:
    """Return the position that `encode_cursor` was given, whose parts have these types.

    Raises `InvalidCursorError` for anything that this kind of list did not hand out.
    """
    try:
        body = _body(kind, cursor)
        packed = msgspec.msgpack.decode(body, type=list[Any])
        return tuple(_unpack(part, kind) for part, kind in zip(packed, types, strict=True))
    except (ValueError, OverflowError, msgspec.MsgspecError):
        raise InvalidCursorError(f"not a cursor of this list ({kind}): start without one") from None


def _body(kind: str, cursor: str) -> bytes:
    if not isinstance(cursor, str) or len(cursor) > _LONGEST_CURSOR:
        raise ValueError
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    is_written_so = base64.urlsafe_b64encode(raw).rstrip(b"=") == cursor.encode()
    if check != _check(kind, body) or not is_written_so:
        raise ValueError
    return body


def _check(kind: str, body: bytes) -> bytes:
    """Bind a cursor to its list and version; it finds mistakes, it does not keep attackers out."""
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, key=_VERSION + kind.encode()).digest()


def _pack(part: UUID | dt.datetime | int | str) -> bytes | int | str:
    if isinstance(part, UUID):
        return part.bytes
    if isinstance(part, dt.datetime):
        instant = part if part.tzinfo is not None else part.replace(tzinfo=dt.UTC)
        return (instant - _EPOCH) // _MICROSECOND
    return part


def _unpack(part: bytes | int | str, kind: type) -> Any:
    if kind is UUID and isinstance(part, bytes):
        return UUID(bytes=part)
    if kind is dt.datetime and isinstance(part, int):
        return _EPOCH + part * _MICROSECOND
    if kind is type(part):
        return part
    raise ValueError
