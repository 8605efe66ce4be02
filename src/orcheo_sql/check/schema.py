"""The tables of a database as its catalogue describes them, in terms that both dialects share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .sqltext import closing, code

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

    import psycopg

    from orcheo_sql.codecs.rows import Dialect

MIGRATIONS_TABLE = "orcheo_migrations"


@dataclass(frozen=True)
class Column:
    """One column; `type` is the engine's own name for it."""

    name: str
    type: str
    nullable: bool
    generated: bool = False
    modifier: str = ""
    """What stands behind the type in parentheses: ``(10)``."""
    collation: str = ""
    """The collation that it was given; empty for the database's own."""


@dataclass(frozen=True)
class Index:
    """One index; an expression among its columns is an empty name."""

    name: str
    columns: tuple[str, ...]
    unique: bool = False
    partial: bool = False
    method: str = "btree"
    condition: str = ""
    primary: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """One reference from a table to another."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    on_delete: str


@dataclass
class Table:
    """One table with what belongs to it."""

    name: str
    columns: dict[str, Column] = field(default_factory=dict)
    indexes: dict[str, Index] = field(default_factory=dict)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    triggers: list[str] = field(default_factory=list)
    key: tuple[str, ...] = ()
    """The columns of the primary key, in its order."""
    checks: list[str] = field(default_factory=list)
    """The texts of its CHECK constraints, as the engine keeps them."""
    strict: bool = True
    """Whether values of a wrong type are refused; always so on PostgreSQL."""


@dataclass(frozen=True)
class Schema:
    """All tables of one database."""

    dialect: Dialect
    tables: Mapping[str, Table]
    virtual: frozenset[str] = frozenset()
    """Virtual tables, and those SQLite keeps for them."""
    row_numbers: frozenset[str] = frozenset()
    """``table.column`` of the row numbers that FTS5 needs."""
    fts_columns: frozenset[str] = frozenset()
    """``table.column`` of what FTS5 indexes."""

    def index(self, name: str) -> Index | None:
        """Return an index by its name, whatever table it is on."""
        return next((t.indexes[name] for t in self.tables.values() if name in t.indexes), None)

    def row_key(self, table: Table) -> tuple[str, ...]:
        """Return the columns by which both dialects tell its rows apart, or nothing.

        That is the primary key; where it is a row number, which only SQLite has, another unique index.
        """
        if table.key and not any(f"{table.name}.{c}" in self.row_numbers for c in table.key):
            return table.key
        unique = (i for i in table.indexes.values() if i.unique and not i.partial)
        return next((i.columns for i in unique if all(i.columns)), ())


def read_sqlite(raw: sqlite3.Connection) -> Schema:
    """Read the schema of a SQLite database."""
    made = {name: sql or "" for name, sql in raw.execute(_SQLITE_TABLES)}
    virtual = {name for name, sql in made.items() if sql.upper().startswith("CREATE VIRTUAL")}
    shadows = {n for n in made for v in virtual if n.startswith(f"{v}_")}
    strict = dict(raw.execute("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'"))
    conditions = dict(raw.execute(_SQLITE_INDEXES))
    tables: dict[str, Table] = {}
    for name in made.keys() - virtual - shadows - {MIGRATIONS_TABLE}:
        table = tables[name] = Table(name, strict=bool(strict.get(name)))
        table.checks = check_texts(made[name])
        numbered: dict[int, str] = {}
        for row in raw.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)):
            _, column, kind, required, _, key, hidden = row
            table.columns[column] = Column(column, kind, not (required or key), hidden > 1)
            if key:
                numbered[key] = column
        table.key = tuple(numbered[k] for k in sorted(numbered))
        for _, index, unique, origin, partial in raw.execute(
            "SELECT * FROM pragma_index_list(?)", (name,)
        ):
            names = raw.execute(
                "SELECT coalesce(name, '') FROM pragma_index_info(?) ORDER BY seqno", (index,)
            )
            columns = tuple(n for (n,) in names)
            condition = _condition(conditions.get(index) or "") if partial else ""
            table.indexes[index] = Index(
                index,
                columns,
                bool(unique),
                bool(partial),
                condition=condition,
                primary=origin == "pk",
            )
        table.foreign_keys = _sqlite_foreign_keys(raw, name)
        table.triggers = [
            n for n, of in raw.execute(_SQLITE_TRIGGERS) if of == name
        ]  # fmt: skip
    return Schema(
        "sqlite",
        dict(sorted(tables.items())),
        frozenset(virtual | shadows),
        frozenset(_row_numbers(made[v] for v in virtual)),
        frozenset(_fts_columns(made[v] for v in virtual)),
    )


_SQLITE_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
_SQLITE_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index'"
_SQLITE_TRIGGERS = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' ORDER BY name"


def check_texts(created: str) -> list[str]:
    """Return what stands in the parentheses of each CHECK of a CREATE TABLE."""
    found = code(created)
    return [
        " ".join(t.text for t in found[i + 2 : closing(found, i + 1)])
        for i, token in enumerate(found)
        if token.key == "check" and i + 1 < len(found) and found[i + 1].text == "("
    ]


def _condition(created: str) -> str:
    """Return what follows the WHERE of a CREATE INDEX."""
    found = code(created)
    where = next((i for i, t in enumerate(found) if t.key == "where"), len(found))
    return " ".join(t.text for t in found[where + 1 :])


def _sqlite_foreign_keys(raw: sqlite3.Connection, table: str) -> list[ForeignKey]:
    keys: dict[int, list[Any]] = {}
    for row in raw.execute("SELECT * FROM pragma_foreign_key_list(?) ORDER BY id, seq", (table,)):
        keys.setdefault(row[0], []).append(row)
    return [
        ForeignKey(tuple(r[3] for r in rows), rows[0][2], tuple(r[4] for r in rows), rows[0][6])
        for rows in keys.values()
    ]


def _row_numbers(created: Iterable[str]) -> list[str]:
    """Return ``table.column`` of each ``content_rowid`` of the virtual tables."""
    found = []
    for sql in created:
        options = dict(re.findall(r"(content|content_rowid)\s*=\s*'(\w+)'", sql))
        if len(options) == 2:
            found.append(f"{options['content']}.{options['content_rowid']}")
    return found


def _fts_columns(created: Iterable[str]) -> Iterator[str]:
    """Yield ``table.column`` of each column that an FTS5 table takes from its content table."""
    for sql in created:
        content = re.search(r"content\s*=\s*'(\w+)'", sql)
        inside = sql[sql.index("(") + 1 :].split(",") if content else ()
        for part in inside:
            if content and re.fullmatch(r"\w+", part.strip()):
                yield f"{content[1]}.{part.strip()}"


def read_postgres(connection: psycopg.Connection[Any]) -> Schema:
    """Read the schema of a PostgreSQL database: what is in the current schema."""

    def rows(sql: str) -> list[Any]:
        return connection.execute(sql.encode()).fetchall()

    tables: dict[str, Table] = {}
    for table, column, kind, required, generated, modifier, collation in rows(_POSTGRES_COLUMNS):
        if table != MIGRATIONS_TABLE:
            tables.setdefault(table, Table(table)).columns[column] = Column(
                column, kind, not required, bool(generated), modifier, collation
            )
    for table, name, method, unique, condition, columns, primary in rows(_POSTGRES_INDEXES):
        if table in tables:
            tables[table].indexes[name] = Index(
                name,
                tuple(columns),
                unique,
                condition is not None,
                method,
                condition or "",
                primary,
            )
            if primary:
                tables[table].key = tuple(columns)
    for table, text in rows(_POSTGRES_CHECKS):
        if table in tables:
            tables[table].checks += check_texts(text)
    for table, columns, other, references, action in rows(_POSTGRES_KEYS):
        if table in tables:
            tables[table].foreign_keys.append(
                ForeignKey(tuple(columns), other, tuple(references), action)
            )
    for table, name in rows(_POSTGRES_TRIGGERS):
        if table in tables:
            tables[table].triggers.append(name)
    return Schema("postgres", dict(sorted(tables.items())))


_POSTGRES_COLUMNS = """
SELECT
    c.relname, a.attname, format_type(a.atttypid, NULL), a.attnotnull, a.attgenerated <> '',
    coalesce(substring(format_type(a.atttypid, a.atttypmod) FROM '\\(.*\\)'), ''),
    CASE WHEN a.attcollation <> t.typcollation THEN o.collname::text ELSE '' END
