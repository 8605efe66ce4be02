"""SQLite: one writer and several readers per file, one thread hop per query or unit of work.

Every connection is an aiosqlite connection with a thread of its own. A query, of however many statements, runs in one
hop. Writes go through one connection behind a fair queue and begin with BEGIN IMMEDIATE; reads go to whichever reader
is free and see the last commit (WAL). Other processes are waited for by SQLite's busy timeout.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
import uuid
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

from .._errors import (
    CheckViolationError,
    ConnectionLostError,
    DatabaseBusyError,
    ForeignKeyViolationError,
    NotNullViolationError,
    OrcheoSqlError,
    StatementTimeoutError,
    StoreError,
    TransactionError,
    UniqueViolationError,
)
from .._filters import json_contains, json_meets
from .base import CompiledQuery, DatabaseHealth, Observation, PoolFigures, Rows

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

T = TypeVar("T")

PRAGMAS = (
    # Writers never block readers; set by the first opener, remembered by the file.
    ("journal_mode", "WAL"),
    # With WAL a commit survives a crash of the process at NORMAL, and of the machine at FULL. Losing the last commits
    # to a power cut is not what a store of record may do.
    ("synchronous", "FULL"),
    ("foreign_keys", "ON"),
    # The size the WAL file is cut back to after a checkpoint, so that one burst does not keep its disk for ever.
    ("journal_size_limit", str(64 * 1024 * 1024)),
    ("temp_store", "MEMORY"),
    # 16 MiB of page cache per connection.
    ("cache_size", "-16384"),
)
MINIMUM_VERSION = (3, 38, 0)
OPEN_ATTEMPT_SECONDS = 0.05
FILE_MODE = 0o600
FOLDER_MODE = 0o700

_CONSTRAINTS: dict[int, type[StoreError]] = {
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_ROWID: UniqueViolationError,
    # Our triggers raise nothing but broken uniqueness rules, with the rule's name as the message.
    sqlite3.SQLITE_CONSTRAINT_TRIGGER: UniqueViolationError,
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: ForeignKeyViolationError,
    sqlite3.SQLITE_CONSTRAINT_CHECK: CheckViolationError,
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: NotNullViolationError,
}
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNREADABLE = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_READONLY,
)


def translate(error: sqlite3.Error, *, query: str | None) -> OrcheoSqlError:
    """Turn a driver error into ours, by its code."""
    code = getattr(error, "sqlite_errorcode", None) or 0
    where = f"{query}: " if query else ""
    constraint = _CONSTRAINTS.get(code)
    if constraint is not None:
        # The text names table and columns, or our rule; it never holds a value.
        rule = str(error).rpartition(": ")[2]
        return constraint(f"{where}{error}", query=query, dialect="sqlite", constraint=rule)  # type: ignore[call-arg]
    if code & 0xFF in _BUSY:
        return DatabaseBusyError(
            f"{where}the database file stayed locked; another process holds a long transaction "
            "(raise ORCHEO_SQLITE_BUSY_TIMEOUT_SECONDS, or shorten it)",
            query=query,
            dialect="sqlite",
        )
    if code == sqlite3.SQLITE_INTERRUPT:
        return StatementTimeoutError(
            f"{where}took longer than ORCHEO_STATEMENT_TIMEOUT_SECONDS",
            query=query,
            dialect="sqlite",
        )
    if code & 0xFF in _UNREADABLE:
        return ConnectionLostError(f"{where}{error}", query=query, dialect="sqlite")
    return StoreError(f"{where}{error}", query=query, dialect="sqlite")


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that can run a whole function in its thread."""

    def submit(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Queue `function(raw_connection, *args)`; the future ends when the thread is done with it, come what may."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # aiosqlite's own queue, one hop for many statements: it has no public call for that.
        self._tx.put_nowait((future, partial(function, self._conn, *args)))
        return future

    async def run(self, function: Callable[..., T], *args: Any, timeout: float | None = None) -> T:  # noqa: ASYNC109
        """Run a function in the thread and wait for it.

        A cancelled caller interrupts the statement but still waits for the thread, so that whoever uses the
        connection next finds it at rest. A statement that outlives `timeout` seconds is interrupted.
        """
        future = self.submit(function, *args)
        timer = (
            asyncio.get_running_loop().call_later(timeout, self._conn.interrupt)
            if timeout
            else None
        )
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._conn.interrupt()
            with suppress(sqlite3.Error, OrcheoSqlError):
                await _settled(future)
            raise
        finally:
            if timer is not None:
                timer.cancel()


async def _settled(future: asyncio.Future[T]) -> T:
    """Wait for a future however often the waiting task is cancelled."""
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    return future.result()


def run_statements(raw: sqlite3.Connection, query: CompiledQuery, args: dict[str, Any]) -> Rows:
    """Run the statements of one query, in the connection's thread.

    The first statement that returns rows gives the result. When it returns none, the ones after it do not run: the
    first line of such a query says for which row the rest holds.
    """
    result: Rows | None = None
    count = 0
    for statement in query.statements:
        cursor = raw.execute(statement, args)
        if cursor.description is None:
            count += max(cursor.rowcount, 0)
            continue
        rows = cursor.fetchall()
        if result is None:
            result = Rows(tuple(c[0] for c in cursor.description), rows, 0)
        if not rows:
            break
    return result if result is not None else Rows(None, (), count)


def run_unit(raw: sqlite3.Connection, query: CompiledQuery, args: dict[str, Any]) -> Rows:
    """Run one query as a transaction of its own, in the connection's thread."""
    raw.execute("BEGIN IMMEDIATE")
    try:
        result = run_statements(raw, query, args)
    except BaseException:
        if raw.in_transaction:
            raw.execute("ROLLBACK")
        raise
    raw.execute("COMMIT")
    return result


class SqliteEngine:
    """All connections to one SQLite file, or to one database in memory."""

    dialect = "sqlite"

    def __init__(
        self,
        path: Path | None,
        *,
        observation: Observation,
        readers: int = 4,
        busy_timeout: float = 60.0,
        statement_timeout: float = 30.0,
    ):
        """Describe the database; nothing is opened.

        Args:
            path: the file, or None for a database in memory that lives until `close`.
            observation: who hears of each query.
            readers: the most read connections to open; they open when needed.
            busy_timeout: seconds to wait for other processes.
            statement_timeout: seconds after which a statement is interrupted; 0 for never.
        """
        self.path = path
        self.location = str(path) if path else ":memory:"
        self.observation = observation
        self._uri = path.as_uri() if path else f"file:/orcheo-{uuid.uuid4()}?vfs=memdb"
        self._busy_timeout = busy_timeout
        self._timeout = statement_timeout or None
        self._writer: Connection | None = None
        self._write_lock = asyncio.Lock()
        self._waiting = 0
        self._idle: list[Connection] = []
        self._readers: list[Connection] = []
        self._reader_slots = asyncio.Semaphore(readers)
        self._maximum = readers + 1

    async def open(self) -> None:
        """Open the writer; create the file, and its folder, for their owner only."""
        if sqlite3.sqlite_version_info < MINIMUM_VERSION:
            raise StoreError(
                f"SQLite {sqlite3.sqlite_version} is too old, "
                f"{'.'.join(map(str, MINIMUM_VERSION))} or newer is needed",
                dialect="sqlite",
            )
        if self.path is not None:
            _create_private(self.path)
        self._writer = await self._connect(writer=True)

    async def close(self) -> None:
        """Wait for running work and close every connection."""
        async with self._write_lock:
            writer, self._writer = self._writer, None
            readers, self._readers, self._idle = self._readers, [], []
            for connection in (*readers, *([writer] if writer else [])):
                await connection.close()

    async def _connect(self, *, writer: bool) -> Connection:
        """Open one connection, trying again while another process creates or recovers the file."""
        deadline = time.monotonic() + self._busy_timeout
        delay = OPEN_ATTEMPT_SECONDS
        while True:
            connection = Connection(partial(self._open_raw, writer=writer), iter_chunk_size=64)
            try:
                return await connection  # type: ignore[return-value]
            except sqlite3.Error as error:
                busy = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BUSY
                if not busy or time.monotonic() > deadline:
                    raise translate(error, query=None) from error
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))  # noqa: S311
            delay = min(delay * 2, 1.0)

    def _open_raw(self, *, writer: bool) -> sqlite3.Connection:
        raw = sqlite3.connect(
            self._uri,
            uri=True,
            isolation_level=None,
            timeout=self._busy_timeout,
            cached_statements=512,
            check_same_thread=False,
        )
        try:
            for name, value in PRAGMAS:
                # A database in memory has no WAL; it keeps its own journal mode.
                if writer or name != "journal_mode":
                    raw.execute(f"PRAGMA {name} = {value}")
            if not writer:
                raw.execute("PRAGMA query_only = ON")
            register_functions(raw)
        except BaseException:
            raw.close()
            raise
        return raw

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query on its own: a read on a reader, a write as a transaction on the writer."""
        args = query.bind(params)
        started = time.perf_counter()
        error: BaseException | None = None
        try:
            if query.writes:
                async with self._exclusive() as writer:
                    rows = await writer.run(run_unit, query, args, timeout=self._timeout)
            else:
                async with self._reader() as reader:
                    rows = await reader.run(run_statements, query, args, timeout=self._timeout)
        except sqlite3.Error as raised:
            error = raised
            raise translate(raised, query=query.name) from raised
        finally:
            self.observation.record(query.name, "sqlite", started, error)
        return query.result(rows)

    @asynccontextmanager
    async def _exclusive(self) -> AsyncIterator[Connection]:
        self._waiting += 1
        try:
            await self._write_lock.acquire()
        finally:
            self._waiting -= 1
        try:
            if self._writer is None:
                raise TransactionError("the database is closed")
            yield self._writer
        finally:
            self._write_lock.release()

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Connection]:
        async with self._reader_slots:
            if self._writer is None:
                raise TransactionError("the database is closed")
            if self._idle:
                connection = self._idle.pop()
            else:
                connection = await self._connect(writer=False)
                self._readers.append(connection)
            try:
                yield connection
            finally:
                self._idle.append(connection)

    @asynccontextmanager
    async def transaction(self, *, immediate: bool = True) -> AsyncIterator[SqliteTransaction]:
        """Open a transaction on the writer; other writers of this process queue behind it.

        With `immediate` off it takes the file's write lock only when it writes: for work that only looks.
        """
        async with self._exclusive() as writer:
            transaction = SqliteTransaction(writer, self.observation, self._timeout)
            await transaction.control("BEGIN IMMEDIATE" if immediate else "BEGIN")
            try:
                yield transaction
                await transaction.control("COMMIT")
            except BaseException:
                await transaction.rollback()
                raise

    async def health(self) -> DatabaseHealth:
        """Report version and latency of a trivial query, and warn of a SQLite with a known defect."""
        started = time.perf_counter()
        try:
            async with self._reader() as reader:
                await reader.run(
                    lambda raw: raw.execute("SELECT 1").fetchone(), timeout=self._timeout
                )
        except (sqlite3.Error, OrcheoSqlError) as error:
            return DatabaseHealth(
                "sqlite", self.location, False, sqlite3.sqlite_version, error=str(error)
            )
        size = len(self._readers) + 1
        return DatabaseHealth(
            "sqlite",
            self.location,
            True,
            server_version=sqlite3.sqlite_version,
            latency_seconds=time.perf_counter() - started,
            pool=PoolFigures(
                size=size,
                idle=len(self._idle) + (not self._write_lock.locked()),
                waiting=self._waiting,
                timeouts=0,
                maximum=self._maximum,
            ),
            warnings=known_defects(),
        )


class SqliteTransaction:
    """An open transaction on the writer."""

    dialect = "sqlite"

    def __init__(self, connection: Connection, observation: Observation, timeout: float | None):
        self._connection = connection
        self._observation = observation
        self._timeout = timeout
        self._depth = 0

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query within the transaction; a query of several statements is undone whole when one fails."""
        args = query.bind(params)
        started = time.perf_counter()
        error: BaseException | None = None
        run = run_statements if len(query.statements) == 1 else run_atomically
        try:
            rows = await self._connection.run(run, query, args, timeout=self._timeout)
        except sqlite3.Error as raised:
            error = raised
            raise translate(raised, query=query.name) from raised
        finally:
            self._observation.record(query.name, "sqlite", started, error)
        return query.result(rows)

    async def run_raw(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function with the raw connection, in its thread; for migrations and tools."""
        return await self._connection.run(function)

    async def control(self, statement: str) -> None:
        """Run BEGIN, COMMIT, SAVEPOINT and their kin."""
        try:
            await self._connection.run(lambda raw: raw.execute(statement))
        except sqlite3.Error as error:
            raise translate(error, query=statement) from error

    async def rollback(self) -> None:
        """Undo everything; SQLite may have done so already."""

        def undo(raw: sqlite3.Connection) -> None:
            if raw.in_transaction:
                raw.execute("ROLLBACK")

        # Waited for even when the caller is being cancelled: the next writer must find no transaction.
        await _settled(self._connection.submit(undo))

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
                await _settled(self._connection.submit(_undo_to, name))
                raise
            await self.control(f"RELEASE {name}")
        finally:
            self._depth -= 1


def _undo_to(raw: sqlite3.Connection, savepoint: str) -> None:
    # A statement that failed badly enough (disk full, interrupt of a write) has rolled back everything already.
    if raw.in_transaction:
        raw.execute(f"ROLLBACK TO {savepoint}")
        raw.execute(f"RELEASE {savepoint}")


def run_atomically(raw: sqlite3.Connection, query: CompiledQuery, args: dict[str, Any]) -> Rows:
    """Run a query of several statements inside an open transaction, all or nothing."""
    raw.execute("SAVEPOINT orcheo_query")
    try:
        result = run_statements(raw, query, args)
    except BaseException:
        _undo_to(raw, "orcheo_query")
        raise
    raw.execute("RELEASE orcheo_query")
    return result


def register_functions(raw: sqlite3.Connection) -> None:
    """Give a connection the SQL functions that SQLite lacks and our queries use."""
    raw.create_function("json_contains", 2, json_contains, deterministic=True)
    raw.create_function("json_meets", 2, json_meets, deterministic=True)


def known_defects() -> list[str]:
    """Warn of a SQLite library whose WAL can lose pages (https://sqlite.org/wal.html#walresetbug)."""
    if (3, 7, 0) <= sqlite3.sqlite_version_info < (3, 51, 3):
        return [
            f"SQLite {sqlite3.sqlite_version} has the WAL-reset defect (fixed in 3.51.3): several processes that "
            "write and checkpoint one file at the same instant can, rarely, corrupt it; update SQLite where you can"
        ]
    return []


def _create_private(path: Path) -> None:
    """Create a database file, and the folder it is in, readable by their owner only; leave existing ones alone."""
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        path.touch(mode=FILE_MODE, exist_ok=True)
    except OSError as error:
        raise ConnectionLostError(
            f"can't create the database file {path}: {error.strerror} (ORCHEO_DATABASE_PATH)",
            dialect="sqlite",
        ) from error
