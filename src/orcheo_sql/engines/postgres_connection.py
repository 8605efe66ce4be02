"""Connections to PostgreSQL: making them, again and again if need be, and telling live ones from dead ones."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import select
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self, TypeVar, cast

import psycopg
from psycopg import AsyncConnection, AsyncRawCursor
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads
from psycopg.types.numeric import Int8Dumper

from .._errors import DatabaseClosedError, OrcheoSqlError
from .base import CompiledQuery, Rows
from .postgres_errors import Reasons, worth_retrying
from .waiting import HEALTH_SECONDS, Backoff, finish

Prepare = Callable[[Any], Awaitable[None]]
C = TypeVar("C", bound="Connection")

# How long one attempt to connect may take; libpq would wait for two minutes. `connect_timeout` in the DSN wins.
ATTEMPT_SECONDS = 10
APPLICATION_NAME = "orcheo-sql"
# How many connections of one process are being made at the same time: a server that has just started is busy.
ATTEMPTS_AT_ONCE = 3
# How many prepared statements a connection keeps; psycopg's 100 is less than we have queries.
PREPARED_STATEMENTS = 1000
INSIST_SECONDS = 0.01
SESSION = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('statement_timeout', $1, false), "
    "set_config('lock_timeout', $2, false)"
)
TRANSACTION = (
    "SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true)"
)


_ENDS = (DatabaseClosedError, asyncio.CancelledError)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether the pool's log entry tells anybody anything: not that an attempt ended because all does."""
    return not any(isinstance(arg, _ENDS) for arg in record.args or ())


logging.getLogger("psycopg.pool").addFilter(_is_news)


class Gate:
    """Through which all connections of one engine are made."""

    def __init__(self, dsn: Callable[[], str], reasons: Reasons, arguments: dict[str, Any]):
        self.failure: str | None = None
        """Why the last attempt failed; None when it did not."""
        self._dsn = dsn
        self._reasons = reasons
        self._arguments = arguments
        self._turns = asyncio.Semaphore(ATTEMPTS_AT_ONCE)
        self._closing: asyncio.Future[None] | None = None

    def open(self) -> None:
        """Let attempts through."""
        self._closing = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """End the attempts that are under way, and let no more through."""
        if self._closing is not None and not self._closing.done():
            self._closing.set_result(None)

    async def connect(
        self, kind: type[C], prepare: Prepare | None, give_up: Callable[[psycopg.Error], bool]
    ) -> C:
        """Make a connection: again and again with back-off, until it works, `give_up` says so, or the gate is closed.

        Raises:
            psycopg.Error: why it was given up.
            DatabaseClosedError: the gate was closed.
        """
        backoff = Backoff()
        while True:
            try:
                return await self._attempt(kind, prepare)
            except psycopg.Error as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    # psycopg reports a cancelled attempt as one that has failed.
                    raise asyncio.CancelledError from None
                if give_up(error):
                    raise
            await asyncio.wait([self._closed()], timeout=backoff.next())

    async def _attempt(self, kind: type[C], prepare: Prepare | None) -> C:
        async with self._turns:
            closed = self._closed()
            task = asyncio.get_running_loop().create_task(self._connect(kind, prepare))
            waited_for: list[asyncio.Future[Any]] = [task, closed]
            try:
                await asyncio.wait(waited_for, return_when=asyncio.FIRST_COMPLETED)
                self._closed()
                connection = task.result()
            except BaseException as error:
                await finish(_discard(task))
                if isinstance(error, psycopg.Error):
                    self.failure = self._reasons.of(error)
                raise
            self.failure = None
            return connection

    async def _connect(self, kind: type[C], prepare: Prepare | None) -> C:
        connection = await super(Connection, kind).connect(self._dsn(), **self._arguments)
        try:
            if prepare is not None:
                await prepare(connection)
        except BaseException:
            await connection.close()
            raise
        return connection

    def _closed(self) -> asyncio.Future[None]:
        """Return what becomes done when the gate closes; raise if it has."""
        if self._closing is None or self._closing.done():
            raise DatabaseClosedError("the database is closed")
        return self._closing


