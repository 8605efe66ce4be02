"""Where benchmarks run: an open database with a data set, the raw drivers beside it, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from benchmarks.datasets import postgres_dataset, sqlite_dataset
from benchmarks.seeded import SeededData
from tests.fixtures.databases import postgres_settings

from orcheo_sql import Database
from orcheo_sql.bench.measure import Measured, Operation, measure
from orcheo_sql.bench.raw import RawAiosqlite, RawPsycopg, RawSqlite3

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Sequence
    from pathlib import Path

    from orcheo_sql.bench.measure import Samples
    from orcheo_sql.bench.raw import Raw
    from orcheo_sql.check.scratch_postgres import ScratchPostgres

T = TypeVar("T")

POOL = 16
"""Connections of the pool, ours and the raw one's, where many clients work at once."""


class Stage:
    """One dialect, with its data set of one scale."""

    def __init__(
        self,
        runner: asyncio.Runner,
        dialect: str,
        *,
        scale: int,
        samples: int,
        folder: Path,
        server: ScratchPostgres | None,
    ):
        self._runner = runner
        self.dialect = dialect
        self.samples = samples
        self._server = server
        self._measured: dict[str, Measured] = {}
        self._closing: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self.raws: Sequence[Raw]
        if server is None:
            self.path = sqlite_dataset(scale, folder)
            settings: dict[str, Any] = {"database_path": self.path}
            self.raws = [RawAiosqlite(self.path), RawSqlite3(self.path)]
        else:
            self.dsn = postgres_dataset(scale, server)
            settings = postgres_settings(self.dsn)
            settings |= {"postgres_pool_max_size": POOL}
            self.raws = [RawPsycopg(self.dsn, POOL)]
        self.data = SeededData(Database(**settings), scale)
        self.run(self._open())

    async def _open(self) -> None:
        await self.data.db.open()
        for raw in self.raws:
            await raw.open()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the event loop."""
        return self._runner.run(work)

    def raws_of_many(self) -> Sequence[Raw]:
        """Return raw drivers for many clients at once: a pool that has grown once is not that of one client any more."""
        if self.dialect == "sqlite":
            return self.raws
        pool = RawPsycopg(self.dsn, POOL)
        self.run(pool.open())
        self.at_close(pool.close)
        return [pool]

    def measured(self, operation: Operation) -> Measured:
        """Measure an operation beside the raw drivers, once."""
        if operation.name not in self._measured:
            self._measured[operation.name] = self.run(
                measure(operation, self.data, self.raws, self.samples)
            )
        return self._measured[operation.name]

    def at_close(self, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something else closed too."""
        self._closing.append(close)

    def close(self) -> None:
        """Close what is open, and drop a database that was made."""
        self.run(self._close())
        if self._server is not None:
            self._server.drop_database(self.dsn)
        else:
            # pytest keeps its folders for a while, and this may be gigabytes.
            for file in self.path.parent.glob(f"{self.path.name}*"):
                file.unlink()

    async def _close(self) -> None:
        for close in self._closing:
            await close()
        for raw in self.raws:
            await raw.close()
        await self.data.db.close()


@dataclass
class Verdicts:
    """What was promised, and what is true."""

    gate: bool
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def note(self, name: str, figures: str, misses: Sequence[str]) -> None:
        """Keep one line of the closing table; fail the test when something is missed."""
        self.rows.append((name, figures, "; ".join(misses) or "ok"))
        if misses and self.gate:
            pytest.fail(f"{name} {'; '.join(misses)}", pytrace=False)

    def table(self) -> str:
        """Return the closing table."""
        name = max(len(row[0]) for row in self.rows)
        figures = max(len(row[1]) for row in self.rows)
        return "\n".join(f"{n:<{name}}  {f:<{figures}}  {v}" for n, f, v in self.rows)


class Replay:
    """A timer that tells samples taken before: `pytest-benchmark` measures one thing at a time, we take turns."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def load(self, samples: Samples) -> int:
        """Take the samples of one, and return how many they are."""
        self._times = [time for seconds in samples.seconds for time in (0.0, seconds)][::-1]
        return len(samples.seconds)

    def __call__(self) -> float:
        return self._times.pop()


replay_timer = Replay()


def replay(benchmark: Any, samples: Samples) -> None:
    """Hand samples over to pytest-benchmark, of a test that is marked with our timer."""
    rounds = replay_timer.load(samples)
    benchmark.pedantic(lambda: None, rounds=rounds, iterations=1)
    benchmark.extra_info["p95"] = samples.p95
