"""JSON filters on runs: data that both databases read alike."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import pytest
from tests.repositories.factories import (
    NOON,
    Clock,
    follow,
    lead_to,
    new_run,
    run_names,
    workflow_with_version,
)

from orcheo_sql import Database, JsonFilter, JsonFilterError

SECOND = dt.timedelta(seconds=1)


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
        assert await run_names(timed, input_filter=given) == expected, given


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
        assert await run_names(timed, **{field: given}) == expected, (field, given)


async def test_filters_join_every_other_condition(timed: Database, clock: Clock) -> None:
    await runs_with_content(timed, clock)
    workflow_id = (await timed.workflows.list_workflows())[0].id
    gold: dict[str, Any] = {"input_filter": {"tier": "gold"}}
    assert await run_names(timed, **gold, output_filter={"items": ["c"]}) == "c"
    assert await run_names(timed, **gold, metadata_filter={"of": "b"}) == ""
    assert await run_names(timed, **gold, status="succeeded") == "c a"
    assert await run_names(timed, **gold, status="pending") == ""
    assert await run_names(timed, **gold, triggered_by="manual") == "c a"
    assert await run_names(timed, **gold, workflow_id=workflow_id) == "c a"
    assert await run_names(timed, **gold, workflow_id=workflow_id, status="succeeded") == "c a"
    assert await run_names(timed, **gold, created_before=NOON + 2 * SECOND) == "a"
    pages = await follow(partial(timed.workflows.page_runs, **gold, limit=1))
    assert [[run.input_payload["name"] for run in items] for items in pages] == [["c"], ["a"]]


async def test_a_run_without_metadata_has_an_empty_one_to_filter(db: Database) -> None:
    version = await workflow_with_version(db)
    await new_run(db, version, {"name": "a"})
    assert await run_names(db, metadata_filter=JsonFilter(where=[("of", "missing")])) == "a"


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
            assert await run_names(db, input_filter=given) == text
        assert await run_names(db, input_filter={"name": f"{text}!"}) == ""
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
