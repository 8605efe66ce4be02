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

Fixed-width UTC text makes text order time order on SQLite. JSON goes through one encoder, so both store the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from .._documents import JsonText
from .._search import SearchQuery

if TYPE_CHECKING:
    from .rows import Dialect

Encode = Callable[[Any], Any]


def utc(value: datetime) -> datetime:
    """Return the instant in UTC; a naive time is taken as UTC already."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def instant_text(value: datetime) -> str:
    """Return the fixed-width text of an instant that SQLite stores and audit records carry."""
    return f"{utc(value).isoformat(timespec='microseconds')[:26]}Z"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _enum(value: Enum) -> Any:
    return value.value


_COMMON: dict[type, Encode | None] = {
    str: None,
    int: None,
    float: None,
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
        UUID: str,
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
            raise TypeError(f"no database type for {kind.__name__}")
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
