"""How samples become figures and verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from orcheo_sql import Database
from orcheo_sql.bench.capture import Shadow
from orcheo_sql.bench.data import Data
from orcheo_sql.bench.measure import Measured, Operation, Samples, in_turns, measure
from orcheo_sql.bench.mix import OursMix, run_mix


async def nothing(*_: Any) -> Any:
    return []


def operation(**given: Any) -> Operation:
    return Operation("workflows.some", nothing, nothing, **given)


def measured(ours: list[float], raw: list[float], **given: Any) -> Measured:
    return Measured(operation(**given), "sqlite", Samples("ours", ours), [Samples("raw", raw)])


def test_percentiles_are_samples() -> None:
    samples = Samples("x", [float(n) for n in range(100, 0, -1)])
    assert (samples.p50, samples.p95, samples.p99) == (50.5, 95.0, 99.0)
    assert Samples("x", [3.0]).p95 == 3.0


def test_a_miss_says_what_it_is() -> None:
    assert measured([0.0015], [0.001]).misses() == []
    assert measured([0.0016], [0.001]).misses() == ["takes 1.60 x raw, 1.5 x are fine"]
    assert measured([0.0016], [0.001], limit=None).misses() == []
    slow = [0.001] * 90 + [0.2] * 10
    assert measured(slow, slow).misses() == ["p95 is 200 ms, 100 ms are fine"]
    assert measured(slow, slow, walks=frozenset({"sqlite"})).misses() == []


async def test_all_have_as_many_turns() -> None:
    turns: list[tuple[int, int]] = []

    def call(who: int) -> Any:
        async def one(turn: int) -> None:
            turns.append((who, turn))

        return one

    samples = await in_turns(["a", "b", "c"], [call(n) for n in range(3)], 12, warm_up=2)
    assert [len(s.seconds) for s in samples] == [10, 10, 10]
    assert sorted(turns) == [(who, turn) for who in range(3) for turn in range(12)]
    first = [turns[3 * turn][0] for turn in range(12)]
    assert {first.count(who) for who in range(3)} == {4}, "each begins as often"


async def test_a_shadow_sends_nothing(db: Database) -> None:
    data = Data(db)
    version = await data.new_version()
    before = (await db.workflows.count_runs_by_status()).total
    call = await Shadow(db).first_call(lambda shadow: Data(shadow).new_run(version))
    assert call.query.name == "workflows.insert_run"
    assert call.argument("triggered_by") == "manual"
    assert (await db.workflows.count_runs_by_status()).total == before


async def test_a_miss_is_measured_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def prepare(_data: Data, count: int) -> list[None]:
        asked.append(count)
        return [None] * count

    found = Operation("workflows.list", prepare, lambda db, _: db.workflows.list_workflows())
    monkeypatch.setattr("orcheo_sql.bench.measure.SIMPLE_P95_SECONDS", 0.0)
    await measure(found, Data(db), [], 5)
    assert len(asked) == 3


async def test_the_write_mix_writes_what_it_says(db: Database) -> None:
    data = Data(db)
    result = await run_mix(OursMix(data), clients=4, rounds=2)
    assert (result.errors, len(result.writes.seconds)) == (0, 8 * 13)
    assert 0 < result.fairness <= 1
    assert (await db.workflows.count_runs_by_status()).succeeded == 8
    histories = await db.history.list_histories(str(data._workflows[-1]), include_steps=True)
    assert [len(h.steps) for h in histories] == [10] * 8
    await data.clean_up()
    assert (await db.workflows.count_runs_by_status()).total == 0
    assert await db.workflows.list_workflows(include_archived=True) == []
