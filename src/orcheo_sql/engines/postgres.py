"""PostgreSQL: one psycopg pool per DSN, shared by all subsystems.

What the pool leaves to its users is here: a connection that died while idle is noticed before it is used (a look at
its socket, no round trip), reads that meet a dying server are repeated, new connections are tried again with back-off
and jitter, a transaction pooler between us and the server is recognised, a server that answers nothing is given up,
and no connection is lost to a cancelled task.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn, cast

import psycopg
import psycopg_pool

from .._errors import (
    ConfigError,
    ConnectionLostError,
    DatabaseClosedError,
    OrcheoSqlError,
    PoolTimeoutError,
    StatementTimeoutError,
    StoreError,
    ValidationError,
)
from .base import CompiledQuery, DatabaseHealth, Observation, PoolFigures, Rows
from .postgres_connection import (
    PREPARED_STATEMENTS,
    SESSION,
    TRANSACTION,
    Connection,
    Gate,
    adapt,
    arguments_for,
    connection_class,
    is_pooled,
    look,
    reach,
    run_query,
)
from .postgres_errors import Reasons, translate
from .postgres_transaction import PostgresTransaction
from .waiting import CLOSE_SECONDS, HEALTH_SECONDS, Backoff, Watch, finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from ..codecs.rows import Dialect

Pool = psycopg_pool.AsyncConnectionPool[Connection]

MINIMUM_VERSION = 140000
PREPARE_AFTER = 5
# How much longer than the server, which has the limit too, the client waits before it tells the server to stop.
GRACE_SECONDS = 1.0
# And how long for the server to obey, before the line is cut.
OBEY_SECONDS = 2.0
MOST_WORKERS = 100


class _Stack(deque[Connection]):
    """Free connections, of which the one used last comes first.

    The pool takes the one that has rested longest. Where a few would do, each of its backends is then met cold: its
    statements are not prepared yet, its caches are empty.
    """

    def append(self, connection: Connection) -> None:
        self.appendleft(connection)


class _Pool(psycopg_pool.AsyncConnectionPool[Connection]):
    """A pool whose connection used last is used next, and the one that has rested longest goes first."""

    def __init__(self, **arguments: Any):
        super().__init__(**arguments)
        # There is no public way to say so.
        self._pool = _Stack()

    async def _shrink_pool(self) -> None:
        # Where it is not closed it is used next: so none rests for ever, and outlives its time.
        self._pool.rotate(1)
        await super()._shrink_pool()


class PostgresEngine:
    """The pool of one DSN."""

    dialect: Dialect = "postgres"

    def __init__(
        self,
        dsn: Callable[[], str],
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
    ):
        """Describe the database; nothing is opened. Times are seconds, 0 for none.

        Args:
            dsn: returns the DSN, so that it need not be kept.
            location: the masked DSN.
            observation: who hears of each query.
            min_size: connections that are kept open.
            max_size: the most connections.
            pool_timeout: how long to wait for a connection, and how long reads are repeated.
            max_idle: when connections above `min_size` are closed.
            statement_timeout: when a statement is ended.
            lock_timeout: how long a statement waits for a lock.
            connect_timeout: how long `open` tries to reach the server.
            pooler: `auto`, `none` or `transaction`.

        Raises:
            ConfigError: the DSN can't be read.
        """
        self.location = location
        self.observation = observation
        self._reasons = Reasons(dsn(), location)
        self._timeouts = [_milliseconds(statement_timeout), _milliseconds(lock_timeout)]
        self._statement_timeout = statement_timeout
        self.connect_timeout = connect_timeout
        self._pool_timeout = pool_timeout
        self._pooler = pooler
        self.behind_pooler = pooler == "transaction"
        self.server_version = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy: set[Connection] = set()
        self._drained = 0.0
        self._gave_up = 0
        self._watch: Watch[Connection] = Watch(None, self._end)
        self._cancelling: set[asyncio.Task[None]] = set()
        self._gate = Gate(dsn, self._reasons, arguments_for(self._reasons, connect_timeout))
        self._class = connection_class(self._gate, self._prepare)
        self._pool: Pool = _Pool(
            connection_class=self._class,
            min_size=min_size,
            max_size=max_size,
            timeout=pool_timeout,
            max_idle=max_idle,
            open=False,
            name="orcheo-sql",
            # Of its workers, all but one may be busy connecting to a server that is down.
            num_workers=min(max_size, MOST_WORKERS) + 1,
        )

    async def open(self) -> None:
        """Reach the server (trying again for a while), look at it, and open the pool.

        Raises:
            ConnectionLostError: the server can't be reached.
            ConfigError: it can, but it refuses us, the database does not exist, or it is too old.
        """
        self._loop = asyncio.get_running_loop()
        self._gate.open()
        try:
            probe = await self._probe(self.connect_timeout)
            try:
                self.server_version = probe.info.server_version
                if self.server_version < MINIMUM_VERSION:
                    raise ConfigError(
                        f"PostgreSQL {self.server_version // 10000} is too old, 14 or newer is needed ({self.location})"
                    )
                if self._pooler == "auto":
                    self.behind_pooler = await is_pooled(probe)
            except psycopg.Error as error:
                raise self._reasons.refusal(error) from None
            finally:
                await probe.close()
        except BaseException:
            self._loop = None
            raise
        if self._statement_timeout:
            grace = 0.0 if self.behind_pooler else GRACE_SECONDS
            self._watch = Watch(self._statement_timeout + grace, self._end)
        await self._pool.open()

    async def _probe(self, seconds: float) -> Connection:
        """Connect outside of the pool."""
        return await reach(self._class, self._reasons, seconds)

    async def close(self) -> None:
        """Let running work end, for a while, and close the pool. What has not begun is refused."""
        if self._loop is None:
            return
        self._check_loop(asyncio.get_running_loop())
        self._loop = None
        self._gate.close()
        deadline = time.monotonic() + CLOSE_SECONDS
        backoff = Backoff(0.001)
        while self._busy and time.monotonic() < deadline:
            await backoff.pause()
        self._watch.stop()
        for connection in self._busy:
            connection.cut()
        await finish(self._pool.close())

    async def _prepare(self, connection: Connection) -> None:
        connection.prepare_threshold = None if self.behind_pooler else PREPARE_AFTER
        connection.prepared_max = PREPARED_STATEMENTS
        adapt(connection)
        if not self.behind_pooler:
            # A pooler in transaction mode would hand session settings to strangers: there, transactions set their own.
            await connection.execute(SESSION, self._timeouts)

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            raise DatabaseClosedError("the database is closed")
        if self._loop is not loop:
            raise DatabaseClosedError(
                f"the database {self.location} was opened in another event loop and can't be used in this one: "
                "open a Database of its own in each"
            )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection that was alive a moment ago."""
        connection = await self._take()
        try:
            yield connection
        finally:
            await self._give(connection)

    async def _take(self, timeout: float | None = None) -> Connection:  # noqa: ASYNC109
        self._check_loop(asyncio.get_running_loop())
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        cancelled = task.cancelling()
        deadline = 0.0
        while True:
            try:
                connection = await self._pool.getconn(timeout)
            except psycopg_pool.PoolTimeout:
                raise self._no_connection(timeout or self._pool_timeout) from None
            except psycopg_pool.PoolClosed:
                raise DatabaseClosedError("the database is closed") from None
            if task.cancelling() > cancelled:
                # Python 3.11's wait_for, which the pool uses, can swallow a cancellation.
                await self._give(connection)
                raise asyncio.CancelledError
            if self._loop is None:
                await self._give(connection)
                raise DatabaseClosedError("the database is closed")
            if not connection.died_while_idle():
                self._busy.add(connection)
                return connection
            # Dead ones are dropped at once, without the pool's pause between checks; it connects anew in the background.
            await connection.close()
            await finish(self._pool.putconn(connection))
            deadline = deadline or time.monotonic() + (timeout or self._pool_timeout)
            timeout = max(deadline - time.monotonic(), 0.001)

    def _no_connection(self, waited: float) -> StoreError:
        if self._gate.failure is not None:
            return ConnectionLostError(
                f"can't reach PostgreSQL ({self.location}) for {waited:g} s: {self._gate.failure}",
                dialect="postgres",
            )
        self._gave_up += 1
        return PoolTimeoutError(
            f"no connection to PostgreSQL became free within {waited:g} s ({self.location}); "
            "raise ORCHEO_POSTGRES_POOL_MAX_SIZE, or keep units of work shorter",
            dialect="postgres",
        )

    async def _give(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if connection.overdue:
            # The server may still be about to cancel what runs on it next.
            await connection.close()
        # A cancelled task must not keep what it had borrowed.
        await finish(self._pool.putconn(connection))

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query in autocommit; a read that loses its connection is repeated until the pool timeout."""
        args = query.bind(params)
        prepare = False if query.plans_anew else None
        started = begun = time.perf_counter()
        backoff: Backoff | None = None
        try:
            while True:
                connection = await self._take()
                begun = time.perf_counter()
                try:
                    rows = await self.run(connection, query, args, prepare)
                    break
                except ConnectionLostError:
                    if query.writes or begun - started > self._pool_timeout:
                        raise
                finally:
                    await self._give(connection)
                if backoff is None:
                    backoff = Backoff()
                else:
                    await self._drain()
                await backoff.pause()
        except BaseException as error:
            self.observation.record(query.name, "postgres", started, begun, error)
            raise
        self.observation.record(query.name, "postgres", started, begun)
        return query.result(rows)

    async def _drain(self) -> None:
        """Make all idle connections anew, rather than find out one by one that they are dead; at most once a second."""
        now = time.monotonic()
        if now - self._drained > 1.0:
            self._drained = now
            await finish(self._pool.drain())

    async def run(
        self, connection: Connection, query: CompiledQuery, args: list[Any], prepare: bool | None
    ) -> Rows:
        """Run one query on a connection, within the time limit; its errors are ours."""
        self._watch.begin(connection)
        try:
            return await run_query(connection, query, args, prepare)
        except psycopg.Error as error:
            await self._fail(connection, error, query.name)
        except (UnicodeEncodeError, OverflowError) as error:
            raise ValidationError(
                f"{query.name}: a value can't be stored: {type(error).__name__}"
            ) from None
        finally:
            self._watch.end(connection)

    async def command(self, connection: Connection, statement: str, *args: Any) -> str | None:
        """Run BEGIN, COMMIT and their kin within the time limit, and return what the server calls what it did."""
        self._watch.begin(connection)
        try:
            cursor = await connection.execute(statement, args or None, prepare=False)
        except psycopg.Error as error:
            await self._fail(connection, error, statement)
        finally:
            self._watch.end(connection)
        return cursor.statusmessage

    async def _fail(self, connection: Connection, error: psycopg.Error, query: str) -> NoReturn:
        if connection.overdue:
            raise StatementTimeoutError(
                f"{query}: took longer than ORCHEO_STATEMENT_TIMEOUT_SECONDS",
                query=query,
                dialect="postgres",
            ) from error
        ours = translate(error, query=query)
        if isinstance(ours, ConnectionLostError):
            await connection.close()
        raise ours from error

    def _end(self, connection: Connection, late: float) -> None:
        """End a statement that the server has not ended: it is frozen, or a pooler keeps us from setting its limit."""
        if not connection.overdue:
            connection.overdue = True
            task = asyncio.get_running_loop().create_task(_ask_to_stop(connection))
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)
        elif late > OBEY_SECONDS:
            connection.cut()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        """Open a transaction on one connection."""
        transaction = await self._begin()
        try:
            try:
                yield transaction
                await transaction.commit()
            except BaseException:
                await transaction.rollback()
                raise
        finally:
            await self._give(transaction.connection)

    async def _begin(self) -> PostgresTransaction:
        """Begin; a connection that turns out to be dead is replaced, for nothing has happened on it yet."""
        deadline = time.monotonic() + self._pool_timeout
        backoff = Backoff()
        while True:
            connection = await self._take()
            try:
                await self.command(connection, "BEGIN")
                if self.behind_pooler:
                    await self.command(connection, TRANSACTION, *self._timeouts)
            except BaseException as error:
                transaction = PostgresTransaction(connection, self)
                await finish(transaction.rollback())
                await self._give(connection)
                if not isinstance(error, ConnectionLostError) or time.monotonic() > deadline:
                    raise
            else:
                return PostgresTransaction(connection, self)
            await backoff.pause()

    async def migrated(self) -> None:
        """Nothing is to be done when the schema has changed: it was a transaction, and statements are prepared anew."""

    async def health(self, version_query: str | None = None) -> DatabaseHealth:
        """Report versions, pool figures and the latency of a trivial query.

        Args:
            version_query: returns the version of the schema.
        """
        self._check_loop(asyncio.get_running_loop())
        figures = self._figures()
        connection: Connection | None = None
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                connection = await self._lend()
            version, schema, latency = await look(connection, version_query)
        except (psycopg.Error, OrcheoSqlError, TimeoutError) as error:
            reason = (
                self._reasons.of(error) if str(error) else f"no answer within {HEALTH_SECONDS:g} s"
            )
            return DatabaseHealth("postgres", self.location, False, pool=figures, error=reason)
        finally:
            if connection in self._busy:
                await self._give(connection)
            elif connection is not None:
                await connection.close()
        return DatabaseHealth(
            "postgres",
            self.location,
            True,
            server_version=version,
            schema_version=schema,
            latency_seconds=latency,
            pool=figures,
        )

    async def _lend(self) -> Connection:
        """Take a connection that is free, or make one: a pool that is busy, or empty, says little about the server."""
        while self._pool.get_stats().get("pool_available", 0):
            connection = await self._pool.getconn()
            if not connection.died_while_idle():
                self._busy.add(connection)
                return connection
            await connection.close()
            await finish(self._pool.putconn(connection))
        return await self._probe(0)

    def _figures(self) -> PoolFigures:
        stats = self._pool.get_stats()
        return PoolFigures(
            size=stats.get("pool_size", 0),
            idle=stats.get("pool_available", 0),
            waiting=stats.get("requests_waiting", 0),
            # Not the pool's own `requests_errors`, which counts cancelled waits too.
            timeouts=self._gave_up,
            maximum=self._pool.max_size,
        )


async def _ask_to_stop(connection: Connection) -> None:
    with suppress(psycopg.Error, OSError):
        await connection.cancel_safe(timeout=OBEY_SECONDS)


def _milliseconds(seconds: float) -> str:
    return str(int(seconds * 1000))
