"""Runs found again: by workflow, status, trigger, time and content; counted and pruned."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import (
    MISSING,
    NOON,
    Clock,
    finished_run,
    follow,
    lead_to,
    new_run,
    run_names,
    workflow_with_version,
)

from orcheo_sql import (
    Database,
    RunStatusCounts,
    ValidationError,
    WorkflowNotFoundError,
    WorkflowRunNotFoundError,
    WorkflowRunStatus,
)

if TYPE_CHECKING:
    from orcheo_sql import WorkflowRun

SECOND = dt.timedelta(seconds=1)


# --- Of one workflow ---------------------------------------------------------------------------


async def test_runs_of_a_workflow_are_listed_newest_first(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    await new_run(timed, await workflow_with_version(timed))
    runs = []
    for _ in range(4):
        runs.append(await new_run(timed, version))
        clock.tick()
    moved = await lead_to(timed, runs[0], "succeeded")
    expected = [*reversed(runs[1:]), moved]
    listed = timed.workflows.list_runs_for_workflow
    assert await listed(version.workflow_id) == expected
    assert await listed(version.workflow_id, limit=None) == expected
    assert await listed(version.workflow_id, limit=2) == expected[:2]
    assert await listed(version.workflow_id, limit=0) == []
    assert await listed(version.workflow_id, limit=100_000) == expected


async def test_the_runs_of_a_missing_workflow_cannot_be_listed(db: Database) -> None:
    for limit in (None, 0, 5):
        with pytest.raises(WorkflowNotFoundError, match=f"^{MISSING}$"):
            await db.workflows.list_runs_for_workflow(MISSING, limit=limit)


async def test_the_runs_of_an_archived_workflow_can_be_listed(db: Database) -> None:
    version = await workflow_with_version(db)
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []
    run = await new_run(db, version)
    await db.workflows.archive_workflow(version.workflow_id, actor="ada")
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == [run]


@pytest.mark.parametrize("limit", [-1, -(10**20), True, "5", 2.0, 2**31])
async def test_a_limit_is_a_number_from_zero(db: Database, limit: Any) -> None:
    version = await workflow_with_version(db)
    with pytest.raises(ValidationError, match="limit must"):
        await db.workflows.list_runs_for_workflow(version.workflow_id, limit=limit)
    with pytest.raises(ValidationError, match="limit must"):
        await db.workflows.prune_runs(created_before=NOON, limit=limit)


# --- By status, trigger and time ---------------------------------------------------------------


async def runs_of_many_kinds(db: Database, clock: Clock) -> dict[str, Any]:
    """Store eight runs, a second apart: `a` to `f` of one workflow, `x` and `y` of another."""
    mine = await workflow_with_version(db, "Mine")
    theirs = await workflow_with_version(db, "Theirs")
    plan = [
        ("a", mine, "cron", "succeeded"),
        ("b", mine, "manual", "pending"),
        ("x", theirs, "cron", "failed"),
        ("c", mine, "cron", "failed"),
        ("d", mine, "webhook", "running"),
        ("y", theirs, "manual", "pending"),
        ("e", mine, "cron", "pending"),
        ("f", mine, "manual", "cancelled"),
    ]
    times = {}
    for name, version, trigger, status in plan:
        times[name] = clock.tick()
        run = await new_run(db, version, {"name": name}, triggered_by=trigger)
        await lead_to(db, run, status)
    return {"mine": mine.workflow_id, "theirs": theirs.workflow_id, "times": times}


async def test_runs_are_found_by_workflow_status_and_trigger(timed: Database, clock: Clock) -> None:
    made = await runs_of_many_kinds(timed, clock)
    mine, theirs = made["mine"], made["theirs"]
    for conditions, expected in [
        ({}, "f e y d c x b a"),
        ({"workflow_id": mine}, "f e d c b a"),
        ({"workflow_id": str(theirs)}, "y x"),
        ({"workflow_id": MISSING}, ""),
        ({"status": "pending"}, "e y b"),
        ({"status": WorkflowRunStatus.FAILED}, "c x"),
        ({"triggered_by": "cron"}, "e c x a"),
        ({"triggered_by": "Cron"}, ""),
        ({"triggered_by": "cro"}, ""),
        ({"triggered_by": "' OR 1=1 --"}, ""),
        ({"workflow_id": mine, "status": "pending"}, "e b"),
        ({"workflow_id": mine, "triggered_by": "cron"}, "e c a"),
        ({"status": "failed", "triggered_by": "cron"}, "c x"),
        ({"status": "failed", "triggered_by": "manual"}, ""),
        ({"workflow_id": mine, "status": "failed", "triggered_by": "cron"}, "c"),
        ({"workflow_id": theirs, "status": "failed", "triggered_by": "cron"}, "x"),
        ({"workflow_id": theirs, "status": "running", "triggered_by": "cron"}, ""),
    ]:
        assert await run_names(timed, **conditions) == expected, conditions


async def test_runs_are_found_by_the_time_of_their_creation(timed: Database, clock: Clock) -> None:
    made = await runs_of_many_kinds(timed, clock)
    at = made["times"]
    micro = dt.timedelta(microseconds=1)
    for conditions, expected in [
        ({"created_from": at["d"]}, "f e y d"),
        ({"created_from": at["d"] + micro}, "f e y"),
        ({"created_before": at["d"]}, "c x b a"),
        ({"created_before": at["d"] + micro}, "d c x b a"),
        ({"created_from": at["c"], "created_before": at["e"]}, "y d c"),
        ({"created_from": at["e"], "created_before": at["c"]}, ""),
        ({"created_from": at["c"], "created_before": at["c"]}, ""),
        ({"created_from": at["f"] + SECOND}, ""),
        ({"created_from": at["x"], "created_before": at["f"], "status": "pending"}, "e y"),
        ({"created_from": at["x"], "triggered_by": "cron"}, "e c x"),
        ({"created_before": at["e"], "workflow_id": made["mine"]}, "d c b a"),
        ({"created_from": at["b"], "created_before": at["e"], "workflow_id": made["mine"],
          "status": "failed"}, "c"),
    ]:  # fmt: skip
        assert await run_names(timed, **conditions) == expected, conditions
    tokyo = dt.timezone(dt.timedelta(hours=9))
    assert await run_names(timed, created_from=at["e"].astimezone(tokyo)) == "f e"
    assert await run_names(timed, created_from=at["e"].replace(tzinfo=None)) == "f e"


async def test_a_page_within_a_window_leads_on_within_it(timed: Database, clock: Clock) -> None:
    made = await runs_of_many_kinds(timed, clock)
    at = made["times"]
    window = {"created_from": at["b"], "created_before": at["e"]}
    pages = await follow(partial(timed.workflows.page_runs, **window, limit=2))
    found = ["".join(run.input_payload["name"] for run in items) for items in pages]
    assert found == ["yd", "cx", "b"]


async def test_conditions_that_are_none_are_refused(db: Database) -> None:
    for wrong in (
        {"status": "done"},
        {"status": 1},
        {"triggered_by": 1},
        {"triggered_by": "\0"},
        {"workflow_id": "x"},
        {"created_from": "2026-01-01"},
        {"created_before": 0},
        {"created_from": dt.date(2026, 1, 1)},
    ):
        with pytest.raises(ValidationError):
            await db.workflows.page_runs(**wrong)
    with pytest.raises(ValidationError):
        await db.workflows.prune_runs(created_before="2026-01-01")  # type: ignore[arg-type]


async def test_the_ends_of_the_calendar_are_times_like_others(db: Database) -> None:
    run = await new_run(db, await workflow_with_version(db), {"name": "a"})
    west, east = (dt.timezone(dt.timedelta(hours=h)) for h in (-12, 14))
    first, last = dt.datetime(1, 1, 1), dt.datetime.max  # noqa: DTZ001, DTZ901
    for early in (first, first.replace(tzinfo=dt.UTC), first.replace(tzinfo=west)):
        assert await run_names(db, created_from=early) == "a"
        assert await run_names(db, created_before=early) == ""
        assert await db.workflows.prune_runs(created_before=early) == 0
    for late in (last, last.replace(tzinfo=dt.UTC), last.replace(tzinfo=east)):
        assert await run_names(db, created_from=late) == ""
        assert await run_names(db, created_before=late) == "a"
    for outside in (first.replace(tzinfo=east), last.replace(tzinfo=west)):
        for field in ("created_from", "created_before"):
            with pytest.raises(ValidationError, match="out of range in UTC"):
                await run_names(db, **{field: outside})
        with pytest.raises(ValidationError, match="out of range in UTC"):
            await db.workflows.prune_runs(created_before=outside)
    await lead_to(db, run, "failed")
    assert await db.workflows.prune_runs(created_before=last) == 1


# --- Counts ------------------------------------------------------------------------------------


async def test_runs_are_counted_by_status(timed: Database, clock: Clock) -> None:
    assert await timed.workflows.count_runs_by_status() == RunStatusCounts()
    made = await runs_of_many_kinds(timed, clock)
    every = await timed.workflows.count_runs_by_status()
    assert every == RunStatusCounts(pending=3, running=1, succeeded=1, failed=2, cancelled=1)
    assert every.total == 8
    theirs = await timed.workflows.count_runs_by_status(workflow_id=made["theirs"])
    assert theirs == RunStatusCounts(pending=1, failed=1)
    nobody = await timed.workflows.count_runs_by_status(workflow_id=MISSING)
    assert nobody.total == 0


# --- Pruning -----------------------------------------------------------------------------------


async def test_pruning_deletes_old_finished_runs_only(timed: Database, clock: Clock) -> None:
    made = await runs_of_many_kinds(timed, clock)
    pruned = await timed.workflows.prune_runs(created_before=made["times"]["f"])
    assert pruned == 3
    assert await run_names(timed) == "f e y d b"
    assert await timed.workflows.prune_runs(created_before=made["times"]["f"]) == 0
    assert await timed.workflows.prune_runs(created_before=clock.at + SECOND) == 1
    assert await run_names(timed) == "e y d b"


async def test_pruning_goes_in_batches_oldest_first(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    for name in "abcde":
        clock.tick()
        await finished_run(timed, version, payload={"name": name})
    end = clock.tick()
    assert await timed.workflows.prune_runs(created_before=end, limit=0) == 0
    assert await timed.workflows.prune_runs(created_before=end, limit=2) == 2
    assert await run_names(timed) == "e d c"
    assert await timed.workflows.prune_runs(created_before=end, limit=2) == 2
    assert await timed.workflows.prune_runs(created_before=end, limit=2) == 1
    assert await run_names(timed) == ""


async def test_a_pruned_run_is_gone_with_all_that_belonged_to_it(
    db: Database, settings_of: dict[str, Any]
) -> None:
    from tests.repositories.factories import rows

    version = await workflow_with_version(db)
    run: WorkflowRun = await finished_run(db, version, payload={"name": "a", "w": "xylophone"})
    assert await db.workflows.prune_runs(created_before=dt.datetime.now(dt.UTC) + SECOND) == 1
    with pytest.raises(WorkflowRunNotFoundError):
        await db.workflows.get_run(run.id)
    assert (await db.workflows.search_runs("xylophone")).items == []
    assert (await db.workflows.page_audit_records(run.id)).items == []
    for table in ("workflow_run_inputs", "workflow_run_outputs", "workflow_run_search"):
        assert await rows(settings_of, f"SELECT count(*) FROM {table}") == [(0,)]
    assert await db.workflows.get_version(version.id) == version
