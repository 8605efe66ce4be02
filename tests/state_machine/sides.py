"""The two databases and the model behind one call: run it on all three, and any difference is a failure.

Ids are made equal: the library's `uuid4` is replaced, for the test, by one that gives each database and the model the
same ids in the same order. So what is compared includes the order of entities of equal age, and page cursors.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sqlite3
import sys
import uuid
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
from tests.state_machine.model import Model
from tests.state_machine.model_search import Term, Wanted
from tests.state_machine.model_values import Refused

from orcheo_sql import Database, JsonFilter, OrcheoSqlError, Page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from orcheo_sql import Transaction, WorkflowRepository

START = datetime(2026, 1, 2, 3, 4, 5, 999_998, tzinfo=UTC)
LONGEST_WALK = 1000

_DOCUMENTS = frozenset(
    {"graph", "metadata", "runnable_config", "input_payload", "output_payload", "callbacks"}
)
_side: ContextVar[Side] = ContextVar("side")

Outcome = tuple[Any, ...]


class Clock:
    """The time of all three; it moves only when told to."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def advance(self, microseconds: int) -> None:
        self.time += timedelta(microseconds=microseconds)


class Ids:
    """Ids that depend on nothing but how many were asked for, and come in no order."""

    def __init__(self) -> None:
        self.step = 0
        self.taken = 0

    def __call__(self) -> uuid.UUID:
        self.taken += 1
        digest = hashlib.blake2b(f"{self.step}/{self.taken}".encode(), digest_size=16).digest()
        return uuid.UUID(bytes=digest, version=4)

    def restart(self, step: int) -> None:
        self.step, self.taken = step, 0


class _Undone(Exception):
    """Leaves a unit of work without keeping it."""


class Credentials:
    """A credential service that finds fault with the workflows it is told to."""

    def __init__(self) -> None:
        self.unhealthy: set[uuid.UUID] = set()

    async def ensure_workflow_health(
        self, workflow_id: uuid.UUID, *, actor: str | None = None
    ) -> Any:
        return _Report(workflow_id, workflow_id not in self.unhealthy)


@dataclass
class _Report:
    workflow_id: uuid.UUID
    is_healthy: bool
    failures: Sequence[str] = ("expired", "revoked")


@dataclass
class Side:
    """One database, with the units of work that are open on it."""

    database: Database
    ids: Ids = field(default_factory=Ids)
    context: Context = field(default_factory=copy_context)
    units: list[tuple[AbstractAsyncContextManager[Transaction], Transaction]] = field(
        default_factory=list
    )
    last_unit: Transaction | None = None

    def __post_init__(self) -> None:
        self.context.run(_side.set, self)

    @property
    def unit(self) -> Database | Transaction:
        return self.units[-1][1] if self.units else self.database

    async def begin(self) -> None:
        manager = self.unit.transaction()
        self.units.append((manager, await manager.__aenter__()))

    async def end(self, *, keep: bool) -> None:
        manager, unit = self.units.pop()
        self.last_unit = unit
        if keep:
            await manager.__aexit__(None, None, None)
            return
        undone = _Undone()
        with contextlib.suppress(_Undone):
            await manager.__aexit__(_Undone, undone, None)

    async def outcome(self, work: Callable[[Side], Awaitable[Any]]) -> Outcome:
        try:
            return "value", comparable(await work(self))
        except Exception as error:  # whatever it is: the model decides whether it belongs there
            kind = type(error)
            known = isinstance(error, OrcheoSqlError)
            return "error", kind.__name__ if known else repr(error), str(error)


