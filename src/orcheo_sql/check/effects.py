"""What a writing query leaves in the tables, so that its twins can be compared by it and not by their answer alone.

Triggers of our own note the key of each row that is touched. The rows are read before the write is taken back and
after, so that a row that was touched and is the same counts for nothing: one dialect may write it, the other not.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orcheo_sql._catalog import Query

    from .proof import Proof
    from .schema import Schema, Table

Key = tuple[Any, ...]
Row = dict[str, Any]
MOST_ROWS = 200
"""So many rows of a table are looked at; of more, the first ones by the text of their key."""


@dataclass(frozen=True)
class Touched:
    """The rows of one table that a query has touched."""

    keys: tuple[Key, ...]
    rows: Mapping[Key, Row]
    """Those of them that are there."""
    complete: bool
    """Whether these are all."""


@dataclass(frozen=True)
class Change:
    """The rows of one table that a query has changed, by the texts of their keys; None for one that is gone."""

    rows: Mapping[tuple[str, ...], Row | None]
    complete: bool


def names_of(columns: Sequence[str], prefix: str = "") -> str:
    """Write columns as a list, quoted: a column may have a keyword's name."""
    return ", ".join(f'{prefix}"{c}"' for c in columns)


class Recorder(ABC):
    """Notes which rows are touched while it is entered, on one connection."""

    def __init__(self, schema: Schema):
        self.keys: dict[str, tuple[str, ...]] = {
            t.name: key for t in schema.tables.values() if (key := schema.row_key(t))
        }
        """The key columns of each table; a table without a key is not looked at."""
        self.tables: dict[str, Table] = {n: schema.tables[n] for n in self.keys}

    @abstractmethod
    def __enter__(self) -> Recorder: ...

    @abstractmethod
    def __exit__(self, *exc: object) -> None: ...

    @abstractmethod
    def noted(self) -> list[str]:
        """Return the tables with touched rows."""

    @abstractmethod
    def first_keys(self, table: str, limit: int) -> list[Key]:
        """Return the keys of touched rows, each once, in the order of their texts."""

    @abstractmethod
    def read(self, table: str, keys: Sequence[Key]) -> dict[Key, Row]:
        """Return the rows with these keys, as they are."""

    def touched(self) -> dict[str, Touched]:
        """Return what has been touched, as it is before the write is taken back."""
        found = {}
        for table in self.noted():
            keys = self.first_keys(table, MOST_ROWS + 1)
            first = tuple(keys[:MOST_ROWS])
            found[table] = Touched(first, self.read(table, first), len(keys) <= MOST_ROWS)
        return found

    def changes(self, touched: Mapping[str, Touched]) -> dict[str, Change]:
        """Return what of it the write changed; to be called when it has been taken back."""
        found = {}
        for table, change in touched.items():
            before = self.read(table, change.keys)
            rows = {
                tuple(str(v) for v in key): change.rows.get(key)
                for key in change.keys
                if change.rows.get(key) != before.get(key)
            }
            if rows or not change.complete:
                found[table] = Change(rows, change.complete)
        return found


@dataclass
class Effects:
    """What the queries of one dialect leave in its tables, by query and variant."""

    of: dict[tuple[str, str], dict[str, Change]] = field(default_factory=dict)


def compare_effects(
    sqlite: Proof, postgres: Proof, queries: Mapping[str, Query]
) -> Iterator[Finding]:
    """Yield queries that leave other rows on SQLite than on PostgreSQL, after the same arguments on the same data."""
    for (name, variant), ours in postgres.effects.of.items():
        theirs = sqlite.effects.of.get((name, variant))
        if theirs is None:
            continue
        for table in sorted(ours.keys() | theirs.keys()):
            difference = _difference(
                table, ours.get(table), theirs.get(table), postgres.schema, sqlite.schema
            )
            if difference:
                query = queries[name]
                given = f" with {variant}" if variant else ""
                message = (
                    f"{query.name}: the databases are left with other rows{given}: {difference}"
                )
                yield Finding(query.path, query.line, f"{message}; write the same on both")


_NOTHING = Change({}, complete=True)


def _difference(
    table: str, ours: Change | None, theirs: Change | None, postgres: Schema, sqlite: Schema
) -> str | None:
    one, other = postgres.tables.get(table), sqlite.tables.get(table)
    if one is None or other is None:
        return None
    ours, theirs = ours or _NOTHING, theirs or _NOTHING
    # Where one list was cut off, only what stands before its end can be compared.
    ends = [max(c.rows, default=()) for c in (ours, theirs) if not c.complete]
    shared = {
        name: column.type
        for name, column in one.columns.items()
        if name in other.columns and not column.generated and not other.columns[name].generated
    }
    for key in sorted(ours.rows.keys() | theirs.rows.keys()):
        if any(key > end for end in ends):
            break
        place = f"{table} {', '.join(key)}"
        if key not in ours.rows or key not in theirs.rows:
            return f"{place} is changed on {'SQLite' if key in theirs.rows else 'PostgreSQL'} only"
        mine, twin = ours.rows[key], theirs.rows[key]
        if mine is None or twin is None:
            if mine is twin:
                continue
            return f"{place} is gone on {'SQLite' if twin is None else 'PostgreSQL'} only"
        for name, kind in shared.items():
            values = normal(mine[name], kind), normal(twin[name], kind)
            if values[0] != values[1]:
                shown = [_short(v) for v in values]
                return f"{place}, {name}: PostgreSQL {shown[0]}, SQLite {shown[1]}"
    return None


def normal(value: Any, kind: str) -> Any:
    """Return a stored value in the form that both dialects share, by PostgreSQL's name of its type."""
    if value is None:
        return None
    if kind in ("json", "jsonb"):
        return json.loads(value) if isinstance(value, (str, bytes)) else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
    if kind == "boolean":
        return bool(value)
    if kind == "uuid":
        return str(value)
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:37]} ... {text[-38:]}"
