"""The write mix: many clients, each of which creates a run, starts it, appends ten steps and lets it succeed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from .capture import Shadow
from .data import STEP, Data
from .measure import Samples

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .capture import Call
    from .raw import Raw

STEPS = 10
SHARE_OF_RAW = 1.3
"""How many times as much the raw driver may do."""
WRITES = 3 + STEPS
"""Writes of one round: create, start, steps, succeed. The history is there before."""


@dataclass
class MixResult:
    """What many clients got done together."""

    name: str
    clients: int
    seconds: float
    writes: Samples
    errors: list[str]
    fairness: float
    """How long the client took that was done first, as a share of how long the last one took."""

    def misses(self, raw: MixResult | None) -> list[str]:
        """Return what was promised and is not true."""
        found = []
        if raw is not None and self.per_second * SHARE_OF_RAW < raw.per_second:
            found.append(f"does {self.per_second:,.0f} writes/s, {raw.name} {raw.per_second:,.0f}")
        if self.errors:
            found.append(f"{len(self.errors)} errors, the first: {self.errors[0]}")
        return found

    @property
    def per_second(self) -> float:
        """Writes per second, of all clients together."""
        return len(self.writes.seconds) / self.seconds


class Mix(Protocol):
    """One way to write the mix."""

    @property
    def name(self) -> str: ...

    async def prepare(self, count: int) -> Sequence[Any]:
        """Make what `count` rounds need."""
        ...

    async def round(self, given: Any, write: Callable[[Awaitable[Any]], Awaitable[Any]]) -> None:
        """Go through one round; `write` takes the time of each write."""
        ...


class OursMix:
    """The mix through the repositories."""

    name = "orcheo-sql"

    def __init__(self, data: Data):
        self._data = data

    async def prepare(self, count: int) -> Sequence[Any]:
        """Make what `count` rounds need."""
        version = await self._data.new_version()
        return [(version, execution) for execution in await self._data.new_executions(count)]

    async def round(self, given: Any, write: Callable[[Awaitable[Any]], Awaitable[Any]]) -> None:
        """Go through one round; `write` takes the time of each write."""
        db, (version, execution) = self._data.db, given
        run = await write(self._data.new_run(version))
        await write(db.workflows.mark_run_started(run.id, actor="bench"))
        for _ in range(STEPS):
            await write(db.history.append_step(execution, STEP))
        await write(db.workflows.mark_run_succeeded(run.id, actor="bench", output={"answer": 42}))


class RawMix:
    """The same statements through a driver alone."""

    def __init__(self, data: Data, raw: Raw):
        self.name = raw.name
        self._ours = OursMix(data)
        self._shadow = Shadow(data.db)
        self._raw = raw

    async def prepare(self, count: int) -> Sequence[Any]:
        """Make what `count` rounds need, statements included."""
        return [await self._calls(given) for given in await self._ours.prepare(count)]

    async def _calls(self, given: Any) -> list[Call]:
        version, execution = given
        first = self._shadow.first_call
        created = await first(lambda db: Data(db).new_run(version))
        run = created.argument("id")
        return [
            created,
            await first(lambda db: db.workflows.mark_run_started(run, actor="bench")),
            *[
                await first(lambda db: db.history.append_step(execution, STEP))
                for _ in range(STEPS)
            ],
            await first(
                lambda db: db.workflows.mark_run_succeeded(
                    run, actor="bench", output={"answer": 42}
                )
            ),
        ]

    async def round(self, given: Any, write: Callable[[Awaitable[Any]], Awaitable[Any]]) -> None:
        """Go through one round."""
        for call in given:
            await write(self._raw.run(call))


async def run_mix(mix: Mix, *, clients: int, rounds: int) -> MixResult:
    """Let clients go through rounds at the same time, and measure every write."""
    prepared = list(await mix.prepare(clients * rounds))
    samples, done = Samples(mix.name), []
    errors: list[str] = []
    clock = time.perf_counter

    async def write(work: Awaitable[Any]) -> Any:
        started = clock()
        result = await work
        samples.seconds.append(clock() - started)
        return result

    async def client(number: int) -> None:
        for given in prepared[number::clients]:
            try:
                await mix.round(given, write)
            except Exception as error:  # noqa: BLE001 - counted, whatever it is
                errors.append(f"{type(error).__name__}: {error}")
        done.append(clock() - begun)

    begun = clock()
    await asyncio.gather(*(client(n) for n in range(clients)))
    seconds = clock() - begun
    return MixResult(
        mix.name, clients, seconds, samples, errors, min(done, default=seconds) / seconds
    )


async def compare_mixes(mixes: Sequence[Mix], *, clients: int, blocks: int = 3) -> list[MixResult]:
    """Let each go in turns, and return the median block of each: a disk is not as fast at one time as at another."""
    found: list[list[MixResult]] = [[] for _ in mixes]
    for block in range(blocks + 1):
        for number, mix in _turn(mixes, block):
            result = await run_mix(
                mix, clients=clients, rounds=1 if clients > 200 or not block else 2
            )
            found[number].append(result)
    return [_median(results) for results in found]


def _turn(mixes: Sequence[Mix], block: int) -> Sequence[tuple[int, Mix]]:
    """Return who comes first this time."""
    numbered = list(enumerate(mixes))
    return numbered if block % 2 else numbered[::-1]


def _median(results: Sequence[MixResult]) -> MixResult:
    """Return the median block but for the first, which warms up, with the errors of all."""
    counted = sorted(results[1:], key=lambda r: r.per_second)
    median = counted[len(counted) // 2]
    return replace(median, errors=[error for result in results for error in result.errors])
