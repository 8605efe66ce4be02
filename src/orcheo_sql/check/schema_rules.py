"""Rules for the tables that migrations make: the same in both dialects, and fit for a distributed server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .findings import Finding
from .schema_checks import compare_checks, meaning
from .sqltext import code, lines_of
from .value_rules import wrong_literals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from .schema import Column, ForeignKey, Index, Schema, Table

# The types of docs/dialects.md: what a column of a SQLite type is on PostgreSQL, and nothing else.
_TYPES = {
    "TEXT": ("text", "uuid", "timestamp with time zone", "json", "jsonb"),
    "INTEGER": ("bigint", "boolean"),
    "REAL": ("double precision",),
    "BLOB": ("bytea",),
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

    Left out is what each must have for itself: SQLite's FTS5 tables, their row numbers and columns that only they read,
    PostgreSQL's generated columns and the indexes on them, GIN indexes.
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
        yield from compare_checks(one, other, sqlite_places.of, postgres_places.of)


def _columns(
    sqlite: Schema, one: Table, other: Table, sqlite_places: Places, postgres_places: Places
) -> Iterator[Finding]:
    ours = {n: c for n, c in one.columns.items() if f"{one.name}.{n}" not in sqlite.row_numbers}
    theirs = {n: c for n, c in other.columns.items() if not c.generated or n in ours}
    for name in ours.keys() | theirs.keys():
        if name not in theirs:
            if f"{one.name}.{name}" in sqlite.fts_columns:
                continue
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
    allowed = _TYPES.get(ours.type, ())
    kind = theirs.type + theirs.modifier
    if kind not in allowed:
        wanted = f"; that is {_listed(allowed)} here" if allowed else ""
        return f"is {kind}, but {ours.type} on SQLite{wanted}"
    if ours.nullable != theirs.nullable:
        words = {True: "may be NULL", False: "may not be NULL"}
        return f"{words[theirs.nullable]}, but {words[ours.nullable]} on SQLite"
    return None


def _listed(types: Sequence[str]) -> str:
    """Write ``bigint or boolean``."""
    short = [t.replace("timestamp with time zone", "timestamptz") for t in types]
    return " or ".join(filter(None, (", ".join(short[:-1]), short[-1])))


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
        alike = mine.unique == twin.unique and mine.partial == twin.partial
        if not same or not alike or meaning(one, mine.condition) != meaning(other, twin.condition):
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
            # A row number needs no index: SQLite keeps the rows in its order.
            leading = {i.columns[0] for i in table.indexes.values() if i.columns} | {*table.key[:1]}
            if not leading & set(key.columns):
                yield Finding(
                    *places.of(table.name, key.columns[0]),
                    f"no index begins with a column of the {_shown(table, key)}: deletes read all of {table.name}",
                )


def check_tables(schema: Schema, places: Places) -> Iterator[Finding]:
    """Yield tables and indexes that hold less than their form or name says."""
    for table in schema.tables.values():
        if not table.strict:
            message = f"table {table.name} is not STRICT: it would keep values of a wrong type"
            yield Finding(*places.of(table.name), message)
        if not schema.row_key(table):
            message = f"table {table.name} has no primary key: its rows can't be told apart"
            yield Finding(*places.of(table.name), message)
        for index in table.indexes.values():
            if index.name.startswith("uq_") and not index.unique:
                message = (
                    f"index {index.name} is not UNIQUE, as its name says; write CREATE UNIQUE INDEX"
                )
                yield Finding(*places.named(index.name), message)
            yield from _collations(schema, table, index, places)
            for literal in wrong_literals(code(index.condition), [table]):
                message = f"index {index.name}: {literal.message}"
                yield Finding(*places.named(index.name), message)


def _collations(schema: Schema, table: Table, index: Index, places: Places) -> Iterator[Finding]:
    """Yield texts of unique rules that are compared as the server's locale has it; ids of a primary key are ASCII."""
    if schema.dialect != "postgres" or not index.unique or index.primary:
        return
    for name in index.columns:
        column = table.columns.get(name)
        if column is not None and column.type == "text" and column.collation != "C":
            message = (
                f'column {table.name}.{name} is unique ({index.name}) and not COLLATE "C": its index would depend on '
                "the locale of the server"
            )
            yield Finding(*places.of(table.name, name), message)


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
