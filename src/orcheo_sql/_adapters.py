"""Use the SQL trees through aiosql, with a connection of your own.

`load_queries("sqlite").workflows.get_run(connection, id=run_id)` runs the same file as the repository and returns the
same raw row. Values are encoded as the repositories encode them; decoding is theirs.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import aiosql

from ._catalog import Catalog, load_catalog
from .engines.base import CompiledQuery, Rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import aiosqlite
    import psycopg
    from aiosql.types import SQLOperationType

    from .codecs.rows import Dialect


class _Adapter:
    """What both adapters share: aiosql hands over a name, the compiled query does the rest."""

    is_aio_driver = True
    dialect: Dialect

    def __init__(self, catalog: Catalog | None = None):
        self._queries = {
            q.qualified_name: CompiledQuery(q) for q in catalog or load_catalog(self.dialect)
        }

    def process_sql(self, name: str, _operation: SQLOperationType, sql: str) -> str:
        """Show a query as its driver gets it."""
        query = self._queries.get(name)
        return ";\n".join(query.statements) if query else sql

    async def _run(self, connection: Any, name: str, parameters: Any) -> Rows:
        query = self._queries[name]
        return await self._execute(connection, query, query.bind(parameters or {}))

    async def _execute(self, connection: Any, query: CompiledQuery, args: Any) -> Rows:
        raise NotImplementedError

    async def select(
        self, connection: Any, name: str, _sql: str, parameters: Any, record_class: Any = None
    ) -> AsyncIterator[Any]:
        """Yield rows."""
        for row in (await self._run(connection, name, parameters)).rows:
            yield row

    async def select_one(
        self, connection: Any, name: str, _sql: str, parameters: Any, record_class: Any = None
    ) -> Any:
        """Return the first row, or None."""
        rows = (await self._run(connection, name, parameters)).rows
        return rows[0] if rows else None

    async def select_value(self, connection: Any, name: str, _sql: str, parameters: Any) -> Any:
        """Return the first column of the first row, or None."""
        row = await self.select_one(connection, name, _sql, parameters)
        return row[0] if row else None

    async def insert_update_delete(
        self, connection: Any, name: str, _sql: str, parameters: Any
    ) -> int:
        """Return how many rows changed."""
        return (await self._run(connection, name, parameters)).changed


class SqliteAdapter(_Adapter):
    """For connections of aiosqlite, made ready with `sqlite_connection`."""

    dialect: Dialect = "sqlite"

    async def _execute(
        self, connection: aiosqlite.Connection, query: CompiledQuery, args: Any
    ) -> Rows:
        from .engines.sqlite_connection import run_atomically, run_statements

        run = run_atomically if len(query.statements) > 1 else run_statements
        raw = connection._conn  # noqa: SLF001
        return cast("Rows", await in_thread(connection, partial(run, raw, query, args)))


async def in_thread(connection: aiosqlite.Connection, function: Callable[[], Any]) -> Any:
    """Run a function in the thread of an aiosqlite connection, which has no public call for it."""
    return await cast("Any", connection)._execute(function)  # noqa: SLF001


class PostgresAdapter(_Adapter):
    """For async connections of psycopg, made ready with `postgres_connection`."""

    dialect: Dialect = "postgres"

    async def _execute(
        self, connection: psycopg.AsyncConnection[Any], query: CompiledQuery, args: Any
    ) -> Rows:
        from .engines.postgres_connection import run_query

        return await run_query(connection, query, args, None)


def load_queries(dialect: Dialect, *, overrides: Path | None = None) -> Any:
    """Load one tree through aiosql: ``queries.<folder>.<name>(connection, **parameters)``.

    Raises:
        QueryError: a file can't be parsed, or an override does not fit.
    """
    catalog = load_catalog(dialect, overrides=overrides)
    adapter = {"sqlite": SqliteAdapter, "postgres": PostgresAdapter}[dialect](catalog)
    for known in (SqliteAdapter, PostgresAdapter):
        aiosql.register_adapter(f"orcheo_{known.dialect}", cast("Any", known))
    return catalog.aiosql_queries(adapter)


@asynccontextmanager
async def sqlite_connection(path: Path | str) -> AsyncIterator[aiosqlite.Connection]:
    """Open an aiosqlite connection with the settings and SQL functions our queries rely on; commits by itself.

    Raises ConfigError when a new file can't be created; it is readable by its owner only.
    """
    import aiosqlite

    from .engines.sqlite_connection import PRAGMAS, create_private, register_functions

    if str(path) != ":memory:":
        path = Path(path).expanduser()  # noqa: ASYNC240 - as quick as opening the file
        create_private(path)
    async with aiosqlite.connect(path, isolation_level=None, timeout=60) as connection:
        for name, value in PRAGMAS:
            await connection.execute(f"PRAGMA {name} = {value}")
        await in_thread(connection, partial(register_functions, connection._conn))  # noqa: SLF001
        yield connection


@asynccontextmanager
async def postgres_connection(dsn: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Open a psycopg connection with the codecs our queries rely on, in UTC; commits by itself.

    Raises ConfigError or ConnectionLostError when there is none to be had.
    """
    from .engines.postgres_connection import adapt, connect_apart
    from .engines.postgres_errors import Reasons
    from .settings._masking import mask_dsn

    connection = await connect_apart(dsn, Reasons(dsn, mask_dsn(dsn), "the DSN"), seconds=0)
    async with connection:
        adapt(connection)
        await connection.execute("SELECT set_config('TimeZone', 'UTC', false)")
        yield connection
