"""Numbered SQL migrations: what is applied, what is pending, and applying it exactly once.

A migration and the record of it are committed together, under a lock that holds for every process: BEGIN IMMEDIATE on
SQLite, a transaction-level advisory lock on PostgreSQL (session locks get lost behind a transaction pooler). What is
applied is read again inside the lock.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec

from ._catalog import split_statements, sql_root
from ._errors import (
    ChecksumMismatchError,
    ForeignSchemaError,
    MigrationError,
    MigrationFailedError,
    NewerSchemaError,
    OrcheoSqlError,
    PendingMigrationsError,
    StoreError,
)
from .codecs.encode import instant_text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from .codecs.rows import Dialect
    from .engines.postgres import PostgresEngine
    from .engines.sqlite import SqliteEngine

TABLE = "orcheo_migrations"
_FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")
LOCK_KEY = 0x4F52_4348_454F_5351  # "ORCHEOSQ"

VERSION_QUERY = f"SELECT max(version) FROM {TABLE}"  # noqa: S608 - constant

BOOKKEEPING: dict[Dialect, str] = {
    "sqlite": f"CREATE TABLE IF NOT EXISTS {TABLE} (version INTEGER NOT NULL PRIMARY KEY, "
    "name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at TEXT NOT NULL) STRICT",
    "postgres": f"CREATE TABLE IF NOT EXISTS {TABLE} (version bigint NOT NULL PRIMARY KEY, "
    "name text NOT NULL, checksum text NOT NULL, applied_at text NOT NULL)",
}

# Tables of the older product, each with a column that only it has.
_FOREIGN: frozenset[tuple[str, str]] = frozenset(
    {
        ("workflows", "payload"),
        ("workflow_versions", "payload"),
        ("workflow_runs", "payload"),
        ("execution_history", "execution_id"),
        ("agentensor_checkpoints", "config_version"),
        ("chat_threads", "status_json"),
        ("service_tokens", "secret_hash"),
        ("credentials", "provider"),
        ("runs", "state_json"),
    }
)


@dataclass(frozen=True)
class Migration:
    """One migration file."""

    version: int
    name: str
    path: Path
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, whatever its line ends."""
        return hashlib.sha256(self.sql.replace("\r\n", "\n").encode()).hexdigest()


class MigrationState(msgspec.Struct, frozen=True):
    """One migration as a database sees it; `applied_at` is None while it is pending."""

    version: int
    name: str
    applied_at: datetime | None


