"""PostgreSQL: one psycopg pool per DSN, shared by all subsystems.

What the pool leaves to its users is here: a connection that died while idle is noticed before it is used (a look at
its socket, no round trip), reads that meet a dying server are repeated, new connections are tried again with back-off
and jitter, a transaction pooler between us and the server is recognised, and errors become ours by SQLSTATE.
"""

from __future__ import annotations

import asyncio
import random
import select
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar, cast

import psycopg
import psycopg_pool
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import Int8Dumper

from .._errors import (
    CheckViolationError,
    ConfigError,
    ConflictError,
    ConnectionLostError,
    DatabaseBusyError,
    DeadlockError,
    ForeignKeyViolationError,
    NotNullViolationError,
    OrcheoSqlError,
    PoolTimeoutError,
    SerializationError,
    StatementTimeoutError,
    StoreError,
    UniqueViolationError,
)
from .base import CompiledQuery, DatabaseHealth, Observation, PoolFigures, Rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

T = TypeVar("T")
Pool = psycopg_pool.AsyncConnectionPool[AsyncConnection[Any]]

MINIMUM_VERSION = 140000
FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 0.5
CANCEL_GRACE_SECONDS = 5.0
ROLLBACK_SECONDS = 5.0

_BY_STATE: dict[str, type[StoreError]] = {
    "23505": UniqueViolationError,
    "23503": ForeignKeyViolationError,
    "23514": CheckViolationError,
    "23502": NotNullViolationError,
    "40001": SerializationError,
    "40P01": DeadlockError,
    "55P03": DatabaseBusyError,
    "57014": StatementTimeoutError,
    "25P03": ConnectionLostError,
    "53300": ConnectionLostError,
    "57P01": ConnectionLostError,
    "57P02": ConnectionLostError,
    "57P03": ConnectionLostError,
}
_HINTS: dict[type[StoreError], str] = {
    DatabaseBusyError: "a row stayed locked longer than ORCHEO_LOCK_TIMEOUT_SECONDS",
    StatementTimeoutError: "took longer than ORCHEO_STATEMENT_TIMEOUT_SECONDS",
}
# Answers that will not change by asking again: wrong password, no such role or database, no permission.
_HOPELESS = ("28", "3D", "42", "0A", "08P01")


def translate(error: psycopg.Error, *, query: str | None) -> OrcheoSqlError:
    """Turn a driver error into ours: by SQLSTATE where there is one, else by class."""
    where = f"{query}: " if query else ""
    state = error.sqlstate or ""
    kind = _BY_STATE.get(state)
    if kind is None and state.startswith("08"):
        kind = ConnectionLostError
    if (
        kind is None
        and not state
        and isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    ):
        kind = ConnectionLostError
    if kind is not None and issubclass(kind, ConflictError):
        # DETAIL would show the offending value; the primary message names table and constraint only.
        return kind(
            f"{where}{error.diag.message_primary}",
            query=query,
            dialect="postgres",
            constraint=error.diag.constraint_name,
        )
    message = _HINTS.get(kind or StoreError) or error.diag.message_primary or str(error).strip()
    return (kind or StoreError)(f"{where}{message}", query=query, dialect="postgres")


def is_connection_failure(error: psycopg.Error) -> bool:
    """Whether the connection, rather than the statement, is at fault."""
    return isinstance(translate(error, query=None), ConnectionLostError)


class _BigIntDumper(Int8Dumper):
    """Bind every int as bigint: one prepared statement per query, whatever the magnitude of its arguments."""


def _raw_json(data: bytes | bytearray | memoryview | str) -> Any:
    """Leave JSON as it arrived; the struct's own decoder parses it."""
    return data if isinstance(data, (bytes, str)) else bytes(data)


class Backoff:
    """Exponential back-off with jitter."""

    def __init__(self) -> None:
        self._delay = FIRST_RETRY_SECONDS

    async def pause(self) -> None:
        """Wait a little longer than last time."""
        await asyncio.sleep(self._delay * random.uniform(0.5, 1.5))  # noqa: S311
        self._delay = min(self._delay * 2, LONGEST_RETRY_SECONDS)


