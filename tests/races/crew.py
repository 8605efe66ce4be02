"""Processes of their own that run jobs at the same instant.

A crew is started once and given one job after the other, since starting eight interpreters takes longer than most
races. Jobs are the coroutine functions of `jobs.py`, and with the name of their module those of others: `cron_jobs.tick`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import traceback
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from orcheo_sql import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.synchronize import Barrier

# Eight processes of four connections stay below the hundred that a server allows unless told otherwise.
POOL = 4
LONGEST_WAIT_SECONDS = 60.0


@dataclass
class Member:
    """What a job knows: who it is, and the database it has opened."""

    number: int
    barrier: Barrier
    db: Database

    def meet(self) -> None:
        """Wait for all the others. Blocks the loop on purpose: all go on within microseconds."""
        self.barrier.wait(LONGEST_WAIT_SECONDS)


async def attempt(work: Awaitable[Any]) -> str:
    """Return "ok", or the class of the error."""
    try:
        await work
    except Exception as error:
        return type(error).__name__
    return "ok"


class Crew:
    """Some processes; `run` gives each of them the same job."""

    def __init__(self, size: int):
        context = multiprocessing.get_context("spawn")
        self.size = size
        self._barrier = context.Barrier(size)
        self._pipes: list[Connection] = []
        self._processes = []
        for number in range(size):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=_work, args=(number, theirs, self._barrier), daemon=True
            )
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def close(self) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(LONGEST_WAIT_SECONDS)
            process.close()

    def begin(self, settings: dict[str, Any], job: str, *args: Any) -> None:
        """Hand out a job and return at once."""
        for pipe in self._pipes:
            pipe.send(({"postgres_pool_max_size": POOL, **settings}, job, args))

    def results(self) -> list[Any]:
        """Wait for the job and return what each process said; raise when it failed in one."""
        answers = [pipe.recv() for pipe in self._pipes]
        failures = [text for failed, text in answers if failed]
        if failures:
            self._barrier.reset()
            # The one that broke the barrier is more telling than those it kept waiting.
            raise AssertionError(min(failures, key=lambda text: "BrokenBarrierError" in text))
        return [result for _, result in answers]

    def run(self, settings: dict[str, Any], job: str, *args: Any) -> list[Any]:
        self.begin(settings, job, *args)
        return self.results()


def _work(number: int, pipe: Connection, barrier: Barrier) -> None:
    while True:
        try:
            settings, job, args = pipe.recv()
        except EOFError:
            return
        try:
            answer = (False, asyncio.run(_do(number, barrier, settings, job, args)))
        except BaseException:
            barrier.abort()
            answer = (True, f"process {number}: {traceback.format_exc()}")
        pipe.send(answer)


async def _do(
    number: int, barrier: Barrier, settings: dict[str, Any], job: str, args: Sequence[Any]
) -> Any:
    module, _, name = job.rpartition(".")
    function = getattr(import_module(f"tests.races.{module or 'jobs'}"), name)
    if getattr(function, "opens_itself", False):
        barrier.wait(LONGEST_WAIT_SECONDS)
        return await function(settings, *args)
    async with Database(**settings) as db:
        member = Member(number, barrier, db)
        member.meet()
        return await function(member, *args)
