"""Turn Python values into what each driver binds.

One table per dialect: this file *is* the type policy. Text, integers, floats, bytes and None are bound as they are.

=================  ==========================================  ===============================
Python             SQLite                                      PostgreSQL
=================  ==========================================  ===============================
UUID               TEXT, canonical                             uuid
datetime           TEXT, UTC, ``2026-01-02T03:04:05.000006Z``  timestamptz
bool               INTEGER 0 or 1                              boolean
Enum               TEXT, its value                             text, its value
list, dict, tuple  TEXT, JSON                                  text of JSON, cast in the query
Struct             TEXT, JSON                                  text of JSON, cast in the query
SearchQuery        TEXT, rendered for FTS5                     text, rendered for tsquery
=================  ==========================================  ===============================

Integers beyond 64 bit, NaN and infinities, and times that leave the years 1 to 9999 in UTC are refused: one of the two
databases, or both, could not hold them.

Fixed-width UTC text makes text order time order on SQLite. JSON goes through one encoder, so both store the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from .._documents import JsonText
from .._errors import ValidationError
from .._search import SearchQuery

if TYPE_CHECKING:
    from .rows import Dialect

Encode = Callable[[Any], Any]

LOWEST_INT = -(2**63)
HIGHEST_INT = 2**63 - 1


def utc(value: datetime) -> datetime:
    """Return the instant in UTC; a naive time is taken as UTC already.

    Raises:
        ValidationError: in UTC it is before the year 1 or after 9999.
    """
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValidationError(f"{value.isoformat()} is out of range in UTC") from None


def instant_text(value: datetime) -> str:
    """Return the fixed-width text of an instant that SQLite stores and audit records carry."""
    value = utc(value)
    if type(value) is not datetime:
        return f"{value.isoformat(timespec='microseconds')[:26]}Z"
    # msgspec takes no subclass, but a fifth of the time that isoformat takes. It leaves out a fraction of zero.
    quoted = _encode(value)
    if len(quoted) == _QUOTED_INSTANT:
        return quoted[1:-1].decode()
    return f"{quoted[1:20].decode()}.000000Z"


_QUOTED_INSTANT = len('"2026-01-02T03:04:05.000006Z"')
_encode = msgspec.json.Encoder().encode


def _uuid_text(value: UUID) -> str:
    return _encode(value)[1:-1].decode()


def _json(value: Any) -> str:
    return _encode(value).decode()


def _enum(value: Enum) -> Any:
    return value.value


def _int(value: int) -> int:
    if not LOWEST_INT <= value <= HIGHEST_INT:
        raise ValidationError("an integer is beyond 64 bit")
    return value


def _float(value: float) -> float:
    if not isfinite(value):
        raise ValidationError("a number is not finite")
    return value


_COMMON: dict[type, Encode | None] = {
    str: None,
    int: _int,
    float: _float,
    bytes: None,
    type(None): None,
    JsonText: str,
    list: _json,
    dict: _json,
    tuple: _json,
}
_BY_DIALECT: dict[Dialect, dict[type, Encode | None]] = {
    "sqlite": {
        **_COMMON,
        UUID: _uuid_text,
        datetime: instant_text,
        bool: int,
        SearchQuery: lambda q: q.render("sqlite"),
    },
    "postgres": {
        **_COMMON,
        UUID: None,
        datetime: utc,
        bool: None,
        SearchQuery: lambda q: q.render("postgres"),
    },
}


def _learn(table: dict[type, Encode | None], kind: type) -> Encode | None:
    """Decide, once, how a type that the table does not name is bound."""
    encode: Encode | None
    if issubclass(kind, Enum):
        encode = _enum
    elif issubclass(kind, msgspec.Struct):
        encode = _json
    else:
        encode = next((table[base] for base in kind.__mro__ if base in table), None)
        if not any(base in table for base in kind.__mro__):
            raise ValidationError(f"no database type for {kind.__name__}")
    table[kind] = encode
    return encode


def encoder(dialect: Dialect) -> Encode:
    """Return the function that encodes one value for a dialect."""
    table = _BY_DIALECT[dialect]

    def encode(value: Any) -> Any:
        kind = type(value)
        try:
            convert = table[kind]
        except KeyError:
            convert = _learn(table, kind)
        return value if convert is None else convert(value)

    return encode