def _connection_class(retry_seconds: Callable[[], float]) -> type[AsyncConnection[Any]]:
    """Return a connection class whose connect keeps trying.

    The pool's own retry waits 1, 2, 4 … seconds; after an outage that is seconds too long.
    """

    class RetryingConnection(AsyncConnection[Any]):
        @classmethod
        async def connect(cls, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            backoff = Backoff()
            started = time.monotonic()
            while True:
                try:
                    return await super().connect(*args, **kwargs)
                except psycopg.OperationalError as error:
                    if not worth_retrying(error) or time.monotonic() - started > retry_seconds():
                        raise
                await backoff.pause()

    return RetryingConnection


def worth_retrying(error: psycopg.OperationalError) -> bool:
    """Whether connecting again may succeed without anybody changing anything."""
    if (error.sqlstate or "").startswith(_HOPELESS):
        return False
    # libpq does not give the SQLSTATE of a refused connection to the client.
    text = str(error)
    return not any(
        sign in text
        for sign in ("password authentication failed", "does not exist", "no pg_hba.conf entry")
    )


class PostgresEngine:
    """The pool of one DSN."""

    dialect = "postgres"

    def __init__(
        self,
        dsn: str,
        *,
        location: str,
        observation: Observation,
        min_size: int = 1,
        max_size: int = 10,
        pool_timeout: float = 30.0,
        max_idle: float = 300.0,
        statement_timeout: float = 30.0,
        lock_timeout: float = 10.0,
        connect_timeout: float = 30.0,
        pooler: str = "auto",
        application_name: str = "orcheo-sql",
    ):
        """Describe the database; nothing is opened. Times are seconds, 0 for none; `location` is the masked DSN."""
        self._dsn = dsn
        self.location = location
        self.observation = observation
        self._statement_timeout = statement_timeout
        self._lock_timeout = lock_timeout
        self._connect_timeout = connect_timeout
        self._pool_timeout = pool_timeout
        self._pooler = pooler
        self._closing = False
        self.behind_pooler = pooler == "transaction"
        self.server_version = 0
        self._pool: Pool = psycopg_pool.AsyncConnectionPool(
            dsn,
            connection_class=_connection_class(
                lambda: 0.0 if self._closing else self._connect_timeout
            ),
            kwargs={"autocommit": True, "application_name": application_name},
            min_size=min_size,
            max_size=max_size,
            timeout=pool_timeout,
            max_idle=max_idle,
            configure=self._configure,
            open=False,
            name="orcheo-sql",
        )

    async def open(self) -> None:
        """Reach the server (trying again for a while), look at it, and open the pool.

        Raises:
            ConnectionLostError: the server can't be reached.
            ConfigError: it can, but the database does not exist, or is too old.
        """
        probe = await self._probe()
        try:
            self.server_version = probe.info.server_version
            if self.server_version < MINIMUM_VERSION:
                raise ConfigError(
                    f"PostgreSQL {self.server_version // 10000} is too old, 14 or newer is needed ({self.location})"
                )
            if self._pooler == "auto":
                self.behind_pooler = await _is_pooled(probe)
        finally:
            await probe.close()
        await self._pool.open()

    async def _probe(self) -> AsyncConnection[Any]:
        try:
            return await self._pool.connection_class.connect(self._dsn, autocommit=True)
        except psycopg.OperationalError as error:
            name = psycopg.conninfo.conninfo_to_dict(self._dsn).get("dbname") or "orcheo"
            if f'database "{name}" does not exist' in str(error):
                raise ConfigError(
                    f'the database does not exist ({self.location}); create it with: CREATE DATABASE "{name}";'
                ) from None
            raise ConnectionLostError(
                f"can't connect to PostgreSQL ({self.location}): {_without_secrets(error)}",
                dialect="postgres",
            ) from None

    async def close(self) -> None:
        """Close the pool."""
        self._closing = True
        await self._pool.close()

    async def _configure(self, connection: AsyncConnection[Any]) -> None:
        connection.prepare_threshold = None if self.behind_pooler else 5
        adapt(connection)
        if not self.behind_pooler:
            # A pooler in transaction mode would hand session settings to strangers: there, transactions set their own.
            await connection.execute(
                "SELECT set_config('statement_timeout', $1, false), set_config('lock_timeout', $2, false)",
                [_milliseconds(self._statement_timeout), _milliseconds(self._lock_timeout)],
            )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Borrow a connection that was alive a moment ago."""
        connection = await self._take()
        try:
            yield connection
        finally:
            await self._pool.putconn(connection)

    async def _take(self) -> AsyncConnection[Any]:
        deadline = time.monotonic() + self._pool_timeout
        while True:
            try:
                connection = await self._pool.getconn(
                    timeout=max(deadline - time.monotonic(), 0.001)
                )
            except psycopg_pool.PoolTimeout:
                raise PoolTimeoutError(
                    f"no connection to PostgreSQL became free within {self._pool_timeout:g} s ({self.location}); "
                    "raise ORCHEO_POSTGRES_POOL_MAX_SIZE, or check that the server is up",
                    dialect="postgres",
                ) from None
            except psycopg_pool.PoolClosed:
                raise ConnectionLostError("the database is closed", dialect="postgres") from None
            if not _died_while_idle(connection):
                return connection
            # Dead ones are dropped at once, without the pool's pause between checks; it connects anew in the background.
            await connection.close()
            await self._pool.putconn(connection)

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query in autocommit; a read that loses its connection is repeated until the pool timeout."""
        args = query.bind(params)
        prepare = False if query.wants_custom_plan(params) else None
        deadline = time.monotonic() + self._pool_timeout
        backoff = Backoff()
        while True:
            started = time.perf_counter()
            error: BaseException | None = None
            try:
                async with self.connection() as connection, self._limit(query):
                    rows = await run_query(connection, query, args, prepare)
                return query.result(rows)
            except psycopg.Error as raised:
                error = raised
                repeat = (
                    not query.writes
                    and is_connection_failure(raised)
                    and time.monotonic() < deadline
                )
                if not repeat:
                    raise translate(raised, query=query.name) from raised
            finally:
                self.observation.record(query.name, "postgres", started, error)
            await backoff.pause()

    @asynccontextmanager
    async def _limit(self, query: CompiledQuery) -> AsyncIterator[None]:
        """End a call that the server does not end: it is frozen, or a pooler keeps us from setting its timeout."""
        if not self._statement_timeout:
            yield
            return
        grace = 0.0 if self.behind_pooler else CANCEL_GRACE_SECONDS
        try:
            async with asyncio.timeout(self._statement_timeout + grace):
                yield
        except TimeoutError:
            raise StatementTimeoutError(
                f"{query.name}: {_HINTS[StatementTimeoutError]}",
                query=query.name,
                dialect="postgres",
            ) from None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction on one connection."""
        async with self.connection() as connection:
            transaction = PostgresTransaction(connection, self)
            await transaction.begin()
            try:
                yield transaction
                await transaction.control("COMMIT")
            except BaseException:
                await transaction.rollback()
                raise

    async def health(self) -> DatabaseHealth:
        """Report version, pool figures and the latency of a trivial query."""
        stats = self._pool.get_stats()
        figures = PoolFigures(
            size=stats.get("pool_size", 0),
            idle=stats.get("pool_available", 0),
            waiting=stats.get("requests_waiting", 0),
            timeouts=stats.get("requests_errors", 0),
            maximum=self._pool.max_size,
        )
        started = time.perf_counter()
        try:
            async with asyncio.timeout(CANCEL_GRACE_SECONDS):
                async with self.connection() as connection:
                    cursor = await connection.execute("SELECT current_setting('server_version')")
                    row = await cursor.fetchone()
        except (psycopg.Error, OrcheoSqlError, TimeoutError) as error:
            reason = _without_secrets(error) or type(error).__name__
            return DatabaseHealth("postgres", self.location, False, pool=figures, error=reason)
        return DatabaseHealth(
            "postgres",
            self.location,
            True,
            server_version=row[0] if row else None,
            latency_seconds=time.perf_counter() - started,
            pool=figures,
        )

    def local_timeouts(self) -> tuple[str, list[str]] | None:
        """Return what a transaction behind a pooler runs first, since its session settings are not ours."""
        if not self.behind_pooler:
            return None
        return (
            "SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)",
            [_milliseconds(self._statement_timeout), _milliseconds(self._lock_timeout)],
        )

    def limit(self, query: CompiledQuery) -> Any:
        """Return the guard that ends a call which outlives the statement timeout."""
        return self._limit(query)


class PostgresTransaction:
    """An open transaction on one connection."""

    dialect = "postgres"

    def __init__(self, connection: AsyncConnection[Any], engine: PostgresEngine):
        self._connection = connection
        self._engine = engine
        self._depth = 0

    async def begin(self) -> None:
        """Send BEGIN."""
        await self.control("BEGIN")
        local = self._engine.local_timeouts()
        if local:
            await self._connection.execute(cast("LiteralString", local[0]), local[1])

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query within the transaction; never repeated, for what came before would be missing."""
        args = query.bind(params)
        started = time.perf_counter()
        error: BaseException | None = None
        try:
            async with self._engine.limit(query):
                prepare = False if query.wants_custom_plan(params) else None
                rows = await run_query(self._connection, query, args, prepare)
        except psycopg.Error as raised:
            error = raised
            raise translate(raised, query=query.name) from raised
        finally:
            self._engine.observation.record(query.name, "postgres", started, error)
        return query.result(rows)

    async def control(self, statement: str) -> None:
        """Run BEGIN, COMMIT, SAVEPOINT and their kin."""
        try:
            await self._connection.execute(cast("LiteralString", statement), prepare=False)
        except psycopg.Error as error:
            raise translate(error, query=statement) from error

    async def rollback(self) -> None:
        """Undo everything, waited for even while the caller is being cancelled; its failure never hides the cause."""

        async def undo() -> None:
            if self._connection.pgconn.transaction_status in (
                TransactionStatus.INTRANS,
                TransactionStatus.INERROR,
            ):
                await self._connection.execute("ROLLBACK", prepare=False)

        await _finish(undo(), self._connection)

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Open a savepoint."""
        self._depth += 1
        name = f"orcheo_{self._depth}"
        try:
            await self.control(f"SAVEPOINT {name}")
            try:
                yield
            except BaseException:

                async def undo() -> None:
                    await self.control(f"ROLLBACK TO SAVEPOINT {name}")
                    await self.control(f"RELEASE SAVEPOINT {name}")

                await _finish(undo(), self._connection)
                raise
            await self.control(f"RELEASE SAVEPOINT {name}")
        finally:
            self._depth -= 1


async def _finish(work: Any, connection: AsyncConnection[Any]) -> None:
    """Run cleaning-up work to its end despite cancellation; a connection that can't be cleaned is closed."""
    task = asyncio.ensure_future(work)
    deadline = time.monotonic() + ROLLBACK_SECONDS
    while not task.done() and time.monotonic() < deadline:
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task], timeout=ROLLBACK_SECONDS)
    if not task.done():
        task.cancel()
        with suppress(asyncio.CancelledError, psycopg.Error, OrcheoSqlError):
            await task
    failed = not task.done() or task.cancelled() or task.exception() is not None
    if failed:
        await connection.close()