class Sides:
    """SQLite, PostgreSQL and the model, side by side."""

    def __init__(
        self, sqlite: dict[str, Any], postgres: dict[str, Any], model: type[Model] = Model
    ):
        self.clock = Clock()
        self.ids = Ids()
        self._model = model
        self.model = model(self.clock, self.ids)
        self.credentials = Credentials()
        self.calls = 0
        self._path, self._dsn = sqlite["database_path"], postgres["postgres_dsn"]
        self._loop = asyncio.new_event_loop()
        self.all = [
            Side(Database(clock=self.clock, credentials=self.credentials, **settings))
            for settings in (sqlite, postgres)
        ]

    def open(self) -> None:
        self._together(side.database.open() for side in self.all)

    def close(self) -> None:
        self._together(side.database.close() for side in self.all)
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def start_over(self) -> None:
        """Empty everything, through the library."""
        while self.all[0].units:
            self._together(side.end(keep=False) for side in self.all)
        for side in self.all:
            side.last_unit = None
        self._together(side.database.workflows.reset() for side in self.all)
        self.clock.time = START
        self.calls = 0
        self.model = self._model(self.clock, self.ids)
        self.credentials.unhealthy = self.model.unhealthy = set()

    def check_files(self) -> None:
        """See that the SQLite file is sound, its search index included, and that foreign keys hold."""
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
            for index in ("workflow_search_index", "workflow_run_search_index"):
                raw.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")

    def check_emptiness(self) -> None:
        """See that nothing outlived the workflow it belonged to."""
        with contextlib.closing(sqlite3.connect(self._path)) as raw:
            sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%search_index%'"
            self._count(raw, [name for (name,) in raw.execute(sql)])
        with psycopg.connect(self._dsn) as connection:
            sql = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
            self._count(connection, [name for (name,) in connection.execute(sql)])

    def write_beside(self, sqlite: str, postgres: str, *values: Any) -> None:
        """Change both databases behind the library's back."""
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as raw:
            raw.execute(sqlite, values)
        with psycopg.connect(self._dsn) as connection:
            connection.execute(postgres, values)

    @staticmethod
    def _count(connection: Any, tables: list[str]) -> None:
        assert len(tables) > 5
        counts = {t: connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}
        left = {t: n for t, n in counts.items() if n and t != "orcheo_migrations"}
        assert not left, f"rows without their workflow: {left}"

    def _together(self, works: Iterator[Coroutine[Any, Any, Any]]) -> list[Any]:
        async def run() -> list[Any]:
            # A unit of work belongs to a context, so all tasks of a side share one.
            tasks = [
                self._loop.create_task(work, context=side.context)
                for side, work in zip(self.all, works, strict=True)
            ]
            return await asyncio.gather(*tasks)

        return self._loop.run_until_complete(run())

    def compare(
        self, what: str, work: Callable[[Side], Awaitable[Any]], expected: Callable[[], Any]
    ) -> Outcome:
        """Run on all three what is one call to each, and return the outcome."""
        self.calls += 1
        for ids in (self.ids, *(side.ids for side in self.all)):
            ids.restart(self.calls)
        wanted = modelled(expected)
        sqlite, postgres = self._together(side.outcome(work) for side in self.all)
        same(what, SQLite=sqlite, PostgreSQL=postgres)
        same(what, databases=sqlite, model=wanted)
        return wanted

    def call(self, method: str, *args: Any, **kwargs: Any) -> Outcome:
        """Call one method of the repositories, of the innermost unit of work if one is open."""
        given = {name: for_library(value) for name, value in kwargs.items()}
        positional = [for_library(value) for value in args]
        return self.compare(
            method,
            lambda side: _method(side.unit.workflows, method)(*positional, **given),
            lambda: getattr(self.model, method)(*args, **kwargs),
        )

    def walk(self, method: str, *args: Any, limit: int, **kwargs: Any) -> None:
        """Read a paged list to its end, and compare it with the model's whole list."""
        wanted = modelled(lambda: getattr(self.model, method)(*args, **kwargs))
        given = {name: for_library(value) for name, value in kwargs.items()}
        positional = [for_library(value) for value in args]
        rows: list[Any] = []
        cursor: str | None = None
        for _ in range(LONGEST_WALK):
            self.calls += 1

            def page(side: Side, cursor: str | None = cursor) -> Awaitable[Page[Any]]:
                read = _method(side.unit.workflows, method)
                return read(*positional, **given, limit=limit, cursor=cursor)

            sqlite, postgres = self._together(side.outcome(page) for side in self.all)
            same(method, SQLite=sqlite, PostgreSQL=postgres)
            if "error" in (sqlite[0], wanted[0]):
                return same(method, databases=sqlite, model=wanted)
            assert sqlite[1]["items"] or cursor is None, f"{method}: a cursor led to nothing"
            items, cursor = sqlite[1]["items"], sqlite[1]["next_cursor"]
            rows += items
            if cursor is None:
                break
            assert len(items) == limit, f"{method}: a page before the last is not full"
        whole = wanted[1] if limit else wanted[1][:0]
        same(method, databases=rows, model=whole)


