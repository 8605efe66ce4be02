"""What both engines share: compiled queries, the executor interface, observation, health."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

from .._errors import ContractMismatchError
from ..codecs.encode import encoder
from ..codecs.rows import Decoder, Dialect, check_columns, row_decoder, rows_decoder, value_decoder

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from .._catalog import Catalog, Query

logger = logging.getLogger("orcheo_sql")

_PLACEHOLDER = re.compile(
    r"""(?P<quoted>'(?:''|[^'])*'|"(?:""|[^"])*")|(?P<cast>::)|:(?P<name>\w+)"""
)
_CUSTOM_PLAN = re.compile(r"custom(?:; GIN for (.+))?")


class Rows(NamedTuple):
    """What a driver returned: column names (None when there were none), rows, and how many rows changed."""

    columns: tuple[str, ...] | None
    rows: Sequence[Sequence[Any]]
    changed: int


class CompiledQuery:
    """A query made ready for its driver: text, parameter order, encoder, decoder."""

    __slots__ = (
        "_decode", "_encode", "_names", "dialect", "name", "order", "plans_anew", "query", "shape", "sql",
        "statements", "writes",
    )  # fmt: skip

    def __init__(self, query: Query):
        self.query = query
        self.name = query.qualified_name
        self.dialect = query.dialect
        self.shape = query.shape
        self.writes = query.writes
        self._encode = encoder(query.dialect)
        self._names = frozenset(query.parameters)
        self._decode: Decoder | None = None
        label = f"/* {self.name} */ "
        if query.dialect == "postgres":
            text, self.order = _numbered(query.sql.rstrip("; \n"))
            self.statements: tuple[str, ...] = (label + text,)
        else:
            self.order = query.parameters
            self.statements = tuple(label + s for s in query.statements)
        self.sql = self.statements[0]
        self.plans_anew = gin_parameters(query) is not None
        """Whether PostgreSQL plans each call for its values, rather than once for all (tag ``Plan:``)."""

    @property
    def needs_columns(self) -> bool:
        """Whether the names of the result columns are still wanted: once, to build the decoder."""
        return self._decode is None

    def bind(self, params: Mapping[str, Any]) -> Any:
        """Check the names of the arguments exactly and encode the values for the driver."""
        if params.keys() != self._names:
            raise self._wrong_arguments(params)
        encode = self._encode
        if self.dialect == "sqlite":
            return {name: encode(value) for name, value in params.items()}
        return [encode(params[name]) for name in self.order]

    def result(self, rows: Rows) -> Any:
        """Decode what came back into what the query's operator promises."""
        if self.shape == "count":
            return rows.changed
        if self._decode is None:
            self._decode = self._compile(rows.columns)
        if self.shape == "rows":
            return self._decode(rows.rows)
        return self._decode(rows.rows[0]) if rows.rows else None

    def _compile(self, columns: tuple[str, ...] | None) -> Decoder:
        returns = self.query.returns
        if columns is None or returns is None:
            raise ContractMismatchError(
                f"{self.query.place}: {self.name} returns no columns, or has no tag Returns"
            )
        if issubclass(returns, msgspec.Struct):
            if problem := check_columns(returns, columns):
                raise ContractMismatchError(f"{self.query.place}: {self.name}: {problem}")
            build = rows_decoder if self.shape == "rows" else row_decoder
            return build(returns, columns, self.dialect, self.name)
        if len(columns) != 1:
            raise ContractMismatchError(
                f"{self.query.place}: {self.name} returns {len(columns)} columns for one value"
            )
        convert = value_decoder(returns, self.dialect)

        def one(row: Sequence[Any]) -> Any:
            return row[0] if convert is None or row[0] is None else convert(row[0])

        return (lambda rows: [one(row) for row in rows]) if self.shape == "rows" else one

    def _wrong_arguments(self, params: Mapping[str, Any]) -> ContractMismatchError:
        missing = sorted(self._names - params.keys())
        extra = sorted(params.keys() - self._names)
        parts = [
            f"{label} {', '.join(names)}"
            for label, names in (("missing", missing), ("unknown", extra))
            if names
        ]
        return ContractMismatchError(f"{self.query.place}: {self.name}: {'; '.join(parts)}")


