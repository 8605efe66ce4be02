"""Each hot operation beside the same SQL through the raw driver, in turns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.stage import replay, replay_timer

from orcheo_sql.bench.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stage import Stage, Verdicts

    from orcheo_sql.bench.measure import Operation

RUNNERS = {"sqlite": ("ours", "aiosqlite", "sqlite3"), "postgres": ("ours", "psycopg")}
CASES = [
    pytest.param(
        dialect,
        operation,
        number,
        id=f"{dialect}-{operation.name}-{who}",
        marks=pytest.mark.benchmark(group=f"{dialect}: {operation.name}", timer=replay_timer),
    )
    for dialect, runners in RUNNERS.items()
    for operation in OPERATIONS
    for number, who in enumerate(runners)
]


@pytest.mark.parametrize(("dialect", "operation", "number"), CASES)
def test_operation(
    stage: Callable[..., Stage],
    verdicts: Verdicts,
    benchmark: Any,
    dialect: str,
    operation: Operation,
    number: int,
) -> None:
    measured = stage(dialect).measured(operation)
    runners = [measured.ours, *measured.raws[-len(RUNNERS[dialect]) + 1 :]]
    samples = runners[number]
    replay(benchmark, samples)
    if number:
        return
    benchmark.extra_info["ratio"] = measured.ratio
    limit = f" of {measured.limit:g}" if measured.limit else ""
    verdicts.note(
        f"{dialect}: {operation.name}",
        f"p50 {samples.p50 * 1000:.2f} ms, p95 {samples.p95 * 1000:.2f} ms, "
        f"{measured.ratio:.2f} x {measured.raws[0].name}{limit}",
        measured.misses(),
    )
