"""The outbox: each run reaches a worker at least once, and one worker at a time."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import Any

import msgspec
import pytest
from tests.repositories.factories import Clock, lead_to, new_run, workflow_with_version

from orcheo_sql import Database, ValidationError


async def handed_off(db: Database, count: int = 1) -> list[Any]:
    version = await workflow_with_version(db)
    return [await new_run(db, version, {"n": n}, hand_off=True) for n in range(count)]


async def test_only_what_is_handed_off_is_offered(db: Database) -> None:
    version = await workflow_with_version(db)
    await new_run(db, version)
    assert await db.workflows.claim_outbox(consumer="w") == []
    run = await new_run(db, version, hand_off=True)
    [entry] = await db.workflows.claim_outbox(consumer="w")
    assert (entry.run_id, entry.workflow_id, entry.status) == (
        run.id,
        version.workflow_id,
        "pending",
    )
    assert (entry.consumer, entry.attempts, entry.triggered_by) == ("w", 1, "manual")


async def test_a_run_and_its_offer_are_kept_together(db: Database) -> None:
    version = await workflow_with_version(db)

    async def work() -> None:
        async with db.transaction() as unit:
            await new_run(unit, version, hand_off=True)
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    assert (await db.workflows.count_outbox()).total == 0


async def test_claims_are_exclusive_and_in_order(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    runs = []
    for n in range(5):
        clock.tick()
        runs.append(await new_run(timed, version, {"n": n}, hand_off=True))
    first = await timed.workflows.claim_outbox(consumer="a", limit=3)
    second = await timed.workflows.claim_outbox(consumer="b", limit=3)
    assert [e.run_id for e in [*first, *second]] == [run.id for run in runs]
    assert await timed.workflows.claim_outbox(consumer="c") == []
    counts = await timed.workflows.count_outbox()
    assert (counts.total, counts.offered, counts.claimed) == (5, 0, 5)
    assert await timed.workflows.acknowledge_outbox(first) == 3
    assert await timed.workflows.acknowledge_outbox(first) == 0
    assert (await timed.workflows.count_outbox()).total == 2


async def test_a_lease_ends_by_itself_and_fences_whoever_slept(
    timed: Database, clock: Clock
) -> None:
    await handed_off(timed)
    slept = await timed.workflows.claim_outbox(consumer="slow", lease_seconds=30)
    clock.tick(29)
    assert await timed.workflows.claim_outbox(consumer="next") == []
    clock.tick(1)
    [again] = await timed.workflows.claim_outbox(consumer="next")
    assert again.attempts == 2
    assert await timed.workflows.acknowledge_outbox(slept) == 0
    assert await timed.workflows.release_outbox(slept) == 0
    assert await timed.workflows.acknowledge_outbox([again]) == 1


async def test_what_is_given_back_is_offered_again(timed: Database, clock: Clock) -> None:
    await handed_off(timed)
    claimed = await timed.workflows.claim_outbox(consumer="a")
    assert await timed.workflows.release_outbox(claimed, delay_seconds=10) == 1
    assert await timed.workflows.claim_outbox(consumer="a") == []
    clock.tick(10)
    [entry] = await timed.workflows.claim_outbox(consumer="a")
    assert entry.attempts == 2


async def test_a_run_that_nobody_is_at_is_offered_again(timed: Database, clock: Clock) -> None:
    """W-52: acknowledged, and then the worker died before it started the run."""
    started, lost = await handed_off(timed, 2)
    await new_run(timed, await workflow_with_version(timed))  # never handed off
    claimed = await timed.workflows.claim_outbox(consumer="a")
    await timed.workflows.acknowledge_outbox(claimed)
    await lead_to(timed, started, "running")
    clock.tick(60)
    assert await timed.workflows.sweep_outbox(pending_for=61) == 0
    assert await timed.workflows.sweep_outbox(pending_for=dt.timedelta(seconds=30)) == 1
    assert await timed.workflows.sweep_outbox(pending_for=30) == 0
    [entry] = await timed.workflows.claim_outbox(consumer="b")
    assert entry.run_id == lost.id


async def test_many_claim_at_once(settings_of: dict[str, Any]) -> None:
    async with Database(**settings_of) as db, Database(**settings_of) as other:
        runs = await handed_off(db, 60)
        batches = await asyncio.gather(
            *(
                each.workflows.claim_outbox(consumer=f"{n}", limit=5)
                for each in (db, other)
                for n in range(10)
            )
        )
        claimed = [entry.run_id for batch in batches for entry in batch]
        assert len(claimed) == len(set(claimed))
        rest = await db.workflows.claim_outbox(consumer="last", limit=100)
        assert {*claimed, *(e.run_id for e in rest)} == {run.id for run in runs}


async def test_operators_page_through_it(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    runs = []
    for _ in range(5):
        clock.tick()
        runs.append(await new_run(timed, version, hand_off=True))
    first = await timed.workflows.page_outbox(limit=3)
    rest = await timed.workflows.page_outbox(limit=3, cursor=first.next_cursor)
    assert [e.run_id for e in [*first.items, *rest.items]] == [run.id for run in runs]


async def test_what_is_listed_is_no_claim(db: Database) -> None:
    """With what everybody may list, anybody could acknowledge what somebody else is at."""
    await handed_off(db, 2)
    claimed = await db.workflows.claim_outbox(consumer="a", limit=1)
    listed = (await db.workflows.page_outbox()).items
    assert sorted(str(e.consumer) for e in listed) == ["None", "a"]
    assert {e.claim_id for e in listed} == {None}
    for entries in (listed, [*claimed, *listed]):
        for call in (db.workflows.acknowledge_outbox, db.workflows.release_outbox):
            with pytest.raises(ValidationError, match="claim_outbox"):
                await call(entries)
    assert (await db.workflows.count_outbox()).total == 2
    assert await db.workflows.acknowledge_outbox(claimed) == 1


@pytest.mark.parametrize("field", ["run_id", "claim_id"])
@pytest.mark.parametrize("value", ["x", 5, None])
async def test_a_claim_that_was_tampered_with_is_refused(
    db: Database, field: str, value: Any
) -> None:
    await handed_off(db)
    [entry] = await db.workflows.claim_outbox(consumer="a")
    with pytest.raises(ValidationError):
        await db.workflows.acknowledge_outbox([msgspec.structs.replace(entry, **{field: value})])
    assert (await db.workflows.count_outbox()).total == 1


@pytest.mark.parametrize("entries", [None, 5, "ab", [None], [{"run_id": 1}], object()])
async def test_what_are_no_entries_is_said(db: Database, entries: Any) -> None:
    for call in (db.workflows.acknowledge_outbox, db.workflows.release_outbox):
        with pytest.raises(ValidationError, match="entries must be"):
            await call(entries)


async def test_one_entry_is_no_list(db: Database) -> None:
    await handed_off(db)
    [entry] = await db.workflows.claim_outbox(consumer="a")
    with pytest.raises(ValidationError, match="entries must be a list"):
        await db.workflows.acknowledge_outbox(entry)  # type: ignore[arg-type]


async def test_deleting_a_run_takes_its_offer_along(timed: Database, clock: Clock) -> None:
    [run] = await handed_off(timed)
    await timed.workflows.mark_run_cancelled(run.id, actor="ada", reason=None)
    clock.tick()
    assert await timed.workflows.prune_runs(created_before=clock.at) == 1
    assert (await timed.workflows.count_outbox()).total == 0


@pytest.mark.parametrize("seconds", [-1, "1", float("nan"), float("inf"), 10**12, True, None])
async def test_bad_spans_are_refused(db: Database, seconds: Any) -> None:
    for call in (
        db.workflows.claim_outbox(consumer="w", lease_seconds=seconds),
        db.workflows.release_outbox([], delay_seconds=seconds),
        db.workflows.sweep_outbox(pending_for=seconds),
        db.workflows.sweep_stale_runs(stale_for=seconds, actor="ada"),
    ):
        with pytest.raises(ValidationError, match="seconds"):
            await call


async def test_runs_of_dead_workers_are_swept(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    old = [await lead_to(timed, await new_run(timed, version), "running") for _ in range(3)]
    pending = await new_run(timed, version)
    clock.tick(3600)
    fresh = await lead_to(timed, await new_run(timed, version), "running")
    swept = await timed.workflows.sweep_stale_runs(stale_for=3599, limit=2, actor="ada")
    swept += await timed.workflows.sweep_stale_runs(stale_for=3599, limit=2, actor="ada")
    assert {run.id for run in swept} == {run.id for run in old}
    assert {(run.status, run.completed_at) for run in swept} == {("failed", clock.at)}
    assert {run.audit_log[-1].action for run in swept} == {"run_failed"}
    assert len((await timed.workflows.search_runs("abandoned")).items) == 3
    for run in swept:
        assert await timed.workflows.get_run(run.id) == run
    assert (await timed.workflows.get_run(fresh.id)).status == "running"
    [late] = await timed.workflows.sweep_stale_runs(
        stale_for=3599, status="pending", actor="ada", reason="nobody came"
    )
    assert (late.id, late.error) == (pending.id, "nobody came")
    with pytest.raises(ValidationError, match="running or pending"):
        await timed.workflows.sweep_stale_runs(stale_for=1, status="succeeded", actor="ada")
