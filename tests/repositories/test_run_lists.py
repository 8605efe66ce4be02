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
    workflow_with_version,
)

from orcheo_sql import (
    Database,
    JsonFilter,
    JsonFilterError,
    RunStatusCounts,
    ValidationError,
    WorkflowNotFoundError,
    WorkflowRunNotFoundError,
    WorkflowRunStatus,
)

if TYPE_CHECKING:
    from orcheo_sql import WorkflowRun

SECOND = dt.timedelta(seconds=1)


async def names(db: Database, **conditions: Any) -> str:
    """Return the names of the runs that meet the conditions, in their order."""
    page = await db.workflows.page_runs(**conditions)
    assert page.next_cursor is None
    return " ".join(run.input_payload["name"] for run in page.items)


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
        assert await names(timed, **conditions) == expected, conditions


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
        assert await names(timed, **conditions) == expected, conditions
    tokyo = dt.timezone(dt.timedelta(hours=9))
    assert await names(timed, created_from=at["e"].astimezone(tokyo)) == "f e"
    assert await names(timed, created_from=at["e"].replace(tzinfo=None)) == "f e"


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
    for early in (first, first.replace(tzinfo=east), first.replace(tzinfo=west)):
        assert await names(db, created_from=early) == "a"
        assert await names(db, created_before=early) == ""
        assert await db.workflows.prune_runs(created_before=early) == 0
    for late in (last, last.replace(tzinfo=east), last.replace(tzinfo=west)):
        assert await names(db, created_from=late) == ""
        assert await names(db, created_before=late) == "a"
    await lead_to(db, run, "failed")
    assert await db.workflows.prune_runs(created_before=last.replace(tzinfo=west)) == 1


# --- By content --------------------------------------------------------------------------------


async def runs_with_content(db: Database, clock: Clock) -> None:
    version = await workflow_with_version(db)
    inputs: dict[str, dict[str, Any]] = {
        "a": {"tier": "gold", "n": 1, "nested": {"x": [1, {"y": 2}], "z": None}, "tags": ["p", "q"]},
        "b": {"tier": "silver", "n": 2.5, "nested": {"x": []}, "tags": "p"},
        "c": {"tier": "gold", "n": "2.5", "nested": {"x": [1, 2], "z": 0}, "odd.key": {"[0]": True}},
        "d": {"tier": None, "n": 1.0, "tags": [["p"], {"q": 1}], "": {"": 7}},
        "e": {"n": 10**18 + 1, "text": "grün\u0000" + "ß日本", "big": 1e300, "small": -0.0},
    }  # fmt: skip
    for name, payload in inputs.items():
        clock.tick()
        run = await new_run(
            db, version, {"name": name, **payload}, runnable_config={"metadata": {"of": name}}
        )
        if name in "abc":
            await lead_to(db, run, "running")
            await db.workflows.mark_run_succeeded(
                run.id, actor="w", output={"score": ord(name) / 100, "items": [name]}
            )


