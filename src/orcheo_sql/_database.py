"""The database: what a backend opens, and the unit of work it hands out."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ._catalog import load_catalog
from ._errors import (
    ConnectionLostError,
    DatabaseClosedError,
    PendingMigrationsError,
    TransactionError,
    TransientError,
    ValidationError,
)
from ._migrate import VERSION_QUERY, Migrator
from ._queries import bound_classes
from ._sealing import Sealer, derived_key, key_file, random_key
from ._transaction import Transaction, Unit, unit_of
from .engines.base import DatabaseHealth, Observation
from .engines.waiting import Backoff
from .rules.listeners import LISTENER_PLATFORMS, add_listener_platform
from .settings import Subsystem, load_settings
from .structs import utc_now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ._queries import BoundQueries
    from .credentials import CredentialHealthService
    from .engines.base import CompiledQuery, Executor, Observer
    from .engines.postgres import PostgresEngine
    from .engines.sqlite import SqliteEngine
    from .repositories.base import Clock
    from .settings import Location, Settings

    Engine = SqliteEngine | PostgresEngine

T = TypeVar("T")

# The subsystems that exist, with the name that the folder of SQL and the repository of each have.
SUBSYSTEMS: Mapping[Subsystem, str] = {Subsystem.WORKFLOWS: "workflows"}


class Database(Unit):
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
        listener_platforms: Mapping[str, Iterable[str]] | None = None,
        look_only: bool = False,
        **overrides: Any,
    ):
        """Describe a database.

        Args:
            settings: from `load_settings`; read from the environment and ``.env`` when None.
            observer: called with a `QueryTiming` after each query, in the event loop: keep it short.
            credentials: asked before a run is created; see `credentials.CredentialHealthService`.
            clock: gives the time that is written; aware and in UTC.
            listener_platforms: platforms of plugins beside telegram, discord and qq, each with its aliases.
            look_only: for tools that inspect: the schema is verified and not migrated, and of SQLite no file is
                created or changed.
            overrides: single settings by name, such as ``database_path=…``; only without `settings`.

        Raises:
            ConfigError: a setting is wrong.
            ValidationError: a platform is blank or known already.
        """
        super().__init__(self)
        if settings is not None and overrides:
            raise TypeError("give settings, or single settings by name, not both")
        self.settings = settings or load_settings(**overrides)
        self.credentials = credentials
        self.now = clock
        self.listener_platforms = LISTENER_PLATFORMS
        for platform, aliases in (listener_platforms or {}).items():
            self.listener_platforms = add_listener_platform(
                self.listener_platforms, platform, aliases
            )
        self._look_only = look_only
        self._observation = Observation(self.settings.slow_query_seconds, observer)
        self._engines: dict[Location, Engine] = {}
        self._query_classes: dict[str, Mapping[str, type[BoundQueries]]] = {}
        self._sealers: dict[Location, Sealer] = {}
        self._is_open = False
        self._opening = asyncio.Lock()

    async def open(self) -> Self:
        """Connect and bring the schema up to date (or, without auto-migrate, verify it).

        Raises:
            ConfigError: a database can't be used: it is no database, does not exist, or refuses us.
            ConnectionLostError: a database can't be reached.
            MigrationError: its schema is pending, newer, edited or foreign.
            QueryError: a query of the override folder does not fit.
        """
        async with self._opening:
            if self._is_open:
                return self
            try:
                for subsystem in SUBSYSTEMS:
                    location = self.settings.location(subsystem)
                    if location not in self._engines:
                        await self._open_engine(location)
            except BaseException:
                await self._close()
                raise
            self._is_open = True
        return self

    async def _open_engine(self, location: Location) -> None:
        migrates = self.settings.auto_migrate and not self._look_only
        if not migrates and location.path is not None and not location.path.exists():
            raise PendingMigrationsError(
                f"{location} does not exist yet; run: orcheo-sql migrate up"
            )
        engine = make_engine(self.settings, location, self._observation, look_only=self._look_only)
        if location.dialect not in self._query_classes:
            catalog = load_catalog(location.dialect, overrides=self.settings.sql_override_dir)
            self._query_classes[location.dialect] = bound_classes(catalog)
        await engine.open()
        self._engines[location] = engine
        migrator = self._migrator(engine)
        if not migrates:
            await migrator.verify()
        elif await migrator.up():
            await engine.migrated()

    async def close(self) -> None:
        """Let running work end (for ten seconds, then it is ended), and give every connection back.

        What has not begun is refused with DatabaseClosedError. The object can be opened again.

        Raises:
            TransactionError: this task is inside a unit of work, which would never end.
        """
        if self.current is not None:
            raise TransactionError("a unit of work is open in this task: leave it before closing")
        await self._close()

    async def _close(self) -> None:
        engines, self._engines = self._engines, {}
        self._is_open = False
        for name in SUBSYSTEMS.values():
            self.__dict__.pop(name, None)  # the repositories belong to the engines
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
        async with Transaction(self).run() as unit:
            yield unit

    async def retry(self, work: Callable[[Transaction], Awaitable[T]], *, attempts: int = 5) -> T:
        """Run `work` in a unit of work, again when it fails for a passing reason (`TransientError`).

        Only for work that is safe to repeat as a whole: after a connection is lost during commit nobody can tell
        whether it was kept.

        Raises:
            TransientError: the last attempt failed too.
            TransactionError: this task is inside a unit of work already.
        """
        if attempts < 1:
            raise ValidationError(f"attempts must be at least 1, got {attempts}")
        backoff = Backoff(first=0.02, longest=1.0)
        while True:
            attempts -= 1
            try:
                async with self.transaction() as unit:
                    return await work(unit)
            except TransientError:
                if not attempts:
                    raise
            await backoff.pause()

    async def health(self) -> list[DatabaseHealth]:
        """Say of each database whether it answers, its versions, its pool and its latency; never raises for one down."""
        self._require_open()
        engines = self._engines.values()
        return await asyncio.gather(*(engine.health(VERSION_QUERY) for engine in engines))

    def _migrator(self, engine: Engine) -> Migrator:
        dsn = self.settings.postgres_migration_dsn
        return Migrator(
            engine, dsn=dsn.get_secret_value() if dsn and engine.dialect == "postgres" else None
        )

    def sealer(self, subsystem: Subsystem) -> Sealer:
        """Return what seals the secrets of a subsystem's database."""
        location = self.settings.location(subsystem)
        if location not in self._sealers:
            self._sealers[location] = Sealer(partial(_load_key, self.settings, location))
        return self._sealers[location]

    @property
    def current(self) -> Transaction | None:
        """The unit of work that is open in this task."""
        return unit_of(self)

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
            raise DatabaseClosedError(
                "the database is not open: use `async with Database() as db:` or `await db.open()`"
            )


@asynccontextmanager
async def _no_guard() -> AsyncIterator[None]:
    yield


def _load_key(settings: Settings, location: Location) -> bytes | None:
    """Return the key of a database's secrets: the one that is set, or else one that the database's file has beside it."""
    if settings.vault_encryption_key is not None:
        return derived_key(settings.vault_encryption_key.get_secret_value())
    if location.path is not None:
        return key_file(location.path.with_name(f"{location.path.name}.key"))
    return random_key() if location.dialect == "sqlite" else None


class _Direct:
    """Runs each query on its own."""

    __slots__ = ("_database", "_engine", "dialect")

    def __init__(self, database: Database, engine: Engine):
        self._database = database
        self._engine = engine
        self.dialect = engine.dialect

    def execute(self, query: CompiledQuery, params: Mapping[str, Any]) -> Awaitable[Any]:
        if query.writes and unit_of(self._database) is not None:
            raise TransactionError(
                f"{query.name} writes beside the unit of work that is open in this task: use the unit's repositories"
            )
        return self._engine.execute(query, params)


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
        location.dsn.get_secret_value,
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
