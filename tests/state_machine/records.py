"""Two databases asked the same, for subsystems whose state machine is small; the test's own model says what is right."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from orcheo_sql import Database, OrcheoSqlError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

START = datetime(2026, 1, 2, 3, 4, 5, 999_998, tzinfo=UTC)


class Both:
    """SQLite and PostgreSQL, side by side, with one clock that moves only when told to."""

    def __init__(self, sqlite: dict[str, Any], postgres: dict[str, Any]):
        self.time = START
        self._path = sqlite["database_path"]
        self._loop = asyncio.new_event_loop()
        self.all = [Database(clock=lambda: self.time, **each) for each in (sqlite, postgres)]
        for database in self.all:
            self._loop.run_until_complete(database.open())

    def close(self) -> None:
        for database in self.all:
            self._loop.run_until_complete(database.close())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def advance(self, microseconds: int) -> None:
        self.time += timedelta(microseconds=microseconds)

    def each(self, work: Callable[[Database], Awaitable[Any]]) -> list[Any]:
        """Do something on each, and return what each said as plain data; an error as its class and text."""
        return [self.ask(database, work) for database in self.all]

    def ask(self, database: Database, work: Callable[[Database], Awaitable[Any]]) -> Any:
        """Do something on one of them, and return what it said."""
        return self._loop.run_until_complete(_outcome(work, database))

    def same(self, work: Callable[[Database], Awaitable[Any]]) -> Any:
        """Do something on each, see that both say the same, and return it."""
        sqlite, postgres = self.each(work)
        assert sqlite == postgres
        return sqlite

    def check_file(self) -> None:
        """See that the SQLite file is sound, search indexes included, and that foreign keys hold."""
        with contextlib.closing(sqlite3.connect(self._path, isolation_level=None)) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert raw.execute("PRAGMA foreign_key_check").fetchall() == []


async def _outcome(work: Callable[[Database], Awaitable[Any]], database: Database) -> Any:
    try:
        return msgspec.to_builtins(await work(database))
    except OrcheoSqlError as error:
        return type(error).__name__, str(error)


def drive(machine: type[Any], both: Both, *, examples: int, steps: int) -> None:
    """Run a machine, deterministic as it stands."""
    how = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    made: Any = type(machine.__name__, (machine,), {"both": both})
    run_state_machine_as_test(seed(1)(made), settings=how)
