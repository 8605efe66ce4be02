"""One connection to a SQLite file: how it is opened, and what runs in its thread."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import aiosqlite

from .._errors import ConfigError, DatabaseClosedError, TransactionError, ValidationError
from .._filter_words import filter_words
from .._filters import json_contains, json_meets
from .base import CompiledQuery, Rows
from .sqlite_errors import code_of, is_busy, translate
from .waiting import Watch, finish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
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
FILE_MODE = 0o600
FOLDER_MODE = 0o700
# SQLite's own wait for a lock can't be interrupted, so it waits in slices and we count.
LOCK_SLICE_SECONDS = 0.1
STOP_AGAIN_SECONDS = 0.05


class Connection(aiosqlite.Connection):
    """An aiosqlite connection that runs a whole function in its thread, for one caller at a time."""

    def __init__(
        self,
        connector: Callable[[], sqlite3.Connection],
        watch: Watch[Connection],
        busy_timeout: float,
    ):
        super().__init__(connector, iter_chunk_size=64)
        # A program that ends without closing must be able to end: SQLite loses nothing by it.
        self._thread.daemon = True
        self._watch = watch
        self._busy_timeout = busy_timeout
        self._stopping = False
        self._is_limited = True
        self.is_ending = False
        """Whether nothing more is to begin."""
        self.ending: asyncio.Future[Any] | None = None
        """Done when the thread has ended, once it was told to."""

    def stop(self) -> asyncio.Future[Any] | None:
        """Tell the thread to end."""
        self.ending = super().stop()
        return self.ending

    def submit(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Queue `function(raw_connection, *args)`; the future ends when the thread is done with it."""
        raw = self._connection
        if raw is None:
            raise DatabaseClosedError("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        # aiosqlite's own queue, one hop for many statements: it has no public call for that. A lambda, because
        # aiosqlite logs what it runs, and a partial would show the arguments.
        self._tx.put_nowait((future, lambda: function(raw, *args)))
        return future

    async def run(self, name: str | None, function: Callable[..., T], *args: Any) -> T:
        """Run a function in the thread and wait for it; driver errors become ours, with `name` in them.

        A cancelled caller stops the statement but still waits for the thread, so that whoever uses the connection
        next finds it at rest.
        """
        self._stopping = False
        if self._is_limited:
            self._watch.begin(self)
        try:
            return await self.submit(function, *args)
        except asyncio.CancelledError:
            await finish(self._rest())
            raise
        except DRIVER_ERRORS as error:
            raise refusal(error, name) from error
        finally:
            self._watch.end(self)

    @contextmanager
    def without_limit(self) -> Iterator[None]:
        """Let statements take as long as they take."""
        self._is_limited = False
        try:
            yield
        finally:
            self._is_limited = True

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look after what runs meanwhile: each statement that takes too long is ended."""
        self._stopping = False
        self._watch.begin(self)
        try:
            yield
        finally:
            self._watch.end(self)

    def begin_again(self) -> None:
        """Let the time limit of a statement count from now on; what was ended was another one."""
        self._stopping = False
        if self._is_limited:
            self._watch.since[self] = time.monotonic()

    def was_hasty(self, error: Exception, begun: float) -> bool:
        """Tell whether a statement was ended that had not taken too long (since `time.perf_counter`): the end of another."""
        limit = self._watch.limit
        return (
            isinstance(error, sqlite3.Error)
            and code_of(error) == sqlite3.SQLITE_INTERRUPT
            and not self.is_ending
            and limit is not None
            and time.perf_counter() - begun < limit
        )

    def end_all(self) -> None:
        """End the running statement, and all that would come after it: the database closes."""
        self.is_ending = True
        self.interrupt_now()

    def stop_waiting(self) -> None:
        """Wait no longer for other processes."""
        self._stopping = True

    def interrupt_now(self) -> None:
        """End the running statement, or its wait for a lock, soon."""
        self._stopping = True
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.interrupt()

    async def _rest(self) -> None:
        """Stop what runs, and wait until the thread has nothing left to do."""
        if self._connection is None:
            return
        self.interrupt_now()
        idle = self.submit(_nothing)
        while not idle.done():
            # Again and again: between two statements an interrupt hits nothing.
            await asyncio.wait([idle], timeout=STOP_AGAIN_SECONDS)
            if not idle.done():
                self.interrupt_now()

    def patiently(
        self, raw: sqlite3.Connection, step: Callable[[], T], patience: float | None = None
    ) -> T:
        """Run a step in the thread; while another process holds the lock it needs, wait and run it again.

        The time limit of the statement does not count while it waits: as long as the busy timeout, or `patience`.
        """
        patience = self._busy_timeout if patience is None else patience
        deadline = 0.0
        while True:
            try:
                result = step()
            except sqlite3.OperationalError as error:
                if not is_busy(error) or self._stopping or self.is_ending:
                    raise
                now = time.monotonic()
                deadline = deadline or now + patience - LOCK_SLICE_SECONDS
                if now > deadline:
                    raise
                if self._is_limited:
                    self._watch.since[self] = deadline + self._busy_timeout
            else:
                if deadline:
                    self.begin_again()
                return result

    def read(self, raw: sqlite3.Connection, query: CompiledQuery, args: dict[str, Any]) -> Rows:
        """Run a query that only reads."""
        return self.patiently(raw, lambda: run_statements(raw, query, args))

    def unit(self, raw: sqlite3.Connection, query: CompiledQuery, args: dict[str, Any]) -> Rows:
        """Run one query as a transaction of its own."""
        self.patiently(raw, partial(raw.execute, "BEGIN IMMEDIATE"))
        try:
            result = run_statements(raw, query, args)
            self.patiently(raw, partial(raw.execute, "COMMIT"))
        except BaseException:
            roll_back(raw)
            raise
        return result

    def inside(
        self,
        raw: sqlite3.Connection,
        before: list[str],
        function: Callable[..., T],
        *args: Any,
    ) -> T:
        """Run a function inside an open transaction, after the BEGIN and SAVEPOINTs that are due."""
        while before:
            self.patiently(raw, partial(raw.execute, before[0]))
            del before[0]
        if not raw.in_transaction:
            # SQLite undoes a whole transaction for some errors, such as a full disk or an interrupted write.
            raise TransactionError(
                "SQLite has rolled back this unit of work, because of an earlier error in it"
            )
        return function(raw, *args)


DRIVER_ERRORS = (sqlite3.Error, OverflowError, UnicodeEncodeError)


def refusal(error: Exception, name: str | None) -> Exception:
    """Return our error for one of the driver's; anything else is returned as it is."""
    if isinstance(error, sqlite3.Error):
        return translate(error, query=name)
    if isinstance(error, DRIVER_ERRORS):
        return ValidationError(f"{name}: a value can't be stored: {type(error).__name__}")
    return error


def _nothing(_raw: sqlite3.Connection) -> None:
    pass


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
        description = cursor.description
        try:
            rows = cursor.fetchall()
        finally:
            # An error keeps the cursor alive, and a statement that is not over keeps the transaction from ending.
            cursor.close()
        if result is None:
            columns = tuple(c[0] for c in description) if query.needs_columns else None
            result = Rows(columns, rows, 0)
        if not rows:
            break
    return result if result is not None else Rows(None, (), count)


def run_atomically(raw: sqlite3.Connection, query: CompiledQuery, args: dict[str, Any]) -> Rows:
    """Run a query of several statements inside an open transaction, all or nothing."""
    if len(query.statements) == 1:
        return run_statements(raw, query, args)
    raw.execute("SAVEPOINT orcheo_query")
    try:
        result = run_statements(raw, query, args)
    except BaseException:
        undo_to(raw, "orcheo_query")
        raise
    raw.execute("RELEASE orcheo_query")
    return result


def roll_back(raw: sqlite3.Connection) -> None:
    """Undo the open transaction; SQLite may have done so already."""
    if raw.in_transaction:
        raw.execute("ROLLBACK")


def undo_to(raw: sqlite3.Connection, savepoint: str) -> None:
    """Undo what came after a savepoint, and the savepoint."""
    # A statement that failed badly enough (disk full, interrupt of a write) has rolled back everything already.
    if raw.in_transaction:
        raw.execute(f"ROLLBACK TO {savepoint}")
        raw.execute(f"RELEASE {savepoint}")


def open_raw(
    uri: str, *, writer: bool, look_only: bool = False, volatile: bool = False
) -> sqlite3.Connection:
    """Open a connection of the sqlite3 module with our settings and functions.

    Args:
        uri: the file.
        writer: whether it may write, and set the journal mode of a file that is new or ours.
        look_only: it may not, whatever `writer` says.
        volatile: nobody wants the data after a crash.
    """
    raw = sqlite3.connect(
        uri,
        uri=True,
        isolation_level=None,
        timeout=LOCK_SLICE_SECONDS,
        cached_statements=512,
        check_same_thread=False,
    )
    try:
        for name, value in PRAGMAS:
            if name == "journal_mode" and not (writer and not look_only and _is_ours(raw)):
                continue
            raw.execute(f"PRAGMA {name} = {'OFF' if volatile and name == 'synchronous' else value}")
        if look_only or not writer:
            raw.execute("PRAGMA query_only = ON")
        register_functions(raw)
        if volatile:
            # Opens the file and what SQLite keeps beside it: their names are about to go.
            raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        raw.close()
        raise
    return raw


def _is_ours(raw: sqlite3.Connection) -> bool:
    """Whether the file is new or ours: the journal mode is part of the file, and not to be forced on others."""
    tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
    return not tables or "orcheo_migrations" in tables


def register_functions(raw: sqlite3.Connection) -> None:
    """Give a connection the SQL functions that SQLite lacks and our queries use."""
    raw.create_function("json_contains", 2, json_contains, deterministic=True)
    raw.create_function("json_meets", 2, json_meets, deterministic=True)
    raw.create_function("filter_words", 3, filter_words, deterministic=True)


def create_private(path: Path) -> None:
    """Create a database file, and the folder it is in, readable by their owner only; leave existing ones alone."""
    try:
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        # Only when it is new: closing a file gives up the locks that SQLite holds on it in this process.
        if not path.exists():
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE))
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a file name"
        raise ConfigError(
            f"can't create the database file {path}: {reason} (ORCHEO_DATABASE_PATH)"
        ) from None


def refused_to_open(error: sqlite3.Error, location: str) -> Exception:
    """Return our error for a file that can't be opened."""
    ours = translate(error, query=None)
    if code_of(error) & 0xFF in (
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
    ):
        return ConfigError(f"can't open the database {location}: {ours} (ORCHEO_DATABASE_PATH)")
    return type(ours)(f"can't open the database {location}: {ours}", dialect="sqlite")  # type: ignore[call-arg]


def known_defects(versions: Sequence[int] = sqlite3.sqlite_version_info) -> list[str]:
    """Warn of a SQLite library whose WAL can lose pages (https://sqlite.org/wal.html#walresetbug)."""
    if (3, 7, 0) <= tuple(versions) < (3, 51, 3):
        warning = (
            f"SQLite {'.'.join(map(str, versions))} has the WAL-reset defect (fixed in 3.51.3): several processes "
            "that write and checkpoint one file at the same instant can, rarely, corrupt it; update SQLite where you "
            "can"
        )
        return [warning]
    return []
