"""Samples of one operation and of its limits, taken in turns."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from .capture import Shadow
from .raw import RawAiosqlite, Typed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from .._database import Database
    from .capture import Call
    from .data import Data
    from .raw import Raw

WARM_UP = 10
MORE_CHANCES = 2

# What a call may take at most, as a multiple of the raw call (docs/performance.md).
SINGLE_LIMIT = {"postgres": 1.25, "sqlite": 1.5}
LIST_LIMIT = {"postgres": 1.5, "sqlite": 1.5}
FLAT = 1.5
SIMPLE_P95_SECONDS = 0.1
"""What 95 of 100 simple calls may take, at every size of the database."""


@dataclass(frozen=True)
class Operation:
    """One operation to measure.

    `prepare` finds or makes what a number of calls need, `call` is one of them with one of those.
    """

    name: str
    prepare: Callable[[Data, int], Awaitable[Sequence[Any]]]
    call: Callable[[Database, Any], Awaitable[Any]]
    limit: Mapping[str, float] | None = field(default_factory=lambda: SINGLE_LIMIT)
    """The largest ratio to the raw call that is fine, by dialect; None to only report it."""
    raw_call: Callable[[Database, Any], Awaitable[Any]] | None = None
    """A call whose statement is the limit, where the first one that `call` sends is not."""
    typed: bool = False
    """The limit returns values of their types on SQLite too, whose driver returns texts: `raw.Typed`."""
    whole: bool = False
    """The limit is all that it sends: statements that read, and one at the end that may write."""
    writes: bool = False
    growth: float = FLAT
    """How many times as long it may take among a million runs as among a thousand."""
    takes_from_others: bool = False
    """It works on whatever the database holds, or others would work on what it makes: only for a database of its own."""


@dataclass
class Samples:
    """Seconds that calls took."""

    name: str
    seconds: list[float] = field(default_factory=list)

    @property
    def p50(self) -> float:
        return median(self.seconds) if self.seconds else 0.0

    def percentile(self, percent: float) -> float:
        """Return the smallest sample that so many percent do not exceed."""
        ordered = sorted(self.seconds) or [0.0]
        return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]

    @property
    def p95(self) -> float:
        return self.percentile(95)

    @property
    def p99(self) -> float:
        return self.percentile(99)


@dataclass
class Measured:
    """An operation beside its limits."""

    operation: Operation
    dialect: str
    ours: Samples
    raws: list[Samples]
    """Of each raw driver; the first is the limit."""

    @property
    def ratio(self) -> float | None:
        """How long our median call takes, as a multiple of the limit's."""
        return self.ours.p50 / self.raws[0].p50 if self.raws else None

    @property
    def limit(self) -> float | None:
        """The largest ratio that is fine."""
        return self.operation.limit[self.dialect] if self.operation.limit else None

    def misses(self) -> list[str]:
        """Return what was promised and is not true."""
        found = []
        if self.limit is not None and self.ratio is not None and self.ratio > self.limit:
            found.append(f"takes {self.ratio:.2f} x {self.raws[0].name}, {self.limit:g} x are fine")
        if self.ours.p95 > SIMPLE_P95_SECONDS:
            found.append(f"p95 is {self.ours.p95 * 1000:.0f} ms, 100 ms are fine")
        return found


async def measure(operation: Operation, data: Data, raws: Sequence[Raw], calls: int) -> Measured:
    """Take samples of our call and of each raw one; a miss is measured again, for machines are noisy."""
    found = await _measure_once(operation, data, raws, calls)
    for _ in range(MORE_CHANCES):
        if not found.misses():
            break
        again = await _measure_once(operation, data, raws, calls)
        found = min(found, again, key=lambda m: (len(m.misses()), m.ratio or 0.0))
    return found


async def _measure_once(
    operation: Operation, data: Data, raws: Sequence[Raw], calls: int
) -> Measured:
    database, shadow = data.db, Shadow(data.db, reads=operation.whole)
    if operation.typed and raws and isinstance(raws[0], RawAiosqlite):
        raws = [Typed(raws[0]), *raws]
    raw_call = operation.raw_call or operation.call
    each = calls + WARM_UP
    prepared = list(await operation.prepare(data, each * (1 + len(raws))))
    ours = prepared[:each]
    captured = [
        [
            await shadow.calls(lambda db, one=one: raw_call(db, one))  # type: ignore[misc]
            for one in prepared[each * (n + 1) : each * (n + 2)]
        ]
        for n in range(len(raws))
    ]
    samples = await in_turns(
        ["orcheo-sql", *(raw.name for raw in raws)],
        [
            lambda turn: operation.call(database, ours[turn]),
            *(
                lambda turn, raw=raw, calls=calls: _run_all(raw, calls[turn])
                for raw, calls in zip(raws, captured, strict=True)
            ),
        ],
        each,
        warm_up=WARM_UP,
    )
    dialect = raws[0].dialect if raws else "sqlite"
    return Measured(operation, dialect, samples[0], samples[1:])


async def _run_all(raw: Raw, calls: Sequence[Call]) -> None:
    for call in calls:
        await raw.run(call)


async def in_turns(
    names: Sequence[str],
    calls: Sequence[Callable[[int], Awaitable[Any]]],
    turns: int,
    *,
    warm_up: int = 0,
) -> list[Samples]:
    """Let each call have its turn, again and again, and return how long each took; the first turns don't count."""
    samples = [Samples(name) for name in names]
    clock = time.perf_counter
    gc.collect()
    gc.disable()
    try:
        for turn in range(turns):
            for who in _order(turn, len(calls)):
                call = calls[who]
                started = clock()
                await call(turn)
                taken = clock() - started
                if turn >= warm_up:
                    samples[who].seconds.append(taken)
    finally:
        gc.enable()
    return samples


def _order(turn: int, count: int) -> list[int]:
    """Return who comes first this time: each follows each other one equally often."""
    shifted = [(n + turn) % count for n in range(count)]
    return shifted if (turn // count) % 2 else shifted[::-1]
