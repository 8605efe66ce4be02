"""The unit of work: repositories that commit together, and savepoints in it.

A unit is a stack of levels: the transaction, and the savepoints in it. A task works on the level it is in; a task that
is started inside a level belongs to it too. On one level statements run one after the other, whatever tasks they come
from, and while a savepoint is open its own level waits.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from ._errors import CrossDatabaseError, TransactionError
from .repositories.agentensor import AgentensorRepository
from .repositories.history import HistoryRepository
from .repositories.snapshots import RunSnapshotRepository
from .repositories.tokens import ServiceTokenRepository
from .repositories.workflows import WorkflowRepository
from .rules.history import HistoryDocuments
from .settings import Subsystem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from ._database import Database, Engine
    from ._queries import BoundQueries
    from .engines.base import CompiledQuery, EngineTransaction, Executor
    from .repositories.base import Clock


class Unit:
    """Where repositories work; the parts that a database and a unit of work share."""

    now: Clock

    def __init__(self, database: Database):
        self._database = database

    @property
    def in_transaction(self) -> bool:
        """Whether a unit of work is open here."""
        return unit_of(self._database) is not None

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """Guard statements that may conflict."""
        raise NotImplementedError

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a unit of work, or a savepoint of the one that is open."""
        raise NotImplementedError

    def _executor(self, subsystem: Subsystem) -> Executor:
        raise NotImplementedError

    def _queries(self, subsystem: Subsystem) -> BoundQueries:
        return self._database.query_class(subsystem)(self._executor(subsystem))

    @cached_property
    def workflows(self) -> WorkflowRepository:
        """Workflows, their versions and their runs."""
        repository = WorkflowRepository(self._queries(Subsystem.WORKFLOWS), self)
        repository.listener_platforms = self._database.listener_platforms
        repository.credentials = self._database.credentials
        repository.sealer = self._database.sealer(Subsystem.WORKFLOWS)
        return repository

    @cached_property
    def history(self) -> HistoryRepository:
        """What happened in each execution."""
        settings = self._database.settings
        repository = HistoryRepository(self._queries(Subsystem.HISTORY), self)
        repository.documents = HistoryDocuments(
            settings.history_max_payload_bytes, redacts=settings.history_redact
        )
        repository.is_searched = settings.history_search
        return repository

    @cached_property
    def tokens(self) -> ServiceTokenRepository:
        """Service tokens and their audit log."""
        return ServiceTokenRepository(self._queries(Subsystem.TOKENS), self)

    @cached_property
    def agentensor(self) -> AgentensorRepository:
        """Training checkpoints."""
        return AgentensorRepository(self._queries(Subsystem.AGENTENSOR), self)

    @cached_property
    def snapshots(self) -> RunSnapshotRepository:
        """Snapshots of an orchestrator's runs."""
        return RunSnapshotRepository(self._queries(Subsystem.SNAPSHOTS), self)


class _Level:
    """One level of a unit of work: the transaction itself, or a savepoint in it."""

    __slots__ = ("failed", "inner", "is_open", "lock", "outer", "resources", "session", "unit")

    def __init__(self, unit: Transaction, outer: _Level | None):
        self.unit = unit
        self.outer = outer
        """The level around it: of the same unit, or of another database's."""
        self.inner: _Level | None = None
        """The savepoint that is open in it."""
        self.is_open = True
        self.session: EngineTransaction | None = None
        self.failed: str | None = None
        self.lock = asyncio.Lock()
        self.resources = AsyncExitStack()


_LEVEL: ContextVar[_Level | None] = ContextVar("orcheo_sql_level", default=None)


def unit_of(database: Database) -> Transaction | None:
    """Return the unit of work of a database that the running task is in."""
    level = _LEVEL.get()
    while level is not None:
        if level.unit.database is database and level.unit.is_open:
            return level.unit
        level = level.outer
    return None


