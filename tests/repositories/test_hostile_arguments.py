"""Arguments that once got through: numbers beyond all bounds, cursors of another entity, reasons that are missing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.repositories.factories import (
    Queries,
    change,
    new_run,
    new_version,
    new_workflow,
    run_names,
    workflow_with_version,
)

from orcheo_sql import Database, InvalidCursorError, JsonFilter, OrcheoSqlError, WorkflowVersion

HUGE = 10**5000
Call = Callable[[Database, WorkflowVersion], Awaitable[Any]]


@pytest.mark.parametrize(
    "call",
    [
        lambda db, v: db.workflows.get_version_by_number(v.workflow_id, HUGE),
        lambda db, v: db.workflows.get_version_by_number(v.workflow_id, -HUGE),
        lambda db, v: db.workflows.diff_versions(v.workflow_id, 1, HUGE),
        lambda db, v: db.workflows.update_version_runnable_config(
            v.workflow_id, version_number=HUGE, runnable_config=None, actor="ada"
        ),
        lambda db, v: db.workflows.list_runs_for_workflow(v.workflow_id, limit=HUGE),
        lambda db, v: db.workflows.page_runs(limit=-HUGE),
        lambda db, v: db.workflows.page_runs(input_filter=JsonFilter(where=[((HUGE,), "exists")])),
    ],
)
async def test_huge_numbers_get_an_error_of_ours(db: Database, call: Call) -> None:
    version = await workflow_with_version(db)
    with pytest.raises(OrcheoSqlError) as caught:
        await call(db, version)
    assert len(str(caught.value)) < 6000


async def test_cursors_of_another_entity_are_refused(db: Database) -> None:
    one, other = await new_workflow(db), await new_workflow(db)
    for workflow in (one, other):
        for _ in range(3):
            await new_version(db, workflow)
            await change(db, workflow.id, tags=[str(_)])
    versions = await db.workflows.page_versions(one.id, limit=1)
    with pytest.raises(InvalidCursorError):
        await db.workflows.page_versions(other.id, cursor=versions.next_cursor)
    trail = await db.workflows.page_audit_records(one.id, limit=1)
    with pytest.raises(InvalidCursorError):
        await db.workflows.page_audit_records(other.id, cursor=trail.next_cursor)


async def test_a_run_may_fail_without_a_reason(db: Database) -> None:
    run = await new_run(db, await workflow_with_version(db))
    failed = await db.workflows.mark_run_failed(run.id, actor="w", error=None)
    assert failed.error is None
    assert failed.audit_log[-1].metadata == {"error": None}
    assert await db.workflows.get_run(run.id) == failed


async def test_metadata_that_was_not_given_is_empty_to_a_filter_too(db: Database) -> None:
    version = await workflow_with_version(db)
    await new_run(db, version, {"name": "bare"})
    await new_run(db, version, {"name": "labelled"}, runnable_config={"metadata": {"k": 1}})
    for given, expected in (
        ({}, "labelled bare"),
        (JsonFilter(where=[((), "==", {})]), "bare"),
        (JsonFilter(where=[((), "!=", {})]), "labelled"),
        (JsonFilter(where=[((), "exists")]), "labelled bare"),
        (JsonFilter(contains={}, where=[("k", "missing")]), "bare"),
        ({"k": 1}, "labelled"),
    ):
        assert await run_names(db, metadata_filter=given) == expected


async def test_triggers_that_differ_at_the_end_only(db: Database) -> None:
    """PostgreSQL's index holds the first 64 characters of a trigger."""
    version = await workflow_with_version(db)
    for end in "ab":
        await new_run(db, version, {"name": end}, triggered_by="x" * 64 + end)
    assert await run_names(db, triggered_by="x" * 64 + "a") == "a"
    assert await run_names(db, triggered_by="x" * 64) == ""


async def test_a_handle_of_archived_workflows_is_the_one_with_the_highest_id_among_equals(
    timed: Database,
) -> None:
    shared = [await new_workflow(timed, handle=f"h-{n}") for n in range(4)]
    for workflow in shared:
        await timed.workflows.archive_workflow(workflow.id, actor="ada")
    for workflow in shared:
        await change(timed, workflow.id, handle="shared")
    assert await timed.workflows.resolve_workflow_ref("shared") == max(w.id for w in shared)


async def test_a_run_with_an_override_reads_once_before_it_writes(
    observed: Database, queries: Queries
) -> None:
    version = await workflow_with_version(observed)
    queries.take()
    await new_run(observed, version, runnable_config={"tags": ["a"]})
    assert queries.take() == ["get_run_eligibility", "insert_run"]


async def test_a_trail_of_large_records_leaves_the_row_as_well(db: Database) -> None:
    workflow = await new_workflow(db)
    for n in range(6):
        await change(db, workflow.id, tags=["x" * 40_000 + str(n)])
    kept = (await db.workflows.get_workflow(workflow.id)).audit_log
    assert [r.metadata["tags"]["to"][0][-1] for r in kept] == ["5"]
    trail = await db.workflows.page_audit_records(workflow.id)
    assert [entry.seq for entry in trail.items] == list(range(1, 8))
    assert [entry.record.action for entry in trail.items] == [
        "workflow_created", *["workflow_updated"] * 6
    ]  # fmt: skip
    assert trail.items[-1].record == kept[-1]