async def run_query(
    connection: AsyncConnection[Any], query: CompiledQuery, args: list[Any], prepare: bool | None
) -> Rows:
    """Send one query and fetch what it returns."""
    cursor = AsyncRawCursor(connection)
    await cursor.execute(cast("LiteralString", query.sql), args, prepare=prepare)
    if query.shape == "count":
        return Rows(None, (), max(cursor.rowcount, 0))
    columns = tuple(c.name for c in cursor.description or ()) if query.needs_columns else None
    return Rows(columns, await cursor.fetchall(), 0)


def adapt(connection: AsyncConnection[Any]) -> None:
    """Give a connection the cursor and the codecs our queries rely on."""
    connection.cursor_factory = AsyncRawCursor
    connection.adapters.register_dumper(int, _BigIntDumper)
    set_json_loads(_raw_json, connection)


def _died_while_idle(connection: AsyncConnection[Any]) -> bool:
    """Look, without a round trip, whether the server has ended an idle connection.

    An idle connection has nothing to read. If its socket is readable the server has said something: a farewell, or
    (harmless) a notice or a TLS session ticket.
    """
    pgconn = connection.pgconn
    try:
        for _ in range(3):
            poller = select.poll()
            poller.register(pgconn.socket, select.POLLIN)
            if not poller.poll(0):
                return False
            pgconn.consume_input()
    except (psycopg.Error, OSError):
        return True
    return connection.closed or pgconn.transaction_status == TransactionStatus.UNKNOWN


async def _is_pooled(connection: AsyncConnection[Any]) -> bool:
    """Recognise a pooler: it makes up the process id that the client is told at connect."""
    cursor = await connection.execute("SELECT pg_backend_pid()", prepare=False)
    row = await cursor.fetchone()
    return row is not None and row[0] != connection.info.backend_pid


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))


def _without_secrets(error: BaseException) -> str:
    """Return the first line of an error; libpq names host, role and database there, never the password."""
    return (str(error).strip().splitlines() or [""])[0]
