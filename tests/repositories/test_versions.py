"""Versions: numbered graphs of a workflow, immutable but for their runnable config."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from tests.repositories.factories import (
    MISSING,
    NOON,
    Clock,
    new_run,
    new_version,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import (
    AuditRecord,
    Database,
    EncodingError,
    ValidationError,
    VersionDiff,
    WorkflowNotFoundError,
    WorkflowVersion,
    WorkflowVersionNotFoundError,
)

GRAPH: dict[str, Any] = {"nodes": [{"id": "a"}, {"id": "b"}], "edges": [["a", "b"]]}
CONFIG: dict[str, Any] = {"tags": [" A ", "a"], "run_name": " nightly ", "recursion_limit": 50}


async def test_a_new_version_has_all_its_fields(timed: Database, clock: Clock) -> None:
    workflow = await new_workflow(timed)
    at = clock.tick()
    created = await timed.workflows.create_version(
        workflow.id,
        graph=GRAPH,
        metadata={"source": "import"},
        runnable_config=CONFIG,
        notes="first",
        created_by="grace",
    )
    assert created == WorkflowVersion(
        id=created.id,
        created_at=at,
        updated_at=at,
        audit_log=[AuditRecord(actor="grace", action="version_created", at=at, metadata={})],
        workflow_id=workflow.id,
        version=1,
        graph=GRAPH,
        mermaid=None,
        metadata={"source": "import"},
        runnable_config={"tags": ["A"], "run_name": "nightly", "recursion_limit": 50},
        created_by="grace",
        notes="first",
    )
    assert created.id.version == 4
    assert await timed.workflows.get_version(created.id) == created
    assert await timed.workflows.get_workflow(workflow.id) == workflow


async def test_versions_count_up_from_one_in_each_workflow(db: Database) -> None:
    one, two = await new_workflow(db), await new_workflow(db)
    numbers = [(await new_version(db, each)).version for each in (one, one, two, one)]
    assert numbers == [1, 2, 1, 3]
    assert [v.version for v in await db.workflows.list_versions(one.id)] == [1, 2, 3]
    assert (await db.workflows.get_latest_version(one.id)).version == 3
    assert (await db.workflows.get_version_by_number(one.id, 2)).version == 2


async def test_every_way_to_a_version_gives_the_same(db: Database) -> None:
    workflow = await new_workflow(db)
    first = await new_version(db, workflow, GRAPH, runnable_config=CONFIG, notes="n")
    second = await new_version(db, workflow, {"b": 2})
    assert await db.workflows.list_versions(workflow.id) == [first, second]
    assert (await db.workflows.page_versions(workflow.id)).items == [first, second]
    assert await db.workflows.get_version(first.id) == first
    assert await db.workflows.get_version_by_number(workflow.id, 1) == first
    assert await db.workflows.get_latest_version(workflow.id) == second


async def test_what_is_missing_is_named_in_the_error(db: Database) -> None:
    for call in (
        lambda: new_version(db, MISSING),
        lambda: db.workflows.list_versions(MISSING),
        lambda: db.workflows.page_versions(MISSING),
        lambda: db.workflows.get_version_by_number(MISSING, 1),
        lambda: db.workflows.get_latest_version(MISSING),
        lambda: db.workflows.diff_versions(MISSING, 1, 2),
        lambda: db.workflows.update_version_runnable_config(
            MISSING, version_number=1, runnable_config=None, actor="ada"
        ),
    ):
        with pytest.raises(WorkflowNotFoundError, match=f"^{MISSING}$"):
            await call()
    with pytest.raises(WorkflowVersionNotFoundError, match=f"^{MISSING}$"):
        await db.workflows.get_version(MISSING)

    empty = await new_workflow(db)
    assert await db.workflows.list_versions(empty.id) == []
    assert (await db.workflows.page_versions(empty.id)).items == []
    with pytest.raises(WorkflowVersionNotFoundError, match=r"^latest$"):
        await db.workflows.get_latest_version(empty.id)


@pytest.mark.parametrize("number", [0, -1, 2, 2**31, 2**63, 10**30, -(2**63)])
async def test_a_number_that_no_version_has_is_not_found(db: Database, number: int) -> None:
    version = await workflow_with_version(db)
    for call in (
        lambda: db.workflows.get_version_by_number(version.workflow_id, number),
        lambda: db.workflows.diff_versions(version.workflow_id, 1, number),
        lambda: db.workflows.diff_versions(version.workflow_id, number, 1),
        lambda: db.workflows.update_version_runnable_config(
            version.workflow_id, version_number=number, runnable_config=None, actor="ada"
        ),
    ):
        with pytest.raises(WorkflowVersionNotFoundError, match=f"^v{number}$"):
            await call()


async def test_a_version_number_is_an_integer(db: Database) -> None:
    version = await workflow_with_version(db)
    for wrong in (True, "1", 1.0, None):
        with pytest.raises(ValidationError, match="version number must be a whole number"):
            await db.workflows.get_version_by_number(version.workflow_id, wrong)  # type: ignore[arg-type]


async def test_a_graph_becomes_what_json_can_say(db: Database) -> None:
    given: Any = {7: ("a", {"b"}), True: None, None: [1.5], "": {"x": ()}}
    created = await new_version(db, await new_workflow(db), given, metadata={2: (3,)})
    assert created.graph == {"7": ["a", ["b"]], "true": None, "null": [1.5], "": {"x": []}}
    assert created.metadata == {"2": [3]}
    assert await db.workflows.get_version(created.id) == created


@pytest.mark.parametrize("field", ["graph", "metadata"])
async def test_a_document_that_is_not_json_is_refused(db: Database, field: str) -> None:
    workflow = await new_workflow(db)
    for wrong, place in (
        ({"a": [object()]}, f"{field}.a[0]"),
        ({"f": print}, f"{field}.f"),
        ([1], field),
        ("{}", field),
        (None, field),
    ):
        given: dict[str, Any] = {"graph": {}, "metadata": {}, field: wrong}
        with pytest.raises(EncodingError) as refused:
            await db.workflows.create_version(workflow.id, notes=None, created_by="ada", **given)
        assert str(refused.value).startswith(place)
        assert isinstance(refused.value, TypeError)
        assert isinstance(refused.value, ValidationError)
    assert await db.workflows.list_versions(workflow.id) == []
    assert (await new_version(db, workflow)).version == 1


async def test_the_checksum_ignores_the_order_of_keys(db: Database) -> None:
    workflow = await new_workflow(db)
    one = await new_version(db, workflow, {"b": 1, "a": {"é": [1, 2.5], "c": None}})
    two = await new_version(db, workflow, {"a": {"c": None, "é": [1, 2.5]}, "b": 1})
    canonical = r'{"a":{"c":null,"\u00e9":[1,2.5]},"b":1}'
    expected = hashlib.sha256(canonical.encode()).hexdigest()
    assert one.compute_checksum() == two.compute_checksum() == expected
    assert (await new_version(db, workflow, {"a": 1})).compute_checksum() != expected


# --- Runnable config ---------------------------------------------------------------------------


async def test_an_empty_config_of_a_new_version_is_none(db: Database) -> None:
    workflow = await new_workflow(db)
    empty: Any
    for empty in (None, {}):
        assert (await new_version(db, workflow, runnable_config=empty)).runnable_config is None


async def test_only_the_config_of_a_version_can_change(timed: Database, clock: Clock) -> None:
    created = await workflow_with_version(timed, graph=GRAPH, metadata={"m": 1}, notes="n")
    at = clock.tick()
    updated = await timed.workflows.update_version_runnable_config(
        created.workflow_id, version_number=1, runnable_config=CONFIG, actor="grace"
    )
    assert updated.runnable_config == {"tags": ["A"], "run_name": "nightly", "recursion_limit": 50}
    assert updated.updated_at == at
    assert updated.audit_log == [
        *created.audit_log,
        AuditRecord(actor="grace", action="version_runnable_config_updated", at=at, metadata={}),
    ]
    for field in created.__struct_fields__:
        if field not in {"updated_at", "audit_log", "runnable_config"}:
            assert getattr(updated, field) == getattr(created, field)
    assert await timed.workflows.get_version(created.id) == updated
    assert created.created_at == NOON


async def test_an_updated_config_may_be_empty_or_none(db: Database) -> None:
    created = await workflow_with_version(db, runnable_config=CONFIG)
    value: Any
    for value in ({}, None, {"tags": []}, CONFIG):
        updated = await db.workflows.update_version_runnable_config(
            created.workflow_id, version_number=1, runnable_config=value, actor="ada"
        )
        expected = {**CONFIG, "tags": ["A"], "run_name": "nightly"} if value is CONFIG else value
        assert updated.runnable_config == expected
        assert await db.workflows.get_version(created.id) == updated


async def test_runs_take_the_config_as_it_is_when_they_are_created(db: Database) -> None:
    version = await workflow_with_version(db, runnable_config={"tags": ["one"]})
    before = await new_run(db, version)
    await db.workflows.update_version_runnable_config(
        version.workflow_id,
        version_number=1,
        runnable_config={"run_name": "two"},
        actor="ada",
    )
    after = await new_run(db, version)
    overridden = await new_run(db, version, runnable_config={"tags": ["three"]})
    assert (before.tags, before.run_name) == (["one"], None)
    assert (after.tags, after.run_name) == ([], "two")
    assert (overridden.tags, overridden.run_name) == (["three"], "two")
    assert (await db.workflows.get_run(before.id)).tags == ["one"]


# --- Differences -------------------------------------------------------------------------------


async def test_a_diff_shows_both_graphs_as_sorted_json(db: Database) -> None:
    workflow = await new_workflow(db)
    await new_version(db, workflow, {})
    await new_version(db, workflow, {"b": 2, "a": [1]})
    assert await db.workflows.diff_versions(workflow.id, 1, 2) == VersionDiff(
        1,
        2,
        [
            "--- v1",
            "+++ v2",
            "@@ -1 +1,6 @@",
            "-{}",
            "+{",
            '+  "a": [',
            "+    1",
            "+  ],",
            '+  "b": 2',
            "+}",
        ],
    )
    backwards = await db.workflows.diff_versions(workflow.id, 2, 1)
    assert backwards.diff[:3] == ["--- v2", "+++ v1", "@@ -1,6 +1 @@"]


async def test_equal_graphs_have_no_diff(db: Database) -> None:
    workflow = await new_workflow(db)
    await new_version(db, workflow, {"a": 1, "b": [{"c": 2}]}, metadata={"x": 1})
    await new_version(db, workflow, {"b": [{"c": 2}], "a": 1}, metadata={"x": 2}, notes="other")
    assert (await db.workflows.diff_versions(workflow.id, 1, 2)).diff == []
    assert (await db.workflows.diff_versions(workflow.id, 2, 2)).diff == []


async def test_a_diff_has_three_lines_of_context(db: Database) -> None:
    workflow = await new_workflow(db)
    await new_version(db, workflow, {f"k{i}": i for i in range(9)})
    await new_version(db, workflow, {f"k{i}": i if i != 5 else "five" for i in range(9)})
    diff = (await db.workflows.diff_versions(workflow.id, 1, 2)).diff
    assert diff[2:] == [
        "@@ -4,7 +4,7 @@",
        '   "k2": 2,',
        '   "k3": 3,',
        '   "k4": 4,',
        '-  "k5": 5,',
        '+  "k5": "five",',
        '   "k6": 6,',
        '   "k7": 7,',
        '   "k8": 8',
    ]


async def test_the_base_of_a_diff_is_looked_for_first(db: Database) -> None:
    version = await workflow_with_version(db)
    for base, target, missing in ((8, 9, "v8"), (1, 9, "v9"), (9, 1, "v9")):
        with pytest.raises(WorkflowVersionNotFoundError, match=f"^{missing}$"):
            await db.workflows.diff_versions(version.workflow_id, base, target)


async def test_an_author_is_required(db: Database) -> None:
    workflow = await new_workflow(db)
    for wrong in (None, 1):
        with pytest.raises(ValidationError, match="created_by must be text"):
            await new_version(db, workflow, created_by=wrong)
    with pytest.raises(ValidationError, match="notes must be text"):
        await new_version(db, workflow, notes=3)
