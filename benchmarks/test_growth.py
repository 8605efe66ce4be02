"""Reads at several sizes of the database, in turns: they take as long among a million runs as among a thousand.

What is compared are reads of the same few places, again and again: as many rows and pages are in memory at each size, so
what grows is what has to be looked at. Reads of places where nobody has been are told beside them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.stage import Stage, replay, replay_timer

from orcheo_sql.bench.measure import MORE_CHANCES, SIMPLE_P95_SECONDS, Samples, in_turns
from orcheo_sql.bench.operations import OPERATIONS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from benchmarks.stage import Verdicts

    from orcheo_sql.bench.measure import Operation

READS = [operation for operation in OPERATIONS if not operation.writes]
WARM_UP_ROUNDS = 2
PLACES = 10
"""As many as readers of one database look at in the same moment, at random places of it."""


@pytest.fixture(scope="module")
def stages(
    request: pytest.FixtureRequest,
    runner: asyncio.Runner,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], list[Stage]]]:
    """Return the stages of a dialect, one for each scale, smallest first."""
    scales = request.config.getoption("--growth")
    if not scales:
        pytest.skip("to compare sizes: --growth 1000,100000,1000000")
    opened: dict[str, list[Stage]] = {}

    def of(dialect: str) -> list[Stage]:
        if dialect not in opened:
            server = request.getfixturevalue("postgres_server") if dialect == "postgres" else None
            opened[dialect] = [
                Stage(
                    runner,
                    dialect,
                    scale=scale,
                    samples=request.config.getoption("--samples"),
                    folder=tmp_path_factory.mktemp(f"{dialect}-{scale}"),
                    server=server,
                )
                for scale in scales
            ]
        return opened[dialect]

    yield of
    for stage in (each for several in opened.values() for each in several):
        stage.close()


async def measured(stages: list[Stage], operation: Operation, *, places: int) -> list[Samples]:
    """Read so many places of each stage, at random; each as often as there are samples for."""
    turns = stages[0].samples
    prepared = [list(await operation.prepare(stage.data, places)) for stage in stages]
    return await in_turns(
        [f"{stage.data.scale.runs:,} runs" for stage in stages],
        [
            partial(_call, operation, stage, given)
            for stage, given in zip(stages, prepared, strict=True)
        ],
        turns + (WARM_UP_ROUNDS * places if places < turns else 0),
        warm_up=WARM_UP_ROUNDS * places if places < turns else 0,
    )


async def _call(operation: Operation, stage: Stage, given: list[Any], turn: int) -> None:
    await operation.call(stage.data.db, given[turn % len(given)])


def growth_of(found: list[Samples]) -> float:
    """Return how many times as long it takes, where it takes longest, as in the smallest."""
    return max(each.p50 for each in found) / found[0].p50


@pytest.mark.parametrize(
    ("dialect", "operation"),
    [
        pytest.param(
            dialect,
            operation,
            id=f"{dialect}-{operation.name}",
            marks=pytest.mark.benchmark(group=f"{dialect}: growth", timer=replay_timer),
        )
        for dialect in ("sqlite", "postgres")
        for operation in READS
    ],
)
def test_growth(
    stages: Callable[[str], list[Stage]],
    verdicts: Verdicts,
    benchmark: Any,
    dialect: str,
    operation: Operation,
) -> None:
    opened = stages(dialect)
    runner, samples = opened[0].run, opened[0].samples
    cold = runner(measured(opened, operation, places=samples))
    found = runner(measured(opened, operation, places=min(PLACES, samples)))
    for _ in range(MORE_CHANCES):
        if growth_of(found) > operation.growth:
            again = runner(measured(opened, operation, places=min(PLACES, samples)))
            found = min(found, again, key=growth_of)
    replay(benchmark, found[-1])
    largest, growth = found[-1], growth_of(found)
    benchmark.extra_info["p50 by scale"] = {each.name: each.p50 for each in found}
    benchmark.extra_info["p50 of new places by scale"] = {each.name: each.p50 for each in cold}
    misses = []
    if growth > operation.growth:
        misses.append(
            f"takes up to {growth:.2f} x as long as with {found[0].name}, {operation.growth:g} x are fine"
        )
    slowest = max(largest.p95, cold[-1].p95)
    if slowest > SIMPLE_P95_SECONDS:
        misses.append(f"p95 is {slowest * 1000:.0f} ms with {largest.name}, 100 ms are fine")
    verdicts.note(
        f"{dialect}: growth of {operation.name}",
        ", ".join(
            f"{each.name} {each.p50 * 1000:.3f} ms (new places {new.p50 * 1000:.3f})"
            for each, new in zip(found, cold, strict=True)
        ),
        misses,
    )
