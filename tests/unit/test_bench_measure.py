"""How samples become figures and verdicts."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from orcheo_sql import Database
from orcheo_sql.bench import mix
from orcheo_sql.bench.capture import Shadow
from orcheo_sql.bench.data import TAG, Data
from orcheo_sql.bench.measure import Measured, Operation, Samples, in_turns, measure
from orcheo_sql.bench.mix import MixResult, OursMix, compare_mixes, run_mix
from orcheo_sql.bench.operations import OPERATIONS
from orcheo_sql.structs import WebhookTriggerConfig


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


async def test_a_shadow_that_reads_finds_out_what_is_written(db: Database) -> None:
    data = Data(db)
    version = await data.new_version()
    await db.workflows.configure_webhook_trigger(version.workflow_id, WebhookTriggerConfig())
    calls = await Shadow(db, reads=True).calls(
        lambda shadow: shadow.workflows.handle_webhook_trigger(
            version.workflow_id,
            method="POST",
            headers={},
            query_params={},
            payload={},
            source_ip=None,
        )
    )
    names = [call.query.name for call in calls]
    assert names == ["workflows.get_webhook", "workflows.accept_webhook_call"]
    assert (await db.workflows.count_runs_by_status()).total == 0


async def test_a_limit_is_all_that_a_whole_operation_sends() -> None:
    class Driver:
        name = "raw"
        dialect = "sqlite"
        sent: ClassVar[list[str]] = []

        async def run(self, call: Any) -> None:
            self.sent.append(call.query.name)

    async with Database(database_path=":memory:") as db:
        data = Data(db)
        found = Operation(
            "history.get_history",
            lambda data, count: data.executions(count),
            lambda db, e: db.history.get_history(e),
            whole=True,
        )
        raw: Any = Driver()
        await measure(found, data, [raw], 1)
    assert raw.sent[:4] == ["history.get_history", "history.list_steps"] * 2


async def test_what_is_measured_alone_can_be_taken_away_too(db: Database) -> None:
    data = Data(db)
    for each in OPERATIONS:
        if each.takes_from_others:
            for given in await each.prepare(data, 2):
                await each.call(db, given)
    await data.clean_up()
    assert (await db.workflows.count_runs_by_status()).total == 0
    assert (await db.workflows.count_outbox()).total == 0
    assert await db.workflows.list_workflows(include_archived=True) == []
    assert await db.workflows.list_listener_subscriptions() == []
    assert await db.tokens.list_all() == []


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
    assert not result.errors
    assert len(result.writes.seconds) == 8 * 13
    assert 0 < result.fairness <= 1
    assert (await db.workflows.count_runs_by_status()).succeeded == 8
    histories = await db.history.list_histories(str(data._workflows[-1]), include_steps=True)
    assert [len(h.steps) for h in histories] == [10] * 8
    await data.clean_up()
    assert (await db.workflows.count_runs_by_status()).total == 0
    assert await db.workflows.list_workflows(include_archived=True) == []


async def test_errors_of_the_mix_are_told(db: Database) -> None:
    class Broken(OursMix):
        async def round(self, given: Any, write: Any) -> None:
            raise ValueError("out of order")

    mixes = [Broken(Data(db)), OursMix(Data(db))]
    ours, raw = await compare_mixes(mixes, clients=3, turns=2, warm_up=1)
    assert len(ours.errors) == 15, "those of the block that warms up too"
    assert ours.misses(raw)[-1] == "15 errors, the first: ValueError: out of order"
    assert raw.misses(None) == []


async def test_mixes_are_compared_turn_by_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    # Others take the machine: in the second turn all of it, and in the third for the first of the two.
    speeds = {"ours": [1, 100, 10, 10, 100, 100], "raw": [900, 110, 11, 110, 110, 110]}
    order: list[str] = []

    async def block(who: Any, *, clients: int, rounds: int) -> MixResult:
        writes = speeds[who][order.count(who)]
        order.append(who)
        return MixResult(who, clients, 1.0, Samples(who, [0.01] * writes), [], 1.0)

    monkeypatch.setattr(mix, "run_mix", block)
    compared: list[Any] = ["ours", "raw"]
    ours, raw = await compare_mixes(compared, clients=1)
    assert order[2:6] == ["ours", "raw", "raw", "ours"], "who goes first takes turns too"
    assert (ours.per_second, raw.per_second) == (100, 110)
    assert (ours.ratio, raw.ratio) == (1.0, 1.1)
    assert ours.misses(raw) == []
    speeds["raw"] = [140] * 6
    order.clear()
    ours, raw = await compare_mixes(compared, clients=1)
    assert ours.misses(raw) == [
        "does 100 writes/s, raw 1.40 x as many, 1.3 x are fine",
    ]


async def test_what_was_left_is_found_and_deleted(db: Database) -> None:
    other = await db.workflows.create_workflow(
        name="Bench",
        slug=None,
        description="Mine",
        tags=[TAG],
        draft_access="personal",
        actor="ada",
    )
    killed = Data(db)
    await killed.new_run(await killed.new_version())
    await killed.new_token()
    await killed.snapshots(1)
    later = Data(db)
    assert await later.find_left_over() == 62
    await later.clean_up()
    assert [w.id for w in await db.workflows.list_workflows(include_archived=True)] == [other.id]
    assert await db.tokens.list_all() == []
    assert await db.snapshots.list_all_runs() == []


async def test_a_workflow_whose_maker_was_cancelled_is_not_forgotten(db: Database) -> None:
    for pauses in range(30):
        data = Data(db)
        task = asyncio.create_task(data.new_workflow())
        await asyncio.sleep(pauses / 10_000)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await data.clean_up()
    assert await db.workflows.list_workflows(include_archived=True) == []


async def test_what_somebody_else_has_deleted_stops_nothing(db: Database) -> None:
    data = Data(db)
    made = [await data.new_workflow() for _ in range(3)]
    await db.workflows.archive_workflow(made[1].id, actor="ada")
    await db.workflows.delete_workflow(made[1].id)
    await data.clean_up()
    assert await db.workflows.list_workflows(include_archived=True) == []