async def _discard(task: asyncio.Task[C]) -> None:
    """End an attempt, and close what it may have made in the same instant."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        connection = await task
        await connection.close()


def arguments_for(reasons: Reasons, seconds: float) -> dict[str, Any]:
    """Return the arguments that all connections get, but for those that the DSN has itself.

    Args:
        reasons: knows the DSN.
        seconds: how long there is to connect; an attempt takes no longer.
    """
    arguments: dict[str, Any] = {"autocommit": True}
    if "application_name" not in reasons.given:
        arguments["application_name"] = APPLICATION_NAME
    if "connect_timeout" not in reasons.given:
        arguments["connect_timeout"] = min(ATTEMPT_SECONDS, max(2, math.ceil(seconds)))
    return arguments


async def connect_apart(dsn: str, reasons: Reasons, seconds: float) -> Connection:
    """Connect outside of any pool: keep trying for some seconds, unless the answer will not change.

    Raises:
        ConfigError: the server refuses us.
        ConnectionLostError: it can't be reached.
    """
    gate = Gate(lambda: dsn, reasons, arguments_for(reasons, seconds))
    gate.open()
    return await reach(connection_class(gate, _as_it_is), reasons, seconds)


async def reach(kind: type[C], reasons: Reasons, seconds: float) -> C:
    """Connect outside of the pool; raises as `connect_apart`."""
    refusal: OrcheoSqlError
    try:
        return await kind.probe(seconds)
    except psycopg.Error as error:
        refusal = reasons.refusal(error)
    # Raised out here: the driver's error may quote what should not be shown.
    raise refusal


async def _as_it_is(_connection: Any) -> None:
    pass


class Connection(AsyncConnection[Any]):
    """A connection that is made through a gate, and knows whether it is still good."""

    gate: Gate
    prepare: Prepare
    overdue = False
    """Whether its statement outlived the time limit, and was told to end."""
    _dismissed = False

    @classmethod
    async def connect(cls, *_args: Any, **_kwargs: Any) -> Self:
        """Connect for the pool, however long it takes.

        The pool's own retry waits 1, 2, 4 … seconds, and gives up after a while.
        """
        try:
            connection = await cls.gate.connect(cls, cls.prepare, lambda _error: False)
        except asyncio.CancelledError:
            _insist(cast("asyncio.Task[Any]", asyncio.current_task()))
            raise
        connection.add_notice_handler(connection._hear)  # noqa: SLF001 - our own
        return connection

    @classmethod
    async def probe(cls, seconds: float) -> Self:
        """Connect by hand: keep trying for some seconds, unless the answer will not change.

        Raises:
            psycopg.Error: the last attempt failed.
        """
        deadline = time.monotonic() + seconds
        return await cls.gate.connect(
            cls,
            None,
            lambda error: not worth_retrying(error) or time.monotonic() > deadline,
        )

    def _hear(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        # What the server says to an idle connection arrives as a notice, its farewell included.
        if diagnostic.severity_nonlocalized in ("FATAL", "PANIC"):
            self._dismissed = True

    def died_while_idle(self) -> bool:
        """Look, without a round trip, whether the server has ended this idle connection.

        An idle connection has nothing to read. If its socket is readable the server has said something: a farewell,
        or (harmless) a notice or a TLS session ticket.
        """
        pgconn = self.pgconn
        try:
            for _ in range(3):
                poller = select.poll()
                poller.register(pgconn.socket, select.POLLIN)
                if not poller.poll(0):
                    return self._dismissed
                pgconn.consume_input()
                pgconn.is_busy()  # reads the message, if it is one
        except (psycopg.Error, OSError):
            return True
        return self._dismissed or pgconn.transaction_status == TransactionStatus.UNKNOWN

    def cut(self) -> None:
        """Break the line, so that whoever waits for the server gets an error at once.

        Closing the connection would pull its file descriptor from under the event loop.
        """
        with (
            suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self.pgconn.socket)) as line,
        ):
            line.shutdown(socket.SHUT_RDWR)


def _insist(worker: asyncio.Task[Any]) -> None:
    """Cancel a worker of the pool until it ends.

    It takes an attempt that was cancelled for one that has failed, and lives on (psycopg_pool 3.3, CLIENT_EXCEPTIONS):
    `asyncio.run` would wait for it for ever.
    """
    if not worker.done():
        worker.cancel()
        worker.get_loop().call_later(INSIST_SECONDS, _insist, worker)


def connection_class(gate: Gate, prepare: Prepare) -> type[Connection]:
    """Return the class of connections that one engine makes."""
    return type("Connection", (Connection,), {"gate": gate, "prepare": staticmethod(prepare)})


class _BigIntDumper(Int8Dumper):
    """Bind every int as bigint: one prepared statement per query, whatever the magnitude of its arguments."""


def _raw_json(data: bytes | bytearray | memoryview | str) -> Any:
    """Leave JSON as it arrived; the struct's own decoder parses it."""
    return data if isinstance(data, (bytes, str)) else bytes(data)


def adapt(connection: AsyncConnection[Any]) -> None:
    """Give a connection the cursor and the codecs our queries rely on."""
    connection.cursor_factory = AsyncRawCursor
    connection.adapters.register_dumper(int, _BigIntDumper)
    set_json_loads(_raw_json, connection)


async def run_query(
    connection: AsyncConnection[Any], query: CompiledQuery, args: list[Any], prepare: bool | None
) -> Rows:
    """Send one query and fetch what it returns."""
    cursor = AsyncRawCursor(connection)
    await cursor.execute(query.sql, args, prepare=prepare)
    if query.shape == "count":
        return Rows(None, (), max(cursor.rowcount, 0))
    columns = tuple(c.name for c in cursor.description or ()) if query.needs_columns else None
    return Rows(columns, await cursor.fetchall(), 0)


async def is_pooled(connection: AsyncConnection[Any]) -> bool:
    """Recognise a pooler: it makes up the process id that the client is told at connect."""
    cursor = await connection.execute("SELECT pg_backend_pid()", prepare=False)
    row = await cursor.fetchone()
    return row is not None and row[0] != connection.info.backend_pid


async def look(connection: Connection, version_query: str | None) -> tuple[str, int | None, float]:
    """Return the versions of server and schema, and how long the first took."""
    timer = asyncio.get_running_loop().call_later(HEALTH_SECONDS, connection.cut)
    try:
        started = time.perf_counter()
        version = await _value(connection, "SELECT current_setting('server_version')")
        latency = time.perf_counter() - started
        schema = None
        if version_query is not None:
            with suppress(psycopg.errors.UndefinedTable):
                schema = await _value(connection, version_query)
        return version, schema, latency
    finally:
        timer.cancel()


async def _value(connection: Connection, statement: str) -> Any:
    cursor = await connection.execute(statement, prepare=False)
    row = await cursor.fetchone()
    return row[0] if row else None