class Transaction(Unit):
    """A unit of work: the same repositories as the database, committed together.

    A database error inside it leaves only one way out: back. A nested `transaction` is a savepoint, and a way back
    that keeps what came before. This holds on both databases alike.
    """

    def __init__(self, database: Database):
        super().__init__(database)
        self.now = database.now
        self._engine: Engine | None = None
        self._root: _Level | None = None

    @property
    def in_transaction(self) -> bool:
        """True, in whichever task it is used."""
        return True

    @property
    def database(self) -> Database:
        """The database it works on."""
        return self._database

    @property
    def is_open(self) -> bool:
        """Whether its block has not ended yet."""
        return self._root is not None and self._root.is_open

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Self]:
        """Keep the unit open; for `Database.transaction`, once."""
        self._root = _Level(self, _LEVEL.get())
        async with self._inside(self._root):
            yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Self]:
        """Open a savepoint: what happens inside is kept when the block ends, undone when it raises."""
        async with self._savepoint():
            yield self

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """Guard statements that may conflict with a savepoint."""
        return self._savepoint()

    @asynccontextmanager
    async def _savepoint(self) -> AsyncIterator[None]:
        around = self._level()
        async with around.lock:
            self._check(around)
            around.inner = _Level(self, around)
            try:
                async with self._inside(around.inner):
                    yield
                    self._check_open(around)
            finally:
                around.inner = None

    @asynccontextmanager
    async def _inside(self, level: _Level) -> AsyncIterator[None]:
        token = _LEVEL.set(level)
        try:
            async with level.resources:
                try:
                    yield
                    self._check_end(level)
                finally:
                    level.is_open = False
        finally:
            # A generator may be closed by a task other than the one that opened it, such as a fixture's.
            with suppress(ValueError):
                _LEVEL.reset(token)

    def _check_end(self, level: _Level) -> None:
        if level.failed is not None:
            raise TransactionError(
                f"the unit of work was rolled back: {level.failed} failed in it and the error was swallowed"
            )
        if level.inner is not None:
            raise TransactionError(
                "the unit of work was rolled back: it ended while a savepoint was open in a task that it had started"
            )

    def _level(self) -> _Level:
        """Return the level that the running task is on; the transaction itself for a task from outside."""
        level = _LEVEL.get()
        while level is not None and level.unit is not self:
            level = level.outer
        level = level or self._root
        if level is None or not self.is_open:
            raise TransactionError("this unit of work is over")
        return level

    def _check(self, level: _Level) -> None:
        self._check_open(level)
        if level.failed is not None:
            raise TransactionError(
                f"{level.failed} failed: this unit of work can only be rolled back"
            )

    def _check_open(self, level: _Level) -> None:
        if not self.is_open:
            raise TransactionError("this unit of work is over")
        around: _Level | None = level
        while around is not None and around.unit is self:
            if not around.is_open:
                raise TransactionError("the savepoint that this task was started in is over")
            around = around.outer

    def _executor(self, subsystem: Subsystem) -> Executor:
        return _Joined(self, self._database.engine(subsystem))

    async def execute(self, engine: Engine, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        """Run a query in the unit, on the level of the running task; begin what is due first."""
        level = self._level()
        async with level.lock:
            self._check(level)
            self._check_engine(engine)
            try:
                session = level.session or await self._begin(level, engine)
                return await session.execute(query, params)
            except BaseException:
                level.failed = query.name
                raise

    async def session(self, engine: Engine) -> EngineTransaction:
        """Return the open transaction on an engine, begun now if it had not been."""
        level = self._level()
        async with level.lock:
            self._check(level)
            self._check_engine(engine)
            return level.session or await self._begin(level, engine)

    def _check_engine(self, engine: Engine) -> None:
        if self._engine is not None and self._engine is not engine:
            raise CrossDatabaseError(
                f"this unit of work is on {self._engine.location}; it can't include {engine.location} as well "
                "(keep the subsystems in one database, or use two units of work)"
            )

    async def _begin(self, level: _Level, engine: Engine) -> EngineTransaction:
        """Begin the transaction, or the savepoint, of a level and of those around it."""
        if level is self._root:
            self._engine = engine
            try:
                session: EngineTransaction = await level.resources.enter_async_context(
                    engine.transaction()
                )
            except BaseException:
                self._engine = None
                raise
        else:
            assert level.outer is not None
            session = level.outer.session or await self._begin(level.outer, engine)
            await level.resources.enter_async_context(session.savepoint())
        level.session = session
        return session


class _Joined:
    """Runs queries inside a unit of work."""

    __slots__ = ("_engine", "_unit", "dialect")

    def __init__(self, unit: Transaction, engine: Engine):
        self._unit = unit
        self._engine = engine
        self.dialect = engine.dialect

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        return await self._unit.execute(self._engine, query, params)
