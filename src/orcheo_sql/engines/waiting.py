"""Waiting well: work that must end, connections in turn, time limits, back-off."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import suppress
from time import monotonic
from types import coroutine
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")

FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 0.5
LONGEST_LOOK_SECONDS = 0.25
# How long `close` waits for what is running before it ends it.
CLOSE_SECONDS = 10.0
# How long `health` waits for a connection or an answer.
HEALTH_SECONDS = 2.0


class Backoff:
    """Exponential back-off with jitter."""

    def __init__(self, first: float = FIRST_RETRY_SECONDS, longest: float = LONGEST_RETRY_SECONDS):
        self._delay = first
        self._longest = longest

    def next(self) -> float:
        """Return how long to pause this time."""
        delay = self._delay * random.uniform(0.5, 1.5)  # noqa: S311 - jitter, not a secret
        self._delay = min(self._delay * 2, self._longest)
        return delay

    async def pause(self) -> None:
        """Wait, longer each time."""
        await asyncio.sleep(self.next())


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end even when the caller is cancelled; the cancellation goes on afterwards.

    Work that turns out not to wait costs nothing: a task is made only for what is left of it.
    """
    try:
        awaited = work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    task = asyncio.get_running_loop().create_task(_rest_of(work, awaited))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen, so that asyncio does not report it as lost
        raise cancelled
    return task.result()


async def settled(future: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until a future is done, however often the caller is cancelled; return the last cancellation.

    There is no task between that somebody might cancel.
    """
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


async def _rest_of(work: Coroutine[Any, Any, T], awaited: Any) -> T:
    return await _resumed(work, awaited)


@coroutine
def _resumed(work: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that waits for `awaited` already."""
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - the coroutine decides
                awaited = work.throw(error)
            else:
                awaited = work.send(sent)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


class Lane(Generic[T]):
    """Things that are free, and who waits for one: first come, first served."""

    def __init__(self) -> None:
        self.free: list[T] = []
        self._waiting: deque[asyncio.Future[T]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(not future.done() for future in self._waiting)

    def take(self) -> T | None:
        """Return one that is free, the one used last: its caches are warm."""
        return self.free.pop() if self.free else None

    async def wait(self, seconds: float) -> T:
        """Wait in line for one.

        Raises:
            TimeoutError: none was handed over in time.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        timer = loop.call_later(seconds, _expire, future)
        self._waiting.append(future)
        try:
            return await future
        except BaseException:
            if future.done() and not future.cancelled() and future.exception() is None:
                # Handed over and cancelled in the same instant.
                self.give(future.result())
            with suppress(ValueError):
                self._waiting.remove(future)
            raise
        finally:
            timer.cancel()

    def give(self, thing: T) -> None:
        """Hand one to who has waited longest, or keep it."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(thing)
                return
        self.free.append(thing)

    def refuse(self, error: Exception) -> None:
        """Send everyone away who waits."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(error)


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())


class Watch(Generic[T]):
    """Notices work that takes too long.

    One timer looks after all the work in flight: a timer for each statement would cost more than the rest of what we
    add to a short one. Work is late by at most a quarter of the limit, and never by more than a quarter of a second.
    """

    def __init__(self, limit: float | None, late: Callable[[T, float], None]):
        """Call `late(work, seconds over the limit)`, again and again, for work older than `limit`; None for no limit."""
        self.limit = limit
        self._late = late
        self._timer: asyncio.TimerHandle | None = None
        self.since: dict[T, float] = {}
        """When each piece of work in flight began (`time.monotonic`)."""

    def begin(self, work: T) -> None:
        """Look after a piece of work from now on."""
        self.since[work] = monotonic()
        if self._timer is None:
            self._look_later()

    def end(self, work: T) -> None:
        """Forget a piece of work."""
        self.since.pop(work, None)

    def _look_later(self) -> None:
        if self.limit is not None:
            pause = min(self.limit / 4, LONGEST_LOOK_SECONDS)
            self._timer = asyncio.get_running_loop().call_later(pause, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self.since or self.limit is None:
            return
        self._look_later()
        now = monotonic()
        for work, since in list(self.since.items()):
            if now - since > self.limit:
                self._late(work, now - since - self.limit)

    def stop(self) -> None:
        """Look no more."""
        self.since.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