def _numbered(sql: str) -> tuple[str, tuple[str, ...]]:
    """Turn ``:name`` placeholders into ``$1``, ``$2`` … and return the order of the names."""
    order: list[str] = []

    def number(match: re.Match[str]) -> str:
        name = match.group("name")
        if name is None:
            return match.group(0)
        if name not in order:
            order.append(name)
        return f"${order.index(name) + 1}"

    return _PLACEHOLDER.sub(number, sql), tuple(order)


def gin_parameters(query: Query) -> list[str] | None:
    """Return the parameters for which the tag ``Plan:`` promises a GIN index; None when there is no such tag."""
    found = _CUSTOM_PLAN.fullmatch(query.tags.get("Plan", ""))
    if found is None:
        return None
    return [name.strip() for name in found[1].split(",")] if found[1] else []


def compile_catalog(catalog: Catalog) -> dict[str, CompiledQuery]:
    """Compile every query of a catalogue."""
    return {query.qualified_name: CompiledQuery(query) for query in catalog}


class QueryTiming(NamedTuple):
    """One executed query, as an observer sees it. Parameter values are never part of it."""

    query: str
    dialect: Dialect
    seconds: float
    error: str | None
    """Class name of the error, or None."""
    waited: float = 0.0
    """How much of `seconds` went by before there was a connection."""


Observer = Callable[[QueryTiming], None]


@dataclass(frozen=True)
class Observation:
    """Who hears of a query: a callback, and the log when it was slow."""

    slow_query_seconds: float
    observer: Observer | None = None

    def record(
        self,
        query: str,
        dialect: Dialect,
        started: float,
        begun: float,
        error: BaseException | None = None,
    ) -> None:
        """Report one execution: called for at `started`, under way from `begun` on (`time.perf_counter`)."""
        seconds = time.perf_counter() - started
        if seconds >= self.slow_query_seconds:
            logger.warning(
                "slow query %s on %s: %.3f s, %.3f s of it waiting for a connection",
                query,
                dialect,
                seconds,
                begun - started,
            )
        elif logger.isEnabledFor(logging.DEBUG):
            logger.debug("query %s on %s: %.6f s", query, dialect, seconds)
        if self.observer is not None:
            failure = type(error).__name__ if error else None
            try:
                self.observer(QueryTiming(query, dialect, seconds, failure, begun - started))
            except Exception:
                # The query is done; whoever only watches can't undo that.
                logger.exception("the observer failed on query %s", query)


class PoolFigures(msgspec.Struct, frozen=True):
    """How busy the connections of one database are."""

    size: int
    idle: int
    waiting: int
    timeouts: int
    maximum: int


class DatabaseHealth(msgspec.Struct, frozen=True):
    """What `Database.health` says of one database."""

    dialect: str
    location: str
    reachable: bool
    server_version: str | None = None
    schema_version: int | None = None
    latency_seconds: float | None = None
    pool: PoolFigures | None = None
    error: str | None = None
    warnings: list[str] = []


class Executor(Protocol):
    """Runs compiled queries: an engine (each on its own) or a transaction (all together)."""

    dialect: Dialect

    def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Awaitable[Any]:
        """Run one query and return what its operator promises."""
        ...


class EngineTransaction(Executor, Protocol):
    """An open transaction of one engine."""

    def savepoint(self) -> AbstractAsyncContextManager[None]:
        """Open a savepoint: left normally it is kept, left by an exception it is undone."""
        ...


class Engine(Executor, Protocol):
    """One database: its connections and its transactions."""

    location: str

    async def open(self) -> None:
        """Connect; raises when the database can't be reached."""
        ...

    async def close(self) -> None:
        """Give every connection back."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[EngineTransaction]:
        """Open a transaction: committed when left normally, rolled back otherwise."""
        ...

    async def migrated(self) -> None:
        """Hear that migrations were applied."""
        ...

    async def health(self, version_query: str | None = None) -> DatabaseHealth:
        """Say how the database is; never raises for a database that is down.

        Args:
            version_query: returns the version of the schema.
        """
        ...