@dataclass(frozen=True)
class Applied:
    """A row of the bookkeeping table."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


@cache
def load_migrations(dialect: Dialect, root: Path | None = None) -> tuple[Migration, ...]:
    """Read the migrations of one dialect, in order.

    Raises:
        MigrationError: numbers are missing or taken twice, or a file has another kind of name.
    """
    folder = (root or sql_root()) / dialect / "migrations"
    found: list[Migration] = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.match(path.name)
        if match is None:
            raise MigrationError(f"{path}: a migration is named like 0001_what_it_does.sql")
        found.append(Migration(int(match[1]), match[2], path, path.read_text(encoding="utf-8")))
    for expected, migration in enumerate(found, 1):
        if migration.version != expected:
            raise MigrationError(f"{migration.path}: expected number {expected:04d} here")
    return tuple(found)


def numbered_statements(sql: str) -> Iterator[tuple[int, str]]:
    """Split a migration into statements, each with the line it begins on."""
    position = 0
    for statement in _statements(sql):
        start = sql.index(statement, position)
        position = start + len(statement)
        code = re.search(r"^(?!\s*(?:--.*)?$)", statement, re.MULTILINE)
        yield sql.count("\n", 0, start + (code.start() if code else 0)) + 1, statement


_CONTROL = re.compile(
    r"(?:\s|--.*(?:\n|$))*(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE\s+TRANSACTION)\b",
    re.IGNORECASE,
)


def _controls_transaction(statement: str) -> str | None:
    """Return the word of a statement that would end the transaction of a migration, or begin another."""
    found = _CONTROL.match(statement)
    return found[1].upper() if found else None


def _failed(where: str, error: OrcheoSqlError) -> MigrationFailedError:
    return MigrationFailedError(f"{where}: {error}; nothing of this migration was kept")


_DOLLAR = re.compile(r"\$(\w*)\$.*?\$\1\$", re.DOTALL)


def _statements(sql: str) -> Iterator[str]:
    # PostgreSQL's $$ bodies are hidden from the splitter, which knows SQLite's grammar; the positions stay the same.
    hidden = _DOLLAR.sub(lambda m: "x" * len(m[0]), sql)
    position = 0
    for piece in split_statements(hidden):
        start = hidden.index(piece, position)
        position = start + len(piece)
        text = sql[start:position]
        if re.sub(r"--.*", "", text).strip():
            yield text


class MigrationSession(Protocol):
    """One transaction under the migration lock."""

    async def applied(self) -> list[Applied] | None:
        """Return the bookkeeping rows, or None when there is no such table."""
        ...

    async def foreign_tables(self) -> list[str]:
        """Return the tables of the older product that are here."""
        ...

    async def run(self, statement: str, args: Sequence[Any] = ()) -> None:
        """Run one statement."""
        ...


class Migrator:
    """Brings one database to the schema of this library, or says why it can't."""

    def __init__(
        self,
        engine: SqliteEngine | PostgresEngine,
        *,
        dsn: str | None = None,
        root: Path | None = None,
    ):
        """Use an open engine; `dsn` is a direct connection for migrations behind a pooler."""
        self._engine = engine
        self._dsn = dsn
        self.dialect = engine.dialect
        self.migrations = load_migrations(self.dialect, root)

    async def status(self) -> list[MigrationState]:
        """List every migration with the time it was applied; writes nothing."""
        applied = {row.version: row for row in await self._checked(write=False)}
        return [
            MigrationState(
                m.version, m.name, applied[m.version].applied_at if m.version in applied else None
            )
            for m in self.migrations
        ]

    async def verify(self) -> int:
        """Return the schema version if it is the one this library needs; writes nothing.

        Raises:
            PendingMigrationsError: migrations are pending.
            MigrationError: see the subclasses.
        """
        applied = await self._checked(write=False)
        pending = [m for m in self.migrations if m.version > len(applied)]
        if pending:
            raise PendingMigrationsError(
                f"{self._engine.location}: {len(pending)} migration(s) pending, next {pending[0].version:04d}_"
                f"{pending[0].name}; run: orcheo-sql migrate up (or set ORCHEO_AUTO_MIGRATE=true)"
            )
        return len(applied)

    async def up(self) -> list[Migration]:
        """Apply what is pending, each migration in a transaction of its own, and return it.

        Raises:
            MigrationFailedError: one failed and left nothing behind; names file and line.
        """
        done: list[Migration] = []
        if len(await self._checked(write=False)) == len(self.migrations):
            return done
        while (migration := await self._next()) is not None:
            done.append(migration)
        return done

    async def _next(self) -> Migration | None:
        """Apply the first migration that is pending, if any is."""
        migration: Migration | None = None
        try:
            async with self._session(write=True) as session:
                rows = self._check(await session.applied(), await session.foreign_tables())
                if len(rows) == len(self.migrations):
                    return None
                if not rows:
                    await self._begin_bookkeeping(session)
                migration = self.migrations[len(rows)]
                await self._apply(session, migration)
        except MigrationError:
            raise
        except OrcheoSqlError as error:
            if migration is None:
                raise
            # The commit: a constraint that is looked at then.
            raise _failed(str(migration.path), error) from error
        return migration

    async def _begin_bookkeeping(self, session: MigrationSession) -> None:
        try:
            await session.run(BOOKKEEPING[self.dialect])
        except StoreError as error:
            advice = (
                "; the role needs a schema to create tables in: GRANT CREATE ON SCHEMA public TO its name, or set the "
                "search_path of the role"
                if self.dialect == "postgres"
                else ""
            )
            raise MigrationFailedError(f"{self._engine.location}: {error}{advice}") from error

    async def _apply(self, session: MigrationSession, migration: Migration) -> None:
        statements = list(numbered_statements(migration.sql))
        for line, statement in statements:
            if (word := _controls_transaction(statement)) is not None:
                raise MigrationFailedError(
                    f"{migration.path}:{line}: {word} does not belong into a migration, which is one transaction; "
                    "nothing of this migration was kept"
                )
        for line, statement in statements:
            try:
                await session.run(statement)
            except OrcheoSqlError as error:
                raise _failed(f"{migration.path}:{line}", error) from error
        marks = "$1, $2, $3, $4" if self.dialect == "postgres" else "?, ?, ?, ?"
        await session.run(
            f"INSERT INTO {TABLE} (version, name, checksum, applied_at) VALUES ({marks})",  # noqa: S608
            (
                migration.version,
                migration.name,
                migration.checksum,
                instant_text(datetime.now(UTC)),
            ),
        )

    async def _checked(self, *, write: bool) -> list[Applied]:
        async with self._session(write=write) as session:
            return self._check(await session.applied(), await session.foreign_tables())

    def _check(self, applied: list[Applied] | None, foreign: list[str]) -> list[Applied]:
        """Refuse a database that is not ours, is newer, or whose past differs from our files."""
        where = self._engine.location
        if applied is None:
            if foreign:
                raise ForeignSchemaError(
                    f"{where}: the tables {', '.join(foreign)} are in the layout of the older product, which is never "
                    "altered; open a new database: ORCHEO_DATABASE_PATH or ORCHEO_POSTGRES_DSN"
                )
            return []
        for expected, row in enumerate(applied, 1):
            if row.version > len(self.migrations):
                raise NewerSchemaError(
                    f"{where}: migration {row.version:04d}_{row.name} is from a newer orcheo-sql than this one, which "
                    f"ends at {len(self.migrations):04d}; upgrade the library: pip install --upgrade orcheo-sql"
                )
            if row.version != expected:
                raise MigrationError(
                    f"{where}: the table {TABLE} has no row for migration {expected:04d}, but one for {row.version}: it "
                    "was changed by hand; restore it from a backup"
                )
            known = self.migrations[row.version - 1]
            if row.checksum != known.checksum:
                raise ChecksumMismatchError(
                    f"{known.path}: migration {row.version:04d}_{row.name} was applied to {where} with another text "
                    f"(checksum {row.checksum[:12]}, the file has {known.checksum[:12]}); restore the file and put "
                    "the change into a new migration"
                )
        return applied

    @asynccontextmanager
    async def _session(self, *, write: bool) -> AsyncIterator[MigrationSession]:
        if self._engine.dialect == "sqlite":
            from ._migrate_sqlite import sqlite_session

            async with sqlite_session(
                cast("SqliteEngine", self._engine), _FOREIGN, write=write
            ) as session:
                yield session
        else:
            from ._migrate_postgres import postgres_session

            engine = cast("PostgresEngine", self._engine)
            async with postgres_session(
                engine, self._dsn, _FOREIGN, LOCK_KEY, write=write
            ) as session:
                yield session
