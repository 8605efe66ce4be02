"""The migration lock and bookkeeping on PostgreSQL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg

from ._migrate import TABLE, Applied
from .engines.postgres_connection import connect_apart
from .engines.postgres_errors import Reasons, translate
from .settings._masking import mask_dsn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from .engines.postgres import PostgresEngine


class PostgresSession:
    """Bookkeeping statements on one connection."""

    def __init__(
        self, connection: psycopg.AsyncConnection[Any], foreign: frozenset[tuple[str, str]]
    ):
        self._connection = connection
        self._foreign = foreign

    async def _rows(self, statement: str, args: Sequence[Any] = ()) -> list[Any]:
        cursor = psycopg.AsyncRawCursor(self._connection)
        try:
            await cursor.execute(statement, list(args) or None, prepare=False)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise translate(error, query=None) from error

    async def run(self, statement: str, args: Sequence[Any] = ()) -> None:
        """Run one statement."""
        await self._rows(statement, args)

    async def applied(self) -> list[Applied] | None:
        """Return the bookkeeping rows, or None when there is no such table."""
        # Not to_regclass: within a transaction it may still remember that there was no table before the lock was ours.
        [[exists]] = await self._rows(
            "SELECT EXISTS (SELECT 1 FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid))",
            (TABLE,),
        )
        if not exists:
            return None
        rows = await self._rows(
            f"SELECT version, name, checksum, applied_at FROM {TABLE} ORDER BY version"  # noqa: S608
        )
        return [Applied(v, n, c, datetime.fromisoformat(at)) for v, n, c, at in rows]

    async def foreign_tables(self) -> list[str]:
        """Return the tables of the older product that are here."""
        rows = await self._rows(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        )
        return sorted({table for table, column in rows if (table, column) in self._foreign})


@asynccontextmanager
async def postgres_session(
    engine: PostgresEngine,
    dsn: str | None,
    foreign: frozenset[tuple[str, str]],
    lock_key: int,
    *,
    write: bool,
) -> AsyncIterator[PostgresSession]:
    """Open a transaction, with the advisory lock when it is going to write; on a direct connection if there is one."""
    if dsn is None:
        async with (
            engine.connection() as connection,
            _transaction(connection, foreign, lock_key, write=write) as session,
        ):
            yield session
        return
    reasons = Reasons(dsn, f"PostgreSQL {mask_dsn(dsn)}", "ORCHEO_POSTGRES_MIGRATION_DSN")
    direct = await connect_apart(dsn, reasons, engine.connect_timeout)
    async with direct, _transaction(direct, foreign, lock_key, write=write) as session:
        yield session


@asynccontextmanager
async def _transaction(
    connection: psycopg.AsyncConnection[Any],
    foreign: frozenset[tuple[str, str]],
    lock_key: int,
    *,
    write: bool,
) -> AsyncIterator[PostgresSession]:
    session = PostgresSession(connection, foreign)
    try:
        async with connection.transaction():
            if write:
                # Waiting for another process's migration, or building an index, may take longer than any query should.
                await session.run("SET LOCAL lock_timeout = 0")
                await session.run("SET LOCAL statement_timeout = 0")
                await session.run("SELECT pg_advisory_xact_lock($1)", (lock_key,))
            yield session
    except psycopg.Error as error:  # of BEGIN or COMMIT: a deferred constraint, say
        raise translate(error, query=None) from error
