"""Group commit: writes that wait for the writer are carried out together, in one transaction.

To commit is to wait for the disk, which takes as long as many small statements. So what has gathered while the writer
was busy runs one after the other, as it would have on its own, and is committed once. Nobody hears of a result before
that. A write that fails undoes itself and nothing else; where SQLite undoes the whole transaction for it (a full disk,
an interrupt), the others run again, each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any

from .._errors import DatabaseBusyError, DatabaseClosedError
from .sqlite_connection import LOCK_SLICE_SECONDS, refusal, roll_back, run_atomically
from .waiting import finish

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable

    from .base import CompiledQuery, Rows
    from .sqlite_connection import Connection

MOST_TOGETHER = 256
"""Writes in one transaction: what else wants to write waits for them all."""


class Write:
    """A write that waits, or is under way."""

    __slots__ = ("args", "begun", "done", "outcome", "query", "started")

    def __init__(self, query: CompiledQuery, args: Any, done: asyncio.Future[None]):
        self.query = query
        self.args = args
        self.done = done
        """Done when there is an outcome, and it is on disk."""
        self.outcome: Rows | Exception | None = None
        self.started = self.begun = time.perf_counter()

    def carry_out(self, run: Callable[[CompiledQuery, Any], Rows]) -> None:
        """Keep what comes of running it."""
        self.begun = time.perf_counter()
        try:
            self.outcome = run(self.query, self.args)
        except Exception as error:  # noqa: BLE001 - its caller's, whatever it is
            self.outcome = error

    def result(self) -> Rows:
        """Return what it returned, or raise what it raised; the driver's errors become ours."""
        if isinstance(self.outcome, Exception):
            raise refusal(self.outcome, self.query.name) from self.outcome
        if self.outcome is None:
            raise _ENDED
        return self.outcome


class WriteGroup:
    """Writes that wait, and the task that sees to them."""

    def __init__(
        self,
        take: Callable[[float], Awaitable[Connection]],
        give: Callable[[Connection], None],
        refusal: Callable[[], DatabaseBusyError],
        patience: float,
    ):
        """Serve writes with one connection at a time.

        Args:
            take: waits for a connection, in line with units of work, for some seconds; TimeoutError when it gets none.
            give: gives the connection back.
            refusal: makes the error for a write that has got none in time.
            patience: how many seconds a write waits.
        """
        self._take = take
        self._give = give
        self._refusal = refusal
        self._patience = patience
        self._waiting: deque[Write] = deque()
        # Between the event loop, which takes back what nobody waits for, and the thread, which takes what it carries out.
        self._lock = threading.Lock()
        self._task: asyncio.Task[None] | None = None
        self._in_line = False
        self._begins: Connection | None = None
        """What waits for the file's write lock at the moment."""
        self._round: asyncio.Future[None] | None = None
        """Done when what is under way has ended."""

    @property
    def waiting(self) -> int:
        """How many wait, beside the one that stands in line for all."""
        return len(self._waiting) - self._in_line

    async def run(self, write: Write) -> None:
        """Wait until a write is done.

        A caller that is cancelled leaves nothing behind when its write has not begun; otherwise it waits for the end.
        """
        self._waiting.append(write)
        if self._task is None:
            # In a context of its own: the task outlives the one that happens to start it.
            self._task = asyncio.get_running_loop().create_task(self._serve(), context=Context())
        try:
            await write.done
        except asyncio.CancelledError:
            if not self._withdraw(write) and self._round is not None:
                await finish(_ended(self._round))
            raise

    def _withdraw(self, write: Write) -> bool:
        """Take a write back, if it has not begun."""
        with self._lock:
            try:
                self._waiting.remove(write)
            except ValueError:
                return False
            if not self._waiting and self._begins is not None:
                self._begins.stop_waiting()
            return True

    def _claim(self) -> list[Write]:
        with self._lock:
            self._begins = None
            count = min(len(self._waiting), MOST_TOGETHER)
            return [self._waiting.popleft() for _ in range(count)]

    async def _serve(self) -> None:
        """Carry out what waits, until nothing does."""
        try:
            while self._waiting:
                self._in_line = True
                try:
                    connection = await self._take(self._time_left())
                except TimeoutError:
                    self._refuse_impatient(None)
                    continue
                finally:
                    self._in_line = False
                try:
                    if self._waiting:
                        await self._carry_out(connection)
                except DatabaseBusyError as error:
                    self._refuse_impatient(error)
                finally:
                    self._give(connection)
        except BaseException as error:
            failure = error if isinstance(error, Exception) else _ENDED
            self._refuse(lambda: failure, 0.0)
            if not isinstance(error, Exception):
                raise
        finally:
            self._task = None

    def _time_left(self) -> float:
        """Return how long the write that has waited longest goes on waiting."""
        with self._lock:
            since = self._waiting[0].started if self._waiting else time.perf_counter()
        return max(since + self._patience - time.perf_counter(), 0.001)

    async def _carry_out(self, connection: Connection) -> None:
        """Carry out what waits now, in one transaction if it can be."""
        claimed: list[Write] = []
        self._begins = connection
        self._round = asyncio.get_running_loop().create_future()
        try:
            await connection.run(
                "BEGIN IMMEDIATE", self._together, connection, self._time_left(), claimed
            )
        finally:
            self._begins = None
            self._round.set_result(None)
            for write in claimed:
                if not write.done.done():
                    write.done.set_result(None)

    def _refuse_impatient(self, error: DatabaseBusyError | None) -> None:
        """Send those away who have waited for long enough."""
        self._refuse(
            self._refusal if error is None else lambda: error, self._patience - LOCK_SLICE_SECONDS
        )

    def _refuse(self, error: Callable[[], Exception], age: float) -> None:
        """Send those away who have waited for some seconds."""
        since = time.perf_counter() - age
        with self._lock:
            refused = [write for write in self._waiting if write.started <= since]
            for write in refused:
                self._waiting.remove(write)
        for write in refused:
            if not write.done.done():
                write.done.set_exception(error())

    def _together(
        self,
        raw: sqlite3.Connection,
        connection: Connection,
        patience: float,
        claimed: list[Write],
    ) -> None:
        """Carry out what waits once the lock is ours; in the connection's thread."""
        connection.patiently(raw, partial(raw.execute, "BEGIN IMMEDIATE"), patience)
        claimed.extend(self._claim())
        failed: Write | None = None
        for write in claimed:
            connection.begin_again()
            write.carry_out(partial(run_atomically, raw))
            if not raw.in_transaction:
                failed = write
                break
        else:
            try:
                connection.patiently(raw, partial(raw.execute, "COMMIT"))
            except Exception:  # noqa: BLE001 - whose fault it is shows when each commits on its own
                roll_back(raw)
            else:
                return
        for write in claimed:
            if write is not failed:
                connection.begin_again()
                write.carry_out(partial(connection.unit, raw))


_ENDED = DatabaseClosedError("the event loop ended before the write began")


async def _ended(future: asyncio.Future[Any]) -> None:
    await asyncio.wait([future])
