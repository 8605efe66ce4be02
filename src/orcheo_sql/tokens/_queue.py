"""Work for a few threads, which stays in the queue only as long as somebody waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Job(Generic[T]):
    """Something that a thread does for one caller or several.

    It has a task of its own: a caller may give up, while a thread that has begun goes on, and counts until it is done.
    When all callers have given up before a thread was free, it leaves the queue.
    """

    def __init__(self, threads: asyncio.Semaphore, work: Callable[..., T], *args: Any):
        self._callers = 0
        self._has_begun = False
        self.is_abandoned = False
        self.task = asyncio.create_task(self._run(threads, work, args))

    async def result(self) -> T:
        """Wait for it."""
        self._callers += 1
        try:
            return await asyncio.shield(self.task)
        finally:
            self._callers -= 1
            if not self._callers and not self._has_begun:
                self.is_abandoned = True
                self.task.cancel()

    async def _run(
        self, threads: asyncio.Semaphore, work: Callable[..., T], args: tuple[Any, ...]
    ) -> T:
        async with threads:
            self._has_begun = True
            return await asyncio.to_thread(work, *args)
