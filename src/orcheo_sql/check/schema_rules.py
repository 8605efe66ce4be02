"""Rules for the tables that migrations make: the same in both dialects, and fit for a distributed server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .findings import Finding
from .sqltext import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .schema import Column, ForeignKey, Index, Schema, Table

# What a column of either dialect holds, in common words.
_CLASSES = {
    "TEXT": {
        "text",
        "uuid",
        "timestamp with time zone",
        "json",
        "jsonb",
        "character varying",
        "date",
    },
    "INTEGER": {"bigint", "boolean", "integer", "smallint"},
    "REAL": {"double precision", "real"},
    "BLOB": {"bytea"},
}
# The tables that are sharded where there are several servers, and the column by which.
VOLUME_TABLES = {
    "run_history": "execution_id",
    "run_history_inputs": "execution_id",
    "run_history_steps": "execution_id",
    "run_history_search": "execution_id",
    "chat_threads": "id",
    "chat_messages": "thread_id",
}


class Places:
    """Finds the line of a migration that makes a table, a column or an index."""

    def __init__(self, paths: Sequence[Path], folder: Path):
        self._paths = paths
        self._folder = folder

    def of(self, table: str, column: str = "") -> tuple[Path, int]:
        """Return where a table, or a column of it, is made; the newest migration that names it wins."""
        for path in reversed(self._paths):
            lines = lines_of(path)
            created = _first(lines, rf"CREATE TABLE (IF NOT EXISTS )?{table}\b", 0)
            if column:
                added = _first(lines, rf"ALTER TABLE {table}\b.*\bADD (COLUMN )?{column}\b", 0)
                if added is None and created is not None:
                    added = _first(lines, rf"^\s+{column}\b", created)
                if added is not None:
                    return path, added + 1
            if created is not None:
                return path, created + 1
        return (self._paths or [self._folder])[0], 1

    def named(self, name: str) -> tuple[Path, int]:
        """Return the first line that has a name."""
        for path in reversed(self._paths):
            found = _first(lines_of(path), rf"\b{re.escape(name)}\b", 0)
            if found is not None:
                return path, found + 1
        return (self._paths or [self._folder])[0], 1


def _first(lines: Sequence[str], pattern: str, start: int) -> int | None:
    search = re.compile(pattern, re.IGNORECASE).search
    return next((i for i in range(start, len(lines)) if search(lines[i])), None)


def compare_schemas(
    sqlite: Schema, postgres: Schema, sqlite_places: Places, postgres_places: Places
) -> Iterator[Finding]:
    """Yield where the tables of the dialects are not the same.

    Left out is what each must have for itself: SQLite's FTS5 tables and their row numbers, PostgreSQL's generated
    columns and the indexes on them, GIN indexes.
    """
    for name in sorted(sqlite.tables.keys() | postgres.tables.keys()):
        one, other = sqlite.tables.get(name), postgres.tables.get(name)
        if one is None or other is None:
            places = postgres_places if one is None else sqlite_places
            missing = "SQLite" if one is None else "PostgreSQL"
            yield Finding(*places.of(name), f"table {name} is not made for {missing}")
            continue
        yield from _columns(sqlite, one, other, sqlite_places, postgres_places)
        yield from _indexes(one, other, sqlite_places, postgres_places)
        yield from _references(one, other, sqlite_places, postgres_places)


def _columns(
    sqlite: Schema, one: Table, other: Table, sqlite_places: Places, postgres_places: Places
) -> Iterator[Finding]:
    ours = {n: c for n, c in one.columns.items() if f"{one.name}.{n}" not in sqlite.row_numbers}
    theirs = {n: c for n, c in other.columns.items() if not c.generated or n in ours}
    for name in ours.keys() | theirs.keys():
        if name not in theirs:
            yield Finding(
                *sqlite_places.of(one.name, name),
                f"column {one.name}.{name} is not made for PostgreSQL",
            )
        elif name not in ours:
            yield Finding(
                *postgres_places.of(one.name, name),
                f"column {one.name}.{name} is not made for SQLite",
            )
        else:
            message = _difference(ours[name], theirs[name])
            if message:
                place = postgres_places.of(one.name, name)
                yield Finding(*place, f"column {one.name}.{name} {message}")


def _difference(ours: Column, theirs: Column) -> str | None:
    if theirs.type not in _CLASSES.get(ours.type, ()):
        return f"is {theirs.type}, but {ours.type} on SQLite"
    if ours.nullable != theirs.nullable:
        words = {True: "may be NULL", False: "may not be NULL"}
        return f"{words[theirs.nullable]}, but {words[ours.nullable]} on SQLite"
    return None


def _indexes(
    one: Table, other: Table, sqlite_places: Places, postgres_places: Places
) -> Iterator[Finding]:
    generated = {c.name for c in other.columns.values() if c.generated}
    ours = {n: i for n, i in one.indexes.items() if not n.startswith("sqlite_autoindex")}
    theirs = {
        n: i
        for n, i in other.indexes.items()
        if i.method == "btree" and n.startswith("ix_") and not _serves(i, generated)
    }
    for name in ours.keys() - other.indexes.keys():
        yield Finding(*sqlite_places.named(name), f"index {name} is not made for PostgreSQL")
    for name in theirs.keys() - ours.keys():
        yield Finding(*postgres_places.named(name), f"index {name} is not made for SQLite")
    for name in ours.keys() & other.indexes.keys():
        mine, twin = ours[name], other.indexes[name]
        # An expression has no name on either side; it may stand for a column on the other.
        same = len(mine.columns) == len(twin.columns) and all(
            a == b or not (a and b) for a, b in zip(mine.columns, twin.columns, strict=True)
        )
        if not same or mine.unique != twin.unique or mine.partial != twin.partial:
            yield Finding(
                *postgres_places.named(name), f"index {name} is not the same as on SQLite"
            )


def _serves(index: Index, generated: set[str]) -> bool:
    """Whether an index is there for a generated column."""
    words = set(re.findall(r"\w+", index.condition))
    return bool(generated & (words | set(index.columns)))


def _references(
    one: Table, other: Table, sqlite_places: Places, postgres_places: Places
) -> Iterator[Finding]:
    def keys(table: Table) -> set[ForeignKey]:
        return set(table.foreign_keys)

    for key in keys(one) - keys(other):
        place = sqlite_places.of(one.name, key.columns[0])
        yield Finding(*place, f"{_shown(one, key)} is not so for PostgreSQL")
    for key in keys(other) - keys(one):
        place = postgres_places.of(one.name, key.columns[0])
        yield Finding(*place, f"{_shown(other, key)} is not so for SQLite")


def _shown(table: Table, key: ForeignKey) -> str:
    columns, references = ", ".join(key.columns), ", ".join(key.references)
    return (
        f"foreign key {table.name} ({columns}) to {key.table} ({references}) "
        f"ON DELETE {key.on_delete}"
    )


def check_keys(schema: Schema, places: Places) -> Iterator[Finding]:
    """Yield foreign keys whose rows can only be found by reading the whole table, when what they refer to goes."""
    for table in schema.tables.values():
        for key in table.foreign_keys:
            leading = {i.columns[0] for i in table.indexes.values() if i.columns}
            if not leading & set(key.columns):
                yield Finding(
                    *places.of(table.name, key.columns[0]),
                    f"no index begins with a column of the {_shown(table, key)}: deletes read all of {table.name}",
                )


def check_distribution(schema: Schema, places: Places) -> Iterator[Finding]:
    """Yield what a distributed PostgreSQL would refuse, or only half enforce."""
    for table in schema.tables.values():
        for key in table.foreign_keys:
            if (table.name in VOLUME_TABLES) != (key.table in VOLUME_TABLES):
                yield Finding(
                    *places.of(table.name, key.columns[0]),
                    f"{_shown(table, key)} crosses the border between sharded and plain tables: not enforced there",
                )
            other = schema.tables.get(key.table)
            pairs = zip(key.columns, key.references, strict=True) if other else ()
            for column, reference in pairs:
                kinds = table.columns[column].type, other.columns[reference].type if other else ""
                if kinds[0] != kinds[1]:
                    yield Finding(
                        *places.of(table.name, column),
                        f"{table.name}.{column} is {kinds[0]}, {key.table}.{reference} {kinds[1]}: keys have one type",
                    )
        yield from _sharded(table, places)


def _sharded(table: Table, places: Places) -> Iterator[Finding]:
    key = VOLUME_TABLES.get(table.name)
    if key is None:
        return
    for trigger in table.triggers:
        yield Finding(
            *places.named(trigger), f"trigger {trigger} on {table.name}, which is sharded"
        )
    for index in table.indexes.values():
        if index.unique and key not in index.columns:
            yield Finding(
                *places.named(index.name),
                f"unique index {index.name} without {key}, by which {table.name} is sharded",
            )
