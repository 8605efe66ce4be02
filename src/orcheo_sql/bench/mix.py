"""The write mix: many clients, each of which creates a run, starts it, appends ten steps and lets it succeed."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass, replace
from statistics import median
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
WARM_UP = 4
"""Rounds that do not count: until then the pool grows, and statements are prepared and then planned once for all."""
MANY = 200
"""Clients of which one round is as much as several of fewer."""


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
    ratio: float = 1.0
    """How many times as many writes per second it does as the first it is compared with: the median of all turns."""

    def misses(self, raw: MixResult | None) -> list[str]:
        """Return what was promised and is not true."""
        found = []
        if raw is not None and raw.ratio > SHARE_OF_RAW:
            found.append(
                f"does {self.per_second:,.0f} writes/s, {raw.name} {raw.ratio:.2f} x as many, "
                f"{SHARE_OF_RAW:g} x are fine"
            )
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


async def compare_mixes(
    mixes: Sequence[Mix], *, clients: int, turns: int = 5, warm_up: int = WARM_UP
) -> list[MixResult]:
    """Let each go in turns, and return the median block of each.

    A disk, and a machine that others use too, is not as fast at one time as at another. So who is compared goes at
    about the same time: the ratio is the median of the turns' ratios, not that of two medians.
    """
    found: list[list[MixResult]] = [[] for _ in mixes]
    for turn in range(turns + 1):
        rounds = 1 if clients > MANY else 2 if turn else warm_up
        for number, mix in _order(mixes, turn):
            found[number].append(await run_mix(mix, clients=clients, rounds=rounds))
    return [_median(results, found[0]) for results in found]


def _order(mixes: Sequence[Mix], turn: int) -> Sequence[tuple[int, Mix]]:
    """Return who comes first this time."""
    numbered = list(enumerate(mixes))
    return numbered if turn % 2 else numbered[::-1]


def _median(results: Sequence[MixResult], first: Sequence[MixResult]) -> MixResult:
    """Return the median block but for the one that warms up, with the errors of all."""
    counted = sorted(results[1:], key=lambda r: r.per_second)
    ratios = [
        its.per_second / of.per_second if of.per_second else math.inf
        for its, of in zip(results[1:], first[1:], strict=True)
    ]
    return replace(
        counted[len(counted) // 2],
        errors=[error for result in results for error in result.errors],
        ratio=median(ratios),
    )
