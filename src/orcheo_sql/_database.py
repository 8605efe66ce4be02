"""The database: what a backend opens, and the unit of work it hands out."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec

from ._catalog import load_catalog
from ._errors import (
    ConnectionLostError,
    CrossDatabaseError,
    OrcheoSqlError,
    StoreError,
    TransactionError,
    TransientError,
)
from ._migrate import Migrator
from ._queries import bound_classes
from .engines.base import DatabaseHealth, Observation
from .repositories.workflows import WorkflowRepository
from .settings import Subsystem, load_settings
from .structs import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ._queries import BoundQueries
    from .credentials import CredentialHealthService
    from .engines.base import CompiledQuery, EngineTransaction, Executor, Observer
    from .engines.postgres import PostgresEngine
    from .engines.sqlite import SqliteEngine
    from .repositories.base import Clock
    from .settings import Location, Settings

    Engine = SqliteEngine | PostgresEngine

T = TypeVar("T")

# The subsystems that exist, by the folder of SQL each has.
SUBSYSTEMS: Mapping[Subsystem, str] = {Subsystem.WORKFLOWS: "workflows"}


class _Unit:
    """Where repositories work; the parts that a database and a unit of work share."""

    now: Clock

    def __init__(self, database: Database):
        self._database = database

    @property
    def in_transaction(self) -> bool:
        """Whether a unit of work is open here."""
        return self._database.current is not None

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """Guard statements that may conflict."""
        raise NotImplementedError

    def _executor(self, subsystem: Subsystem) -> Executor:
        raise NotImplementedError

    def _queries(self, subsystem: Subsystem) -> BoundQueries:
        return self._database.query_class(subsystem)(self._executor(subsystem))

    @cached_property
    def workflows(self) -> WorkflowRepository:
        """Workflows, their versions and their runs."""
        repository = WorkflowRepository(self._queries(Subsystem.WORKFLOWS), self)
        repository.credentials = self._database.credentials
        return repository


class Database(_Unit):
    """All stores of one installation, on SQLite or PostgreSQL as the settings say.

    ::

        async with Database() as db:
            workflow = await db.workflows.get_workflow(workflow_id)

    Nothing is opened before `open`, or before the `async with` block is entered.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        observer: Observer | None = None,
        credentials: CredentialHealthService | None = None,
        clock: Clock = utc_now,
        **overrides: Any,
    ):
        """Describe a database.

        Args:
            settings: from `load_settings`; read from the environment and ``.env`` when None.
            observer: called with a `QueryTiming` after each query, in the event loop: keep it short.
            credentials: asked before a run is created; see `credentials.CredentialHealthService`.
            clock: gives the time that is written; aware and in UTC.
            overrides: single settings by name, such as ``database_path=…``; only without `settings`.

        Raises:
            ConfigError: a setting is wrong.
        """
        super().__init__(self)
        if settings is not None and overrides:
            raise TypeError("give settings, or single settings by name, not both")
        self.settings = settings or load_settings(**overrides)
        self.credentials = credentials
        self.now = clock
        self._observation = Observation(self.settings.slow_query_seconds, observer)
        self._engines: dict[Location, Engine] = {}
        self._query_classes: dict[str, Mapping[str, type[BoundQueries]]] = {}
        self._current: ContextVar[Transaction | None] = ContextVar(
            "orcheo_sql_unit_of_work", default=None
        )
        self._is_open = False

    async def open(self) -> Self:
        """Connect and bring the schema up to date (or, without auto-migrate, verify it).

        Raises:
            ConnectionLostError: a database can't be reached.
            MigrationError: its schema is pending, newer, edited or foreign.
            QueryError: a query of the override folder does not fit.
        """
        if self._is_open:
            return self
        try:
            for subsystem in SUBSYSTEMS:
                location = self.settings.location(subsystem)
                if location not in self._engines:
                    await self._open_engine(location)
        except BaseException:
            await self.close()
            raise
        self._is_open = True
        return self

    async def _open_engine(self, location: Location) -> None:
        engine = make_engine(self.settings, location, self._observation)
        if location.dialect not in self._query_classes:
            catalog = load_catalog(location.dialect, overrides=self.settings.sql_override_dir)
            self._query_classes[location.dialect] = bound_classes(catalog)
        await engine.open()
        self._engines[location] = engine
        migrator = self._migrator(engine)
        if self.settings.auto_migrate:
            await migrator.up()
        else:
            await migrator.verify()

    async def close(self) -> None:
        """Give every connection back. The object can be opened again."""
        engines, self._engines = self._engines, {}
        self._is_open = False
        self.__dict__.pop("workflows", None)
        for engine in engines.values():
            await engine.close()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        places = ", ".join(sorted({str(self.settings.location(s)) for s in SUBSYSTEMS}))
        return f"<Database {places}>"

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a unit of work: its repositories commit together, or not at all.

        It begins with its first query and belongs to the database of that query. Inside it, use the repositories of
        the unit, not those of the database: a write beside it is refused.

        Raises:
            TransactionError: this task is inside a unit of work already; use its own `transaction` for a savepoint.
        """
        self._require_open()
        if self.current is not None:
            raise TransactionError(
                "a unit of work is open in this task: nest with `async with tx.transaction():`, which is a savepoint"
            )
        unit = Transaction(self)
        token = self._current.set(unit)
        try:
            async with unit.run():
                yield unit
        finally:
            self._current.reset(token)

    async def retry(self, work: Callable[[Transaction], Awaitable[T]], *, attempts: int = 5) -> T:
        """Run `work` in a unit of work, again when it fails for a passing reason (`TransientError`).

        Only for work that is safe to repeat as a whole: after a connection is lost during commit nobody can tell
        whether it was kept.

        Raises:
            TransientError: the last attempt failed too.
        """
        delay = 0.02
        for attempt in range(1, attempts + 1):
            try:
                async with self.transaction() as unit:
                    return await work(unit)
            except TransientError:
                if attempt == attempts:
                    raise
            await asyncio.sleep(delay)
            delay = min(delay * 2, 1.0)
        raise ValueError("attempts must be at least 1")

    async def health(self) -> list[DatabaseHealth]:
        """Say of each database whether it answers, its versions, its pool and its latency; never raises for one down."""
        self._require_open()
        return [await self._health(engine) for engine in self._engines.values()]

    async def _health(self, engine: Engine) -> DatabaseHealth:
        health = await engine.health()
        if not health.reachable:
            return health
        try:
            states = await self._migrator(engine).status()
        except OrcheoSqlError as error:
            return msgspec.structs.replace(health, error=str(error))
        return msgspec.structs.replace(
            health, schema_version=sum(s.applied_at is not None for s in states)
        )

    def _migrator(self, engine: Engine) -> Migrator:
        dsn = self.settings.postgres_migration_dsn
        return Migrator(
            engine, dsn=dsn.get_secret_value() if dsn and engine.dialect == "postgres" else None
        )

    @property
    def current(self) -> Transaction | None:
        """The unit of work that is open in this task."""
        unit = self._current.get()
        return unit if unit is not None and unit.is_open else None

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """Guard statements that may conflict: on its own, a statement that fails leaves nothing behind."""
        return _no_guard()

    def engine(self, subsystem: Subsystem) -> Engine:
        """Return the engine that a subsystem lives on."""
        self._require_open()
        return self._engines[self.settings.location(subsystem)]

    def query_class(self, subsystem: Subsystem) -> type[BoundQueries]:
        """Return the class of a subsystem's queries in its dialect."""
        return self._query_classes[self.engine(subsystem).dialect][SUBSYSTEMS[subsystem]]

    def _executor(self, subsystem: Subsystem) -> Executor:
        return _Direct(self, self.engine(subsystem))

    def _require_open(self) -> None:
        if not self._engines:
            raise TransactionError(
                "the database is not open: use `async with Database() as db:` or `await db.open()`"
            )


