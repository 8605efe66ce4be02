"""The statements that an operation would send, without sending them: for the raw driver to send."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from .._database import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ..engines.base import CompiledQuery


class Call(NamedTuple):
    """One query with its arguments as the driver gets them."""

    query: CompiledQuery
    args: Any

    def argument(self, name: str) -> Any:
        """Return one argument by its name in the query."""
        if isinstance(self.args, dict):
            return self.args[name]
        return self.args[self.query.order.index(name)]


class _Captured(Exception):  # noqa: N818 - it never gets out
    """What was looked for is captured."""


class _Capturing:
    """Stands in for an engine: keeps queries and runs none, or only those that read."""

    def __init__(self, engine: Any, *, reads: bool):
        self._engine = engine
        self._reads = reads
        self.dialect = engine.dialect
        self.calls: list[Call] = []

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        self.calls.append(Call(query, query.bind(params)))
        if query.writes or not self._reads:
            raise _Captured
        return await self._engine.execute(query, params)


class Shadow:
    """A database that only looks like the open one it is made from."""

    def __init__(self, database: Database, *, reads: bool = False):
        self._database = Database(database.settings, clock=database.now)
        self._engines = {
            place: _Capturing(e, reads=reads)
            for place, e in database._engines.items()  # noqa: SLF001
        }
        engines: Any = self._engines
        self._database._engines = engines  # noqa: SLF001
        self._database._query_classes = database._query_classes  # noqa: SLF001

    async def first_call(self, work: Callable[[Database], Awaitable[Any]]) -> Call:
        """Return the first query that an operation sends."""
        return (await self.calls(work))[0]

    async def calls(self, work: Callable[[Database], Awaitable[Any]]) -> list[Call]:
        """Return the queries that an operation sends: the first, or with `reads` all up to the first that writes."""
        for engine in self._engines.values():
            engine.calls = []
        with suppress(_Captured):
            await work(self._database)
        found = [call for engine in self._engines.values() for call in engine.calls]
        if not found:
            raise RuntimeError("the operation sends nothing")
        return found
