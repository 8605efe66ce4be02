"""The statements that an operation would send, without sending them: for the raw driver to send."""

from __future__ import annotations

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
    def __init__(self, call: Call):
        super().__init__(call.query.name)
        self.call = call


class _Capturing:
    """Stands in for an engine: hands out the first query instead of running it."""

    def __init__(self, dialect: str):
        self.dialect = dialect

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        raise _Captured(Call(query, query.bind(params)))


class Shadow:
    """A database that only looks like the open one it is made from."""

    def __init__(self, database: Database):
        self._database = Database(database.settings, clock=database.now)
        engines: Any = {place: _Capturing(e.dialect) for place, e in database._engines.items()}  # noqa: SLF001
        self._database._engines = engines  # noqa: SLF001
        self._database._query_classes = database._query_classes  # noqa: SLF001

    async def first_call(self, work: Callable[[Database], Awaitable[Any]]) -> Call:
        """Return the first query that an operation sends."""
        try:
            await work(self._database)
        except _Captured as captured:
            return captured.call
        raise RuntimeError("the operation sends nothing")