@asynccontextmanager
async def _no_guard() -> AsyncIterator[None]:
    yield


class _Direct:
    """Runs each query on its own."""

    __slots__ = ("_database", "_engine", "dialect")

    def __init__(self, database: Database, engine: Engine):
        self._database = database
        self._engine = engine
        self.dialect = engine.dialect

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        if query.writes and self._database.current is not None:
            raise TransactionError(
                f"{query.name} writes beside the unit of work that is open in this task: use the unit's repositories"
            )
        return await self._engine.execute(query, params)


class _Frame:
    """One level of a unit of work: the transaction itself, or a savepoint in it."""

    __slots__ = ("failed", "opened", "stack")

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.opened = False
        self.failed: str | None = None


class Transaction(_Unit):
    """A unit of work: the same repositories as the database, committed together.

    A database error inside it leaves only one way out: back. A nested `transaction` is a savepoint, and a way back
    that keeps what came before. This holds on both databases alike.
    """

    def __init__(self, database: Database):
        super().__init__(database)
        self.now = database.now
        self.is_open = False
        self._engine: Engine | None = None
        self._session: EngineTransaction | None = None
        self._frames: list[_Frame] = []
        self._beginning = asyncio.Lock()

    @property
    def in_transaction(self) -> bool:
        """True, in whichever task it is used."""
        return True

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Self]:
        """Keep the unit open; for `Database.transaction`."""
        self.is_open = True
        try:
            async with self._level():
                yield self
        finally:
            self.is_open = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Self]:
        """Open a savepoint: what happens inside is kept when the block ends, undone when it raises."""
        if not self.is_open:
            raise TransactionError("this unit of work is over")
        async with self._level():
            yield self

    @asynccontextmanager
    async def _level(self) -> AsyncIterator[None]:
        frame = _Frame()
        self._frames.append(frame)
        try:
            async with frame.stack:
                yield
                if frame.failed is not None:
                    raise TransactionError(
                        f"the unit of work was rolled back: {frame.failed} failed in it and the error was swallowed"
                    )
        finally:
            self._frames.pop()

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """Guard statements that may conflict with a savepoint."""
        return self._level()

    def _executor(self, subsystem: Subsystem) -> Executor:
        return _Joined(self, self._database.engine(subsystem))

    async def session(self, engine: Engine) -> EngineTransaction:
        """Return the open transaction on an engine; begin it, or the savepoints that are due, first."""
        if not self.is_open:
            raise TransactionError("this unit of work is over")
        if self._engine is not None and self._engine is not engine:
            raise CrossDatabaseError(
                f"this unit of work is on {self._engine.location}; it can't include {engine.location} as well "
                "(keep the subsystems in one database, or use two units of work)"
            )
        failed = next((frame.failed for frame in self._frames if frame.failed), None)
        if failed is not None:
            raise TransactionError(f"{failed} failed: this unit of work can only be rolled back")
        if self._session is None or not self._frames[-1].opened:
            async with self._beginning:
                await self._begin(engine)
        assert self._session is not None
        return self._session

    async def _begin(self, engine: Engine) -> None:
        for frame in self._frames:
            if frame.opened:
                continue
            if self._session is None:
                self._engine = engine
                self._session = await frame.stack.enter_async_context(engine.transaction())
            else:
                await frame.stack.enter_async_context(self._session.savepoint())
            frame.opened = True

    def fail(self, query: str) -> None:
        """Remember that a statement failed: until the way back to the last savepoint nothing else can run."""
        self._frames[-1].failed = query