FROM pg_class AS c
INNER JOIN pg_attribute AS a ON a.attrelid = c.oid
INNER JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_collation AS o ON o.oid = a.attcollation
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY c.relname, a.attnum
"""
_POSTGRES_INDEXES = """
SELECT
    t.relname, c.relname, m.amname::text, i.indisunique, pg_get_expr(i.indpred, i.indrelid),
    ARRAY(
        SELECT coalesce(a.attname::text, '')
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
        LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
        ORDER BY k.place
    ),
    i.indisprimary
FROM pg_index AS i
INNER JOIN pg_class AS c ON c.oid = i.indexrelid
INNER JOIN pg_class AS t ON t.oid = i.indrelid
INNER JOIN pg_am AS m ON m.oid = c.relam
WHERE t.relnamespace = current_schema()::regnamespace
ORDER BY t.relname, c.relname
"""
_POSTGRES_KEYS = """
SELECT
    t.relname,
    ARRAY(
        SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (number, place)
        INNER JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.place
    ),
    o.relname,
    ARRAY(
        SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (number, place)
        INNER JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.number ORDER BY c.place
    ),
    CASE k.confdeltype
        WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT'
        WHEN 'r' THEN 'RESTRICT' ELSE 'NO ACTION'
    END
FROM pg_constraint AS k
INNER JOIN pg_class AS t ON t.oid = k.conrelid
INNER JOIN pg_class AS o ON o.oid = k.confrelid
WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace
ORDER BY t.relname, k.conname
"""
_POSTGRES_CHECKS = """
SELECT t.relname, pg_get_constraintdef(k.oid)
FROM pg_constraint AS k
INNER JOIN pg_class AS t ON t.oid = k.conrelid
WHERE k.contype = 'c' AND k.connamespace = current_schema()::regnamespace
ORDER BY t.relname, k.conname
"""
_POSTGRES_TRIGGERS = """
SELECT t.relname, g.tgname
FROM pg_trigger AS g
INNER JOIN pg_class AS t ON t.oid = g.tgrelid
WHERE NOT g.tgisinternal AND t.relnamespace = current_schema()::regnamespace
ORDER BY t.relname, g.tgname
"""
