"""SQLite: one writer and several readers per file, one thread hop per query or unit of work.

Every connection is an aiosqlite connection with a thread of its own. A query, of however many statements, runs in one
hop. Writes go through one connection behind a fair queue and begin with BEGIN IMMEDIATE; reads go to whichever reader
is free and see the last commit (WAL). Other processes are waited for.

A database in memory is a file that has no name any more: made in a memory file system where there is one, opened by
all its connections, and removed before anything is written to it. So it behaves like every other one.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import (
    DatabaseBusyError,
    DatabaseClosedError,
    OrcheoSqlError,
    PoolTimeoutError,
    StoreError,
)
from .base import CompiledQuery, DatabaseHealth, Observation, PoolFigures, Rows
from .sqlite_connection import (
    Connection,
    create_private,
    known_defects,
    open_raw,
    refused_to_open,
)
from .sqlite_errors import is_busy
from .sqlite_group import Write, WriteGroup
from .sqlite_transaction import SqliteTransaction
from .waiting import CLOSE_SECONDS, HEALTH_SECONDS, Backoff, Lane, Watch, finish

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ..codecs.rows import Dialect

T = TypeVar("T")

MINIMUM_VERSION = (3, 38, 0)
MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - only ever holds a private folder
MEMORY_ROOM = 1 << 30


class SqliteEngine:
    """All connections to one SQLite file, or to one database in memory."""

    dialect: Dialect = "sqlite"

    def __init__(
        self,
        path: Path | None,
        *,
        observation: Observation,
        readers: int = 4,
        busy_timeout: float = 60.0,
        statement_timeout: float = 30.0,
        look_only: bool = False,
    ):
        """Describe the database; nothing is opened.

        Args:
            path: the file, or None for a database in memory that lives until `close`.
            observation: who hears of each query.
            readers: the most read connections to open; they open when needed.
            busy_timeout: seconds to wait for other processes, and for a connection.
            statement_timeout: seconds after which a statement is interrupted; 0 for never.
            look_only: neither create the file nor change anything in it; for tools that inspect.
        """
        self.path = path
        self.location = str(path) if path else ":memory:"
        self.observation = observation
        self._look_only = look_only and path is not None
        self._uri = ""
        self._busy_timeout = busy_timeout
        self._watch: Watch[Connection] = Watch(statement_timeout or None, _stop_late)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writing: Lane[Connection] = Lane()
        self._reading: Lane[Connection] = Lane()
        self._group = self._new_group()
        self._all: list[Connection] = []
        self._readers = readers
        self._opening = 0
        self._timeouts = 0
        self._memory: tempfile.TemporaryDirectory[str] | None = None

    async def open(self) -> None:
        """Open the writer; create the file, and its folder, for their owner only.

        Raises:
            ConfigError: the file can't be created, or is no database.
            DatabaseBusyError: another process keeps it locked.
        """
        if sqlite3.sqlite_version_info < MINIMUM_VERSION:
            raise StoreError(
                f"SQLite {sqlite3.sqlite_version} is too old, "
                f"{'.'.join(map(str, MINIMUM_VERSION))} or newer is needed",
                dialect="sqlite",
            )
        if self.path is None:
            self._memory = _memory_folder()
        elif not self._look_only:
            create_private(self.path)
        path = self.path or Path(self._memory.name if self._memory else "") / "memory.sqlite"
        self._uri = path.as_uri() + ("?mode=rw" if self._look_only else "")
        self._loop = asyncio.get_running_loop()
        try:
            self._writing.give(await self._connect(writer=True))
            if self._memory is not None:
                for _ in range(self._readers):
                    self._reading.give(await self._connect(writer=False))
                if sys.platform == "linux":
                    self._memory.cleanup()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Let running work end, for a while; then end it. What has not begun is refused."""
        if self._loop is None:
            return
        self._check_loop(asyncio.get_running_loop())
        self._loop = None
        for lane in (self._writing, self._reading):
            lane.refuse(_closed())
        deadline = time.monotonic() + CLOSE_SECONDS
        backoff = Backoff(0.001)
        while self._is_busy and time.monotonic() < deadline:
            await backoff.pause()
        idle = {*self._writing.free, *self._reading.free}
        for connection in self._all:
            # One at rest must not be interrupted: the last to close could no longer bring the WAL home.
            if connection not in idle:
                connection.end_all()
            with suppress(sqlite3.Error):
                await finish(connection.close())
        self._watch.stop()
        self._all.clear()
        self._writing, self._reading = Lane(), Lane()
        self._group = self._new_group()
        if self._memory is not None:
            self._memory.cleanup()

    def _new_group(self) -> WriteGroup:
        lane = self._writing
        return WriteGroup(self._take_writer, lane.give, self._no_writer, self._busy_timeout)

    async def _take_writer(self, seconds: float) -> Connection:
        self._check_loop(asyncio.get_running_loop())
        return self._writing.take() or await self._writing.wait(seconds)

    def _no_writer(self) -> DatabaseBusyError:
        self._timeouts += 1
        return DatabaseBusyError(
            f"a unit of work of this process did not end within {self._busy_timeout:g} s ({self.location}); keep units "
            "of work short, and free of waiting for other writers",
            dialect="sqlite",
        )

    @property
    def _is_busy(self) -> bool:
        free = len(self._writing.free) + len(self._reading.free)
        return self._opening > 0 or free < len(self._all)

    async def _connect(self, *, writer: bool) -> Connection:
        """Open one connection, trying again while another process creates or recovers the file."""
        deadline = time.monotonic() + self._busy_timeout
        backoff = Backoff(longest=1.0)
        opener = partial(
            open_raw,
            self._uri,
            writer=writer,
            look_only=self._look_only,
            volatile=self.path is None,
        )
        self._opening += 1
        try:
            while True:
                connection = Connection(opener, self._watch, self._busy_timeout)
                try:
                    await finish(_opened(connection))
                except sqlite3.Error as error:
                    if not is_busy(error) or time.monotonic() > deadline:
                        raise refused_to_open(error, self.location) from error
                except asyncio.CancelledError:
                    await finish(connection.close())
                    raise
                else:
                    if self._loop is not None:
                        self._all.append(connection)
                        return connection
                    await finish(connection.close())
                if self._loop is None:
                    raise _closed()  # noqa: TRY301 - those in line are told below
                await backoff.pause()
        except Exception as error:
            if len(self._all) < 2:
                # No reader could be opened: nobody who waits in line would ever be served.
                self._reading.refuse(error)
            raise
        finally:
            self._opening -= 1

    def _check_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is None:
            raise _closed()
        if self._loop is not loop:
            raise DatabaseClosedError(
                f"the database {self.location} was opened in another event loop and can't be used in this one: "
                "open a Database of its own in each"
            )

    async def _take(self, lane: Lane[Connection]) -> Connection:
        """Take a connection for exclusive use; give it back with `lane.give`."""
        self._check_loop(asyncio.get_running_loop())
        connection = lane.take()
        if connection is not None:
            return connection
        reading = lane is self._reading
        if reading and len(self._all) + self._opening <= self._readers:
            return await self._connect(writer=False)
        try:
            return await lane.wait(self._busy_timeout)
        except TimeoutError:
            if not reading:
                raise self._no_writer() from None
            self._timeouts += 1
            raise PoolTimeoutError(
                f"no connection for reading became free within {self._busy_timeout:g} s ({self.location}); raise "
                "ORCHEO_SQLITE_READERS",
                dialect="sqlite",
            ) from None

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query on its own: a read on a reader, a write as a transaction on the writer.

        Writes that find the writer busy are committed together (`sqlite_group`).
        """
        args = query.bind(params)
        if query.writes and not self._writing.free:
            return query.result(await self._in_group(query, args))
        lane = self._writing if query.writes else self._reading
        started = begun = time.perf_counter()
        try:
            self._check_loop(asyncio.get_running_loop())
            connection = lane.take() or await self._take(lane)
            begun = time.perf_counter()
            try:
                rows = await connection.run(
                    query.name, connection.unit if query.writes else connection.read, query, args
                )
            finally:
                lane.give(connection)
        except BaseException as error:
            self.observation.record(query.name, "sqlite", started, begun, error)
            raise
        self.observation.record(query.name, "sqlite", started, begun)
        return query.result(rows)

    async def _in_group(self, query: CompiledQuery, args: dict[str, Any]) -> Rows:
        self._check_loop(asyncio.get_running_loop())
        write = Write(query, args)
        failure: BaseException | None = None
        try:
            await self._group.run(write)
            return write.result()
        except BaseException as error:
            failure = error
            raise
        finally:
            begun = write.begun or time.perf_counter()
            self.observation.record(query.name, "sqlite", write.started, begun, failure)

    @asynccontextmanager
    async def transaction(self, *, immediate: bool = True) -> AsyncIterator[SqliteTransaction]:
        """Open a transaction on the writer; other writers of this process queue behind it.

        With `immediate` off it takes the file's write lock only when it writes: for work that only looks.
        """
        lane = self._writing
        connection = await self._take(lane)
        try:
            transaction = SqliteTransaction(
                connection, self.observation, "BEGIN IMMEDIATE" if immediate else "BEGIN"
            )
            try:
                yield transaction
                await transaction.commit()
            except BaseException:
                await transaction.rollback()
                raise
        finally:
            lane.give(connection)

    async def migrated(self) -> None:
        """Turn WAL on, if the file has become ours only now: it may have held other tables when it was opened."""
        connection = await self._take(self._writing)
        try:
            await connection.run(
                None, lambda raw: raw.execute("PRAGMA journal_mode = WAL").fetchall()
            )
        finally:
            self._writing.give(connection)

    async def health(self, version_query: str | None = None) -> DatabaseHealth:
        """Report versions and latency, and warn of a SQLite with a known defect.

        Args:
            version_query: returns the version of the schema.
        """
        self._check_loop(asyncio.get_running_loop())
        started = time.perf_counter()
        version: int | None = None
        warnings = [] if self.path is None else known_defects()
        try:
            lane = self._reading
            async with asyncio.timeout(HEALTH_SECONDS):
                connection = await self._take(lane)
            try:
                version, journal = await connection.run("health", _look, version_query)
            finally:
                lane.give(connection)
        except (TimeoutError, OrcheoSqlError) as error:
            reason = str(error) or "every connection for reading is in use"
            return DatabaseHealth(
                "sqlite", self.location, False, sqlite3.sqlite_version, error=reason
            )
        if self.path is not None and not self.path.exists():
            warnings.append(f"{self.path} was removed or renamed since it was opened")
        if journal != "wal":
            warnings.append(
                f"the journal mode is {journal}, not wal: reads and writes wait for each other"
            )
        return DatabaseHealth(
            "sqlite",
            self.location,
            True,
            server_version=sqlite3.sqlite_version,
            schema_version=version,
            latency_seconds=time.perf_counter() - started,
            pool=PoolFigures(
                size=len(self._all),
                idle=len(self._writing.free) + len(self._reading.free),
                waiting=self._writing.waiting + self._reading.waiting + self._group.waiting,
                timeouts=self._timeouts,
                maximum=self._readers + 1,
            ),
            warnings=warnings,
        )


async def _opened(connection: Connection) -> Connection:
    try:
        return await connection  # type: ignore[return-value]
    except BaseException:
        # Its thread would otherwise report to an event loop that may be closed by then.
        if connection.ending is not None:
            await connection.ending
        raise


def _stop_late(connection: Connection, _late: float) -> None:
    connection.interrupt_now()


def _closed() -> DatabaseClosedError:
    return DatabaseClosedError("the database is closed")


def _look(raw: sqlite3.Connection, version_query: str | None) -> tuple[int | None, str]:
    [journal] = raw.execute("PRAGMA journal_mode").fetchone()
    version = None
    if version_query is not None:
        try:
            [version] = raw.execute(version_query).fetchone()
        except sqlite3.OperationalError:
            version = None  # no schema yet
    return version, journal


def _memory_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a private folder in memory, or, where there is no room, on disk."""
    place = None
    try:
        found = os.statvfs(MEMORY_FOLDER)
        if os.access(MEMORY_FOLDER, os.W_OK) and found.f_bavail * found.f_frsize > MEMORY_ROOM:
            place = MEMORY_FOLDER
    except OSError:
        pass
    return tempfile.TemporaryDirectory(prefix="orcheo-", dir=place, ignore_cleanup_errors=True)
