"""The limit: the same SQL with the same arguments through the driver alone, returning what it returns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol, cast

import aiosqlite
import psycopg_pool
from psycopg.pq import TransactionStatus

from ..codecs.rows import columns_of, converter
from ..engines.postgres_connection import Connection, adapt
from ..engines.sqlite_connection import open_raw

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import msgspec
    import psycopg

    from ..codecs.rows import Dialect
    from ..engines.base import CompiledQuery
    from ..settings import Location
    from .capture import Call

PREPARE_AFTER = 5
CONNECT_SECONDS = 5.0
"""Long: ours has connected to the same a moment ago."""


class Raw(Protocol):
    """One way to run captured queries."""

    name: str
    dialect: Dialect

    async def open(self) -> None:
        """Connect."""
        ...

    async def run(self, call: Call) -> Any:
        """Run one query and return the driver's rows."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...


class RawPsycopg:
    """The psycopg pool, in autocommit; what we prepare is prepared. JSON stays text, as with us."""

    name = "psycopg pool"
    dialect: Dialect = "postgres"

    def __init__(self, dsn: str, size: int = 4, *, prepares: bool = True):
        self._made: list[psycopg.AsyncConnection[Any]] = []
        self._pool: psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[Any]]
        self._pool = psycopg_pool.AsyncConnectionPool(
            dsn,
            min_size=1,  # one client then meets one backend that is warm
            max_size=size,
            open=False,
            reconnect_timeout=CONNECT_SECONDS,
            kwargs={
                "autocommit": True,
                "prepare_threshold": PREPARE_AFTER if prepares else None,
                # Else the pool can't be closed while a server that answers nothing is being connected to.
                "connect_timeout": int(CONNECT_SECONDS),
            },
            configure=self._configure,
        )

    async def open(self) -> None:
        await self._pool.open(wait=True, timeout=CONNECT_SECONDS)

    async def run(self, call: Call) -> Any:
        async with self._pool.connection() as connection:
            prepare = False if call.query.plans_anew else None
            cursor = await connection.execute(call.query.sql, call.args, prepare=prepare)
            return await cursor.fetchall() if cursor.description else cursor.rowcount

    async def close(self) -> None:
        for connection in self._made:
            if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                Connection.cut(cast("Any", connection))  # the server answers no more
        await self._pool.close()

    async def _configure(self, connection: psycopg.AsyncConnection[Any]) -> None:
        adapt(connection)
        self._made.append(connection)


class RawAiosqlite:
    """One hop to the thread of an aiosqlite connection; a write is a transaction."""

    name = "aiosqlite, one hop"
    dialect: Dialect = "sqlite"

    def __init__(self, path: Path):
        self._uri = path.as_uri()
        self._reader = aiosqlite.Connection(lambda: open_raw(self._uri, writer=False), 64)
        self._writer = aiosqlite.Connection(lambda: open_raw(self._uri, writer=True), 64)
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        await self._writer
        await self._reader

    async def run(self, call: Call) -> Any:
        if not call.query.writes:
            return await self._reader.execute_fetchall(call.query.sql, call.args)
        raw = self._writer._conn  # noqa: SLF001
        async with self._turn:
            return await cast("Any", self._writer)._execute(_write, raw, call)  # noqa: SLF001

    async def columns(self, call: Call) -> list[str]:
        """Return the names of the columns of a query that reads."""
        async with self._reader.execute(call.query.sql, call.args) as cursor:
            return [column[0] for column in cursor.description]

    async def close(self) -> None:
        await self._reader.close()
        await self._writer.close()


class RawSqlite3:
    """The sqlite3 module in this thread: the physical floor, with no event loop to keep free."""

    name = "sqlite3, in the thread"
    dialect: Dialect = "sqlite"

    def __init__(self, path: Path):
        self._path = path

    async def open(self) -> None:
        self._reader = open_raw(self._path.as_uri(), writer=False)
        self._writer = open_raw(self._path.as_uri(), writer=True)

    async def run(self, call: Call) -> Any:
        if not call.query.writes:
            return self._reader.execute(call.query.sql, call.args).fetchall()
        return _write(self._writer, call)

    async def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Typed:
    """aiosqlite, and a value of its type for each text in the rows, as psycopg's rows have them.

    SQLite has no type for times, UUIDs, booleans and JSON, so its driver leaves that work to the caller.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, raw: RawAiosqlite):
        self._raw = raw
        self.name = f"{raw.name}, typed"
        self._converters: dict[str, list[tuple[int, Callable[[Any], Any]]]] = {}

    async def open(self) -> None:
        """Do nothing: the other one is open."""

    async def run(self, call: Call) -> Any:
        rows = await self._raw.run(call)
        converters = self._converters.get(call.query.name)
        if converters is None:
            names = await self._raw.columns(call)
            converters = self._converters[call.query.name] = _converters(call.query, names)
        for column, convert in converters:
            for row in rows:
                if row[column] is not None:
                    convert(row[column])
        return rows

    async def close(self) -> None:
        """Do nothing: who opened the other one closes it."""


def _converters(
    query: CompiledQuery, columns: Sequence[str]
) -> list[tuple[int, Callable[[Any], Any]]]:
    fields = columns_of(cast("type[msgspec.Struct]", query.query.returns))
    found = ((n, converter(fields[name].type, "sqlite")) for n, name in enumerate(columns))
    return [(n, convert) for n, convert in found if convert is not None]


def raw_for(location: Location, connections: int, engine: Any) -> Raw | None:
    """Return the limit of a database that is open; None for one in memory, which only we can reach."""
    if location.dsn is not None:
        dsn = location.dsn.get_secret_value()
        return RawPsycopg(dsn, connections, prepares=not engine.behind_pooler)
    return None if location.path is None else RawAiosqlite(location.path)


def _write(raw: sqlite3.Connection, call: Call) -> Any:
    raw.execute("BEGIN IMMEDIATE")
    try:
        result: Any = None
        for statement in call.query.statements:
            cursor = raw.execute(statement, call.args)
            rows = cursor.fetchall() if cursor.description else None
            result = rows if result is None else result
            if rows == []:
                break
        raw.execute("COMMIT")
    except BaseException:
        raw.execute("ROLLBACK")
        raise
    return result
