"""Group commit: writes that wait for the writer are carried out together, in one transaction.

To commit is to wait for the disk, which takes as long as many small statements. So what has gathered while the writer
was busy runs one after the other, as it would have on its own, and is committed once. Nobody hears of a result before
that. A write that breaks a rule undoes itself and nothing else; where more than that is undone (a full disk, an
interrupt, a rule that is checked at the commit) the others go back into line, each for a transaction of its own.

There is no task behind it that somebody might cancel: the first of those who wait leads, and hands over to the next.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from .._errors import DatabaseBusyError, DatabaseClosedError
from .sqlite_connection import LOCK_SLICE_SECONDS, refusal, roll_back, run_atomically
from .sqlite_errors import is_busy
from .waiting import settled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .base import CompiledQuery, Rows
    from .sqlite_connection import Connection

MOST_TOGETHER = 256
LONGEST_ROUND_SECONDS = 0.1
"""One transaction has at most so many writes and begins none after that: others wait for it, and the disk is next."""


class Write:
    """A write that waits, or is under way."""

    __slots__ = ("args", "begun", "done", "is_alone", "is_over", "outcome", "query", "started")

    def __init__(self, query: CompiledQuery, args: Any):
        self.query = query
        self.args = args
        self.started = time.perf_counter()
        self.begun: float | None = None
        self.outcome: Rows | BaseException | None = None
        self.is_over = False
        self.is_alone = False
        """It must not share a transaction: one that it shared was undone."""
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """True when there is an outcome; False for the one that leads from now on."""

    def result(self) -> Rows:
        """Return what it returned, or raise what it raised; the driver's errors become ours."""
        if isinstance(self.outcome, Exception):
            raise refusal(self.outcome, self.query.name) from self.outcome
        if self.outcome is None or isinstance(self.outcome, BaseException):
            raise DatabaseClosedError("the database was closed before the write began")
        return self.outcome

    def finish(self, outcome: BaseException | None = None) -> None:
        """Tell whoever waits for it."""
        self.outcome = outcome or self.outcome
        self.args = None
        self.is_over = True
        if not self.done.done():
            self.done.set_result(True)


class WriteGroup:
    """Writes that wait, and the one among their callers that leads."""

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
        self._is_led = False
        self._in_line = False
        self._begins: Connection | None = None
        """What waits for the file's write lock at the moment."""
        self._round: asyncio.Future[None]
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
        if self._is_led:
            try:
                if await write.done:
                    return
            except asyncio.CancelledError:
                leads = write.done.done() and not write.done.cancelled() and not write.done.result()
                # It may go back into line when its transaction is undone.
                while not self._withdraw(write) and not write.is_over:
                    await settled(self._round)
                if leads:
                    self._hand_over()
                raise
            write.done = asyncio.get_running_loop().create_future()
        self._is_led = True
        try:
            while not write.done.done():
                await self._lead()
        finally:
            self._withdraw(write)
            self._hand_over()

    async def _lead(self) -> None:
        """Stand in line for all, and carry out what waits."""
        self._in_line = True
        try:
            connection = await self._take(self._time_left())
        except TimeoutError:
            self._refuse_impatient(self._refusal)
            return
        finally:
            self._in_line = False
        try:
            await self._carry_out(connection)
        finally:
            self._give(connection)

    def _hand_over(self) -> None:
        """Let the one lead that has waited longest, or nobody."""
        self._is_led = False
        for write in self._waiting:
            if not write.done.done():
                self._is_led = True
                write.done.set_result(False)
                return

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

    def _time_left(self) -> float:
        """Return how long the write that has waited longest goes on waiting."""
        with self._lock:
            since = min((write.started for write in self._waiting), default=0.0)
        return max(since + self._patience - time.perf_counter(), 0.001)

    async def _carry_out(self, connection: Connection) -> None:
        """Carry out what waits now, in one transaction if it can be."""
        claimed: list[Write] = []
        self._begins = connection
        self._round = asyncio.get_running_loop().create_future()
        cancelled: BaseException | None = None
        error: BaseException | None = None
        try:
            with connection.watched():
                running = connection.submit(self._together, connection, self._time_left(), claimed)
                cancelled = await settled(running)
                error = running.exception()
        finally:
            self._begins = None
            self._round.set_result(None)
            for write in claimed:
                # Had the transaction ended as it should, there would be no error.
                write.finish(
                    error if error and not isinstance(write.outcome, BaseException) else None
                )
            begun = bool(claimed)
            claimed.clear()  # the thread remembers what it did last
        if isinstance(error, sqlite3.Error) and is_busy(error):
            busy = error
            self._refuse_impatient(lambda: refusal(busy, None))
        elif error is not None and not begun:
            raise (
                refusal(error, "BEGIN IMMEDIATE") if isinstance(error, Exception) else error
            ) from error
        if cancelled is not None:
            raise cancelled

    def _refuse_impatient(self, error: Callable[[], Exception]) -> None:
        """Send those away who have waited for long enough."""
        since = time.perf_counter() - self._patience + LOCK_SLICE_SECONDS
        with self._lock:
            refused = [write for write in self._waiting if write.started <= since]
            for write in refused:
                self._waiting.remove(write)
        for write in refused:
            write.finish(error())

    # In the connection's thread

    def _claim(self, count: int, until: float) -> Write | None:
        """Take the next write that may share a transaction with so many others."""
        with self._lock:
            self._begins = None
            if not self._waiting or count >= MOST_TOGETHER:
                return None
            if count and (self._waiting[0].is_alone or time.perf_counter() > until):
                return None
            return self._waiting.popleft()

    def _together(
        self,
        raw: sqlite3.Connection,
        connection: Connection,
        patience: float,
        claimed: list[Write],
    ) -> None:
        """Carry out what waits once the lock is ours."""
        connection.patiently(raw, partial(raw.execute, "BEGIN IMMEDIATE"), patience)
        try:
            until = time.perf_counter() + LONGEST_ROUND_SECONDS
            while not connection.is_ending and (write := self._claim(len(claimed), until)):
                claimed.append(write)
                connection.begin_again()
                write.begun = time.perf_counter()
                try:
                    write.outcome = run_atomically(raw, write.query, write.args)
                except sqlite3.IntegrityError as error:
                    write.outcome = error
                except Exception as error:  # noqa: BLE001 - its caller's, whatever it is
                    # Who knows what it has left behind; but one that was ended for another's delay is to run again.
                    write.outcome = error
                    self._undo(
                        raw, claimed, None if connection.was_hasty(error, write.begun) else write
                    )
                    return
                if write.is_alone:
                    break
                if not raw.in_transaction:
                    self._undo(raw, claimed, write)
                    return
            connection.begin_again()
            try:
                connection.patiently(raw, partial(raw.execute, "COMMIT"))
            except sqlite3.Error as error:
                alone = claimed[0] if len(claimed) == 1 else None
                if alone is not None:
                    alone.outcome = error
                self._undo(raw, claimed, alone)
        except BaseException:
            roll_back(raw)
            raise

    def _undo(self, raw: sqlite3.Connection, claimed: list[Write], failed: Write | None) -> None:
        """Undo the transaction; all but the one whose fault it was go back into line, to be on their own."""
        roll_back(raw)
        again = [write for write in claimed if write is not failed]
        claimed[:] = [failed] if failed is not None else []
        for write in again:
            write.outcome = None
            write.is_alone = True
        with self._lock:
            self._waiting.extendleft(reversed(again))
