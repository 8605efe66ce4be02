"""A unit of work on the SQLite connection that writes."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import OrcheoSqlError
from .sqlite_connection import roll_back, run_atomically, undo_to
from .waiting import finish

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Callable, Mapping

    from ..codecs.rows import Dialect
    from .base import CompiledQuery, Observation
    from .sqlite_connection import Connection

T = TypeVar("T")


class SqliteTransaction:
    """An open transaction on the writer.

    BEGIN, SAVEPOINT and RELEASE are not sent by themselves: they run in the same hop as the next query.
    """

    dialect: Dialect = "sqlite"

    def __init__(self, connection: Connection, observation: Observation, begin: str):
        self._connection = connection
        self._observation = observation
        self._begin = begin
        self._before = [begin]
        self._depth = 0

    @property
    def _has_begun(self) -> bool:
        return self._before[:1] != [self._begin]

    async def _run(self, name: str | None, function: Callable[..., T], *args: Any) -> T:
        return await self._connection.run(
            name, self._connection.inside, self._before, function, *args
        )

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run one query within the transaction; a query of several statements is undone whole when one fails."""
        args = query.bind(params)
        started = time.perf_counter()
        try:
            rows = await self._connection.run(
                query.name, self._connection.inside, self._before, run_atomically, query, args
            )
        except BaseException as error:
            self._observation.record(query.name, "sqlite", started, started, error)
            raise
        self._observation.record(query.name, "sqlite", started, started)
        return query.result(rows)

    async def run_raw(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function with the raw connection, in its thread, for as long as it takes; for migrations."""
        with self._connection.without_limit():
            return await self._run(None, lambda raw: function(raw))

    async def commit(self) -> None:
        """Keep everything."""
        if self._has_begun:
            # Savepoints that are due to be released end with the transaction.
            self._before.clear()
            patiently = self._connection.patiently
            await self._run("COMMIT", lambda raw: patiently(raw, partial(raw.execute, "COMMIT")))

    async def rollback(self) -> None:
        """Undo everything, waited for even while the caller is being cancelled: the next writer finds no transaction."""
        if self._has_begun:
            await self._undo(roll_back)

    async def _undo(self, function: Callable[..., None], *args: Any) -> None:
        # The cause is more telling. A transaction that can't be undone is refused by the next BEGIN.
        with suppress(OrcheoSqlError):
            await finish(self._connection.run("ROLLBACK", function, *args))

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Open a savepoint."""
        self._depth += 1
        opening = f"SAVEPOINT orcheo_{self._depth}"
        self._before.append(opening)
        try:
            yield
        except BaseException:
            due = opening in self._before
            # What is due now came after the savepoint, and goes with it.
            self._before[:] = self._before[: self._before.index(opening)] if due else []
            if not due:
                await self._undo(undo_to, f"orcheo_{self._depth}")
            raise
        else:
            if opening in self._before:
                self._before.remove(opening)
            else:
                self._before.append(f"RELEASE orcheo_{self._depth}")
        finally:
            self._depth -= 1
