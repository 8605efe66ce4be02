"""Uses of tokens, counted in memory and written together: authenticating writes nothing."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING

from .._errors import OrcheoSqlError
from ..repositories.token_audit import Uses

if TYPE_CHECKING:
    from datetime import datetime

    from .._database import Database

logger = logging.getLogger("orcheo_sql.tokens")

MOST_ORIGINS = 16
"""Of one token within an interval; uses from yet others are counted without saying where from."""

_Origin = tuple[str | None, str | None]
_Counts = dict[str, dict[_Origin, Uses]]


class UsageLog:
    """Counts uses and writes them once in an interval, all tokens in one statement.

    What could not be written is kept and tried again. A process that ends without closing the database loses what it has
    not written, the uses of up to one interval. The task that writes lives only while there is something to write.
    """

    def __init__(self, database: Database, interval: float):
        self._database = database
        self._interval = interval
        self._pending: _Counts = {}
        self._writing: _Counts = {}
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._flushing = asyncio.Lock()

    def note(self, token_id: str, at: datetime, ip: str | None, user_agent: str | None) -> None:
        """Count one use."""
        _add(self._pending, Uses.once(token_id, ip, user_agent, at))
        if self._task is None or self._task.done():
            self._ending.clear()
            # A context of its own: it is not part of the unit of work that the caller may be in.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())
            self._database.workers.add(self)

    def unwritten(self, token_id: str) -> int:
        """Return how many uses of a token are counted and not written yet."""
        counts = (self._pending, self._writing)
        return sum(each.times for count in counts for each in count.get(token_id, {}).values())

    async def flush(self) -> None:
        """Write what is counted, now.

        Raises:
            OrcheoSqlError: it can't be written; it stays counted.
        """
        async with self._flushing:
            if not self._pending:
                return
            self._writing, self._pending = self._pending, {}
            uses = [each for origins in self._writing.values() for each in origins.values()]
            try:
                await self._database.tokens.record_uses(uses)
            except BaseException:
                for each in uses:
                    _add(self._pending, each)
                raise
            finally:
                self._writing = {}

    async def finish(self) -> None:
        """Write what is counted and let the task end; for the database that closes."""
        self._ending.set()
        if self._task is not None:
            # Not awaited: it may have been cancelled before.
            await asyncio.wait([self._task])
        await self._write()

    async def _run(self) -> None:
        try:
            while self._pending and not self._ending.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ending.wait(), self._interval)
                await self._write()
        finally:
            if not self._pending:
                self._database.workers.discard(self)

    async def _write(self) -> None:
        try:
            await self.flush()
        except OrcheoSqlError as error:
            logger.warning("uses of service tokens could not be written: %s", error)


def _add(counts: _Counts, uses: Uses) -> None:
    origins = counts.setdefault(uses.token_id, {})
    if (uses.ip, uses.user_agent) not in origins and len(origins) >= MOST_ORIGINS:
        uses = uses._replace(ip=None, user_agent=None)
    origin = uses.ip, uses.user_agent
    known = origins.get(origin)
    if known is not None:
        last_at = max(known.last_at, uses.last_at)
        uses = Uses(uses.token_id, *origin, known.times + uses.times, last_at)
    origins[origin] = uses