CONTENT: list[tuple[Any, str]] = [
    ({}, "e d c b a"),
    ({"tier": "gold"}, "c a"),
    ({"tier": None}, "d"),
    ({"n": 1}, "d a"),
    ({"n": 1.0}, "d a"),
    ({"n": "2.5"}, "c"),
    ({"n": 10**18 + 1}, "e"),
    ({"n": 10**18}, ""),
    ({"nested": {}}, "c b a"),
    ({"nested": {"x": []}}, "c b a"),
    ({"nested": {"x": [1]}}, "c a"),
    ({"nested": {"x": [{"y": 2}]}}, "a"),
    ({"nested": {"x": [2, 1, 1]}}, "c"),
    ({"nested": {"x": 1}}, ""),
    ({"nested": {"z": None}}, "a"),
    ({"nested": {"z": False}}, ""),
    ({"tags": ["q"]}, "a"),
    ({"tags": "p"}, "b"),
    ({"tags": [["p"]]}, "d"),
    ({"tags": [{}]}, "d"),
    ({"odd.key": {"[0]": True}}, "c"),
    ({"": {"": 7}}, "d"),
    ({"text": "grün\\u0000ß日本"}, "e"),
    ({"small": 0}, "e"),
    ({"big": 1e300}, "e"),
    ({"tier": "gold", "n": 1}, "a"),
    ({"missing": None}, ""),
    (JsonFilter(where=[("tier", "==", "gold")]), "c a"),
    (JsonFilter(where=[("tier", "!=", "gold")]), "e d b"),
    (JsonFilter(where=[("tier", "exists")]), "d c b a"),
    (JsonFilter(where=[("tier", "missing")]), "e"),
    (JsonFilter(where=[("nested.z", "exists")]), "c a"),
    (JsonFilter(where=[("n", ">", 1)]), "e b"),
    (JsonFilter(where=[("n", ">=", 1)]), "e d b a"),
    (JsonFilter(where=[("n", "<", 2)]), "d a"),
    (JsonFilter(where=[("n", "<=", "3")]), "c"),
    (JsonFilter(where=[("n", "in", [1, "2.5", None])]), "d c a"),
    (JsonFilter(where=[("tier", "in", [None, "silver"])]), "d b"),
    (JsonFilter(where=[("tier", "in", [])]), ""),
    (JsonFilter(where=[("nested.x[1]", "==", 2)]), "c"),
    (JsonFilter(where=[("nested.x[1].y", ">=", 2)]), "a"),
    (JsonFilter(where=[("nested.x", "==", [])]), "b"),
    (JsonFilter(where=[("nested.x", "==", [1, {"y": 2.0}])]), "a"),
    (JsonFilter(where=[('"odd.key"."[0]"', "==", True)]), "c"),
    (JsonFilter(where=[(("odd.key", "[0]"), "exists")]), "c"),
    (JsonFilter(where=[(("", ""), "==", 7)]), "d"),
    (JsonFilter(where=[("tags[0][0]", "==", "p")]), "d"),
    (JsonFilter(where=[("n", ">", 1), ("tier", "missing")]), "e"),
    (JsonFilter(contains={"tier": "gold"}, where=[("nested.z", "==", None)]), "a"),
    (JsonFilter(contains={"tier": "gold"}, where=[("tier", "==", "silver")]), ""),
    (JsonFilter(where=[("big", ">", 1e299), ("small", "==", 0)]), "e"),
]


async def test_runs_are_found_by_what_their_input_holds(timed: Database, clock: Clock) -> None:
    await runs_with_content(timed, clock)
    for given, expected in CONTENT:
        assert await names(timed, input_filter=given) == expected, given


async def test_output_and_metadata_are_filtered_alike(timed: Database, clock: Clock) -> None:
    await runs_with_content(timed, clock)
    for field, given, expected in [
        ("output_filter", {}, "c b a"),
        ("output_filter", {"items": ["b"]}, "b"),
        ("output_filter", JsonFilter(where=[("score", ">", 0.97)]), "c b"),
        ("output_filter", JsonFilter(where=[("score", "missing")]), ""),
        ("output_filter", JsonFilter(where=[("other", "missing")]), "c b a"),
        ("metadata_filter", {"of": "d"}, "d"),
        ("metadata_filter", {}, "e d c b a"),
        ("metadata_filter", JsonFilter(where=[("of", ">=", "d")]), "e d"),
        ("metadata_filter", JsonFilter(where=[("of", "!=", "d")]), "e c b a"),
        ("metadata_filter", JsonFilter(where=[((), "==", {"of": "a"})]), "a"),
    ]:
        assert await names(timed, **{field: given}) == expected, (field, given)