def same(what: str, **both: Any) -> None:
    """Compare two results by name; a failure shows where they first differ."""
    (left_name, left), (right_name, right) = both.items()
    if left == right:
        return
    where = ""
    while type(left) is type(right) and isinstance(left, dict | list | tuple):
        keys = (
            left.keys() & right.keys()
            if isinstance(left, dict)
            else range(min(len(left), len(right)))
        )
        differing = [key for key in keys if left[key] != right[key]]
        if len(left) != len(right) or not differing:
            break
        left, right = left[differing[0]], right[differing[0]]
        where += f"[{differing[0]!r}]"
    raise AssertionError(f"{what}{where}:\n  {left_name}: {left!r}\n  {right_name}: {right!r}")


def modelled(expected: Callable[[], Any]) -> Outcome:
    try:
        return "value", comparable(expected())
    except Refused as refused:
        return "error", refused.kind, refused.text


def _method(repository: WorkflowRepository, name: str) -> Callable[..., Awaitable[Any]]:
    method: Callable[..., Awaitable[Any]] = getattr(repository, name)
    return method


class Made(dict[str, Any]):
    """A row of the model that the library gets as the struct that it hands out."""

    def __init__(self, struct: type[msgspec.Struct], row: dict[str, Any]):
        super().__init__(row)
        self.struct = struct


def for_library(value: Any) -> Any:
    """Turn the plain data that the model takes into what the library takes."""
    if isinstance(value, Made):
        return msgspec.convert(dict(value), value.struct)
    if isinstance(value, list):
        value = [for_library(item) if isinstance(item, Made) else item for item in value]
    if isinstance(value, Wanted):
        contains = msgspec.UNSET if value.contains is ... else value.contains
        return JsonFilter(contains, value.where)
    if isinstance(value, list) and value and all(isinstance(item, Term) for item in value):
        return " ".join(term.typed() for term in value)
    return value


def comparable(value: Any) -> Any:
    """Return a result as plain data; documents as text, so that the order of their keys counts."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value, builtin_types=(datetime, uuid.UUID))
    if isinstance(value, dict) and "action" in value:
        return {**value, "at": str(value["at"]), "metadata": _text(value["metadata"], sort=True)}
    if isinstance(value, dict):
        return {
            key: _text(item) if key in _DOCUMENTS else comparable(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [comparable(item) for item in value]
    return str(value) if isinstance(value, datetime | uuid.UUID) else value


def _text(document: Any, *, sort: bool = False) -> str:
    return json.dumps(document, sort_keys=sort)


@contextlib.contextmanager
def equal_ids() -> Iterator[None]:
    """Let every module of the library take its ids from the side it works for."""

    def uuid4() -> uuid.UUID:
        return _side.get().ids()

    places = [
        (module, name)
        for key, module in list(sys.modules.items())
        if key.partition(".")[0] == "orcheo_sql"
        for name, value in list(vars(module).items())
        if value is uuid.uuid4
    ]
    for module, name in places:
        setattr(module, name, uuid4)
    try:
        yield
    finally:
        for module, name in places:
            setattr(module, name, uuid.uuid4)
