"""The write mix: many clients, each of which creates a run, starts it, appends ten steps and lets it succeed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .measure import Samples
from .operations.history import STEP
from .operations.workflows import new_run, version_for_all

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from .._database import Database
    from .capture import Call, Shadow
    from .raw import Raw

STEPS = 10
WRITES = 3 + STEPS
"""Writes of one round: create, start, steps, succeed. The history is there before."""


@dataclass
class MixResult:
    """What many clients got done together."""

    name: str
    clients: int
    seconds: float
    writes: Samples
    errors: int
    slowest_client: float
    """Seconds until the last client was done, as a share of the whole."""
    quickest_client: float

    @property
    def per_second(self) -> float:
        return len(self.writes.seconds) / self.seconds


class OursMix:
    """The mix through the repositories."""

    def __init__(self, database: Database):
        self.name = "orcheo-sql"
        self._db = database

    async def prepare(self, count: int) -> Sequence[Any]:
        """Make what `count` rounds need."""
        db = self._db
        versions = await version_for_all(db, count)
        executions = [uuid4().hex for _ in range(count)]
        for execution in executions:
            await db.history.start_run(workflow_id="bench", execution_id=execution)
        return list(zip(versions, executions, strict=True))

    async def round(self, given: Any, write: Callable[[Awaitable[Any]], Awaitable[Any]]) -> None:
        """Go through one round; `write` takes the time of each write."""
        db, (version, execution) = self._db, given
        run = await write(new_run(db, version))
        await write(db.workflows.mark_run_started(run.id, actor="bench"))
        for _ in range(STEPS):
            await write(db.history.append_step(execution, STEP))
        await write(db.workflows.mark_run_succeeded(run.id, actor="bench", output={"answer": 42}))


class RawMix:
    """The same statements through a driver alone."""

    def __init__(self, database: Database, shadow: Shadow, raw: Raw):
        self.name = raw.name
        self._ours = OursMix(database)
        self._shadow = shadow
        self._raw = raw

    async def prepare(self, count: int) -> Sequence[Any]:
        """Make what `count` rounds need, statements included."""
        return [await self._calls(given) for given in await self._ours.prepare(count)]

    async def _calls(self, given: Any) -> list[Call]:
        version, execution = given
        first = self._shadow.first_call
        created = await first(lambda db: new_run(db, version))
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


async def run_mix(mix: OursMix | RawMix, *, clients: int, rounds: int) -> MixResult:
    """Let clients go through rounds at the same time, and measure every write."""
    prepared = list(await mix.prepare(clients * rounds))
    samples, done = Samples(mix.name), []
    errors = 0
    clock = time.perf_counter

    async def write(work: Awaitable[Any]) -> Any:
        started = clock()
        result = await work
        samples.seconds.append(clock() - started)
        return result

    async def client(number: int) -> None:
        nonlocal errors
        for given in prepared[number::clients]:
            try:
                await mix.round(given, write)
            except Exception:  # noqa: BLE001 - counted, whatever it is
                errors += 1
        done.append(clock() - begun)

    begun = clock()
    await asyncio.gather(*(client(n) for n in range(clients)))
    seconds = clock() - begun
    return MixResult(
        mix.name, clients, seconds, samples, errors, max(done) / seconds, min(done) / seconds
    )
