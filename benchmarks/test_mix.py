"""Many clients at once: create a run, start it, append ten steps, let it succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.stage import replay, replay_timer

from orcheo_sql.bench.mix import Mix, MixResult, OursMix, RawMix, compare_mixes
from orcheo_sql.engines import sqlite_group

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stage import Stage, Verdicts

CLIENTS = (100, 500)
RUNNERS = {
    "sqlite": ("ours", "aiosqlite", "sqlite3", "apart"),
    "postgres": ("ours", "psycopg"),
}
"""`apart` is ours with each write in a transaction of its own: what group commit gains."""
WRITES_PER_SECOND = {("postgres", 100): 1000.0, ("sqlite", 100): 5000.0}
"""What is aimed for on two cores that the server shares."""
FAIR = 0.5
"""The client that is done first takes at least this share of the time of the last."""


_results: dict[tuple[str, int], list[MixResult]] = {}


def results(stage: Stage, clients: int) -> list[MixResult]:
    key = stage.dialect, clients
    if key not in _results:
        mixes: list[Mix] = [
            OursMix(stage.data),
            *(RawMix(stage.data, raw) for raw in stage.raws_of_many()),
        ]
        _results[key] = stage.run(compare_mixes(mixes, clients=clients))
        if stage.dialect == "sqlite":
            together, sqlite_group.MOST_TOGETHER = sqlite_group.MOST_TOGETHER, 1
            try:
                _results[key] += stage.run(compare_mixes([OursMix(stage.data)], clients=clients))
            finally:
                sqlite_group.MOST_TOGETHER = together
    return _results[key]


@pytest.mark.parametrize(
    ("dialect", "clients", "number"),
    [
        pytest.param(
            dialect,
            clients,
            number,
            id=f"{dialect}-{clients}-{who}",
            marks=pytest.mark.benchmark(
                group=f"{dialect}: write mix of {clients} clients", timer=replay_timer
            ),
        )
        for dialect, runners in RUNNERS.items()
        for clients in CLIENTS
        for number, who in enumerate(runners)
    ],
)
def test_mix(
    stage: Callable[..., Stage],
    verdicts: Verdicts,
    benchmark: Any,
    dialect: str,
    clients: int,
    number: int,
) -> None:
    found = results(stage(dialect, "mix"), clients)
    result = found[number]
    replay(benchmark, result.writes)
    benchmark.extra_info["writes_per_second"] = result.per_second
    benchmark.extra_info["fairness"] = result.fairness
    assert not result.errors
    if number:
        return
    raw = found[1]
    misses = result.misses(raw)
    aim = WRITES_PER_SECOND.get((dialect, clients), 0.0)
    if result.per_second < aim:
        misses.append(f"does {result.per_second:,.0f} writes/s, {aim:,.0f} are the aim")
    if result.fairness < FAIR:
        misses.append(f"is unfair: one client took {result.fairness:.2f} of another's time")
    apart = f", without group commit {found[-1].per_second:,.0f}" if dialect == "sqlite" else ""
    verdicts.note(
        f"{dialect}: write mix of {clients} clients",
        f"{result.per_second:,.0f} writes/s, {raw.name} {raw.per_second:,.0f} ({raw.ratio:.2f} x)"
        f"{apart}; p50 {result.writes.p50 * 1000:.0f}, p95 {result.writes.p95 * 1000:.0f}, p99 "
        f"{result.writes.p99 * 1000:.0f} ms; fairness {result.fairness:.2f}",
        misses,
    )