async def test_filters_join_every_other_condition(timed: Database, clock: Clock) -> None:
    await runs_with_content(timed, clock)
    workflow_id = (await timed.workflows.list_workflows())[0].id
    gold: dict[str, Any] = {"input_filter": {"tier": "gold"}}
    assert await names(timed, **gold, output_filter={"items": ["c"]}) == "c"
    assert await names(timed, **gold, metadata_filter={"of": "b"}) == ""
    assert await names(timed, **gold, status="succeeded") == "c a"
    assert await names(timed, **gold, status="pending") == ""
    assert await names(timed, **gold, triggered_by="manual") == "c a"
    assert await names(timed, **gold, workflow_id=workflow_id) == "c a"
    assert await names(timed, **gold, workflow_id=workflow_id, status="succeeded") == "c a"
    assert await names(timed, **gold, created_before=NOON + 2 * SECOND) == "a"
    pages = await follow(partial(timed.workflows.page_runs, **gold, limit=1))
    assert [[run.input_payload["name"] for run in items] for items in pages] == [["c"], ["a"]]


async def test_a_run_without_metadata_has_an_empty_one_to_filter(db: Database) -> None:
    version = await workflow_with_version(db)
    await new_run(db, version, {"name": "a"})
    assert await names(db, metadata_filter=JsonFilter(where=[("of", "missing")])) == "a"


async def test_a_filter_is_data_whatever_it_says(db: Database) -> None:
    hostile = [
        "' OR 1=1 --", "$.a", "a'); DROP TABLE workflow_runs; --", '"', "\\", "\\u0061", "%", "_",
        "$[*]", "strict $", "?", ":name", "$1", "日本", "a\tb\n", " ", "\x7f", "'::jsonb", "\u2028",
    ]  # fmt: skip
    version = await workflow_with_version(db)
    for text in hostile:
        await new_run(db, version, {"name": text, text: {text: [text]}})
    for text in hostile:
        for given in (
            {text: {text: [text]}},
            JsonFilter(where=[((text, text, 0), "==", text)]),
            JsonFilter(where=[((text, text), "exists")]),
            JsonFilter(where=[(("name",), "==", text)]),
            JsonFilter(where=[(("name",), "in", [text, "no such"])]),
        ):
            assert await names(db, input_filter=given) == text
        assert await names(db, input_filter={"name": f"{text}!"}) == ""
    assert (await db.workflows.count_runs_by_status()).total == len(hostile)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("tier = 'gold'", "a filter is a JsonFilter or a mapping"),
        ([("a", "==", 1)], "a filter is a JsonFilter or a mapping"),
        ({"a": float("nan")}, "contains.a"),
        ({"a": ["x", "y\0"]}, "contains.a[1]"),
        ({"a": 2**63}, "contains.a"),
        ({"\ud800": 1}, "contains"),
        ({"a": object()}, "contains.a"),
    ],
)
async def test_a_malformed_filter_is_refused_with_its_place(
    db: Database, given: Any, place: str
) -> None:
    for field in ("input_filter", "output_filter", "metadata_filter"):
        with pytest.raises(JsonFilterError) as refused:
            await db.workflows.page_runs(**{field: given})
        assert place in str(refused.value)


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
    assert await names(timed) == "f e y d b"
    assert await timed.workflows.prune_runs(created_before=made["times"]["f"]) == 0
    assert await timed.workflows.prune_runs(created_before=clock.at + SECOND) == 1
    assert await names(timed) == "e y d b"


async def test_pruning_goes_in_batches_oldest_first(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    for name in "abcde":
        clock.tick()
        await finished_run(timed, version, payload={"name": name})
    end = clock.tick()
    assert await timed.workflows.prune_runs(created_before=end, limit=0) == 0
    assert await timed.workflows.prune_runs(created_before=end, limit=2) == 2
    assert await names(timed) == "e d c"
    assert await timed.workflows.prune_runs(created_before=end, limit=2) == 2
    assert await timed.workflows.prune_runs(created_before=end, limit=2) == 1
    assert await names(timed) == ""


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