class _Joined:
    """Runs queries inside a unit of work."""

    __slots__ = ("_engine", "_unit", "dialect")

    def __init__(self, unit: Transaction, engine: Engine):
        self._unit = unit
        self._engine = engine
        self.dialect = engine.dialect

    async def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Any:
        session = await self._unit.session(self._engine)
        try:
            return await session.execute(query, params)
        except (StoreError, asyncio.CancelledError):
            self._unit.fail(query.name)
            raise


def make_engine(
    settings: Settings, location: Location, observation: Observation, *, look_only: bool = False
) -> Engine:
    """Describe the engine of a location; nothing is opened. With `look_only` no file is created or changed."""
    if location.dialect == "sqlite":
        from .engines.sqlite import SqliteEngine

        return SqliteEngine(
            location.path,
            observation=observation,
            readers=settings.sqlite_readers,
            busy_timeout=settings.sqlite_busy_timeout_seconds,
            statement_timeout=settings.statement_timeout_seconds,
            look_only=look_only,
        )
    from .engines.postgres import PostgresEngine

    if location.dsn is None:  # pragma: no cover - a PostgreSQL location has one by construction
        raise ConnectionLostError("no DSN", dialect="postgres")
    return PostgresEngine(
        location.dsn.get_secret_value(),
        location=str(location),
        observation=observation,
        min_size=settings.postgres_pool_min_size,
        max_size=settings.postgres_pool_max_size,
        pool_timeout=settings.postgres_pool_timeout,
        max_idle=settings.postgres_pool_max_idle,
        statement_timeout=settings.statement_timeout_seconds,
        lock_timeout=settings.lock_timeout_seconds,
        connect_timeout=settings.postgres_connect_timeout_seconds,
        pooler=settings.postgres_pooler,
    )
