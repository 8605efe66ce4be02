"""Manual dispatch: all runs of a request, or none."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from tests.repositories.factories import (
    MISSING,
    Queries,
    direct,
    new_version,
    new_workflow,
    rows,
    workflow_with_version,
)

from orcheo_sql import (
    Database,
    ManualDispatchItem,
    ManualDispatchRequest,
    WorkflowNotFoundError,
    WorkflowVersion,
    WorkflowVersionNotFoundError,
)

COPY_VERSION = """
    INSERT INTO workflow_versions (
        id, version, workflow_id, created_by, metadata, default_run_config, default_run_text, created_at, updated_at,
        audit_log, graph
    )
    SELECT
        '{id}', {number}, workflow_id, created_by, metadata, default_run_config, default_run_text, created_at,
        updated_at, audit_log, graph
    FROM workflow_versions
    WHERE version = 1
"""


def request(version: WorkflowVersion, *payloads: Any, **fields: Any) -> ManualDispatchRequest:
    return ManualDispatchRequest(
        workflow_id=version.workflow_id,
        runs=[ManualDispatchItem(input_payload=payload) for payload in payloads],
        **fields,
    )


async def test_runs_are_made_in_the_order_asked_for(
    settings_of: dict[str, Any], db: Database
) -> None:
    version = await workflow_with_version(db)
    payloads = [{"n": n, "text": "grün \0", "big": 10**18 + 1, "e": 1e300} for n in range(100)]
    runs = await db.workflows.dispatch_manual_runs(request(version, *payloads, actor="ada"))
    assert [run.input_payload["n"] for run in runs] == list(range(100))
    assert runs[7].input_payload == {**payloads[7], "text": "grün \\u0000"}
    assert {run.triggered_by for run in runs} == {"manual_batch"}
    assert {(r.actor, r.action) for run in runs for r in run.audit_log} == {("ada", "run_created")}
    listed = await db.workflows.list_runs_for_workflow(version.workflow_id)
    assert listed == runs[::-1]
    assert [await db.workflows.get_run(run.id) for run in runs[:3]] == runs[:3]
    handed = await rows(settings_of, "SELECT CAST(run_id AS text) FROM run_outbox")
    assert {text for (text,) in handed} == {str(run.id) for run in runs}
    assert (await db.workflows.search_runs("manual_batch", limit=1)).items == [runs[-1]]


async def test_labels(db: Database) -> None:
    version = await workflow_with_version(db)
    [one] = await db.workflows.dispatch_manual_runs(request(version, {}))
    assert (one.triggered_by, one.audit_log[0].actor) == ("manual", "manual")
    [one] = await db.workflows.dispatch_manual_runs(request(version, {}, label=" nightly "))
    assert one.triggered_by == "nightly"


async def test_a_run_is_of_the_version_it_names_or_of_the_latest(db: Database) -> None:
    first = await workflow_with_version(db, runnable_config={"tags": ["one"]})
    latest = await new_version(db, first.workflow_id, runnable_config={"tags": ["two"]})
    runs = await db.workflows.dispatch_manual_runs(
        {
            "workflow_id": str(first.workflow_id),
            "runs": [{}, {"workflow_version_id": str(first.id)}, {"input_payload": {"x": 1}}],
        }
    )
    assert [run.workflow_version_id for run in runs] == [latest.id, first.id, latest.id]
    assert [run.tags for run in runs] == [["two"], ["one"], ["two"]]


async def test_all_or_none(db: Database) -> None:
    """W-22: a batch that failed at its third item left two runs behind."""
    version = await workflow_with_version(db)
    foreign = await workflow_with_version(db)
    for wrong in (foreign.id, MISSING):
        with pytest.raises(WorkflowVersionNotFoundError, match=f"^{wrong}$"):
            await db.workflows.dispatch_manual_runs(
                {
                    "workflow_id": version.workflow_id,
                    "runs": [
                        {},
                        {"workflow_version_id": version.id},
                        {"workflow_version_id": wrong},
                    ],
                }
            )
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []
    assert (await db.workflows.count_outbox()).total == 0


async def test_what_is_missing_is_said(db: Database) -> None:
    workflow = await new_workflow(db)
    with pytest.raises(WorkflowNotFoundError):
        await db.workflows.dispatch_manual_runs({"workflow_id": MISSING, "runs": [{}]})
    with pytest.raises(WorkflowVersionNotFoundError, match=f"^{workflow.id}$"):
        await db.workflows.dispatch_manual_runs({"workflow_id": workflow.id, "runs": [{}]})
    await new_version(db, workflow)
    await db.workflows.archive_workflow(workflow.id, actor="ada")
    with pytest.raises(WorkflowNotFoundError):
        await db.workflows.dispatch_manual_runs({"workflow_id": workflow.id, "runs": [{}]})


async def test_a_batch_is_one_query(observed: Database, queries: Queries) -> None:
    version = await workflow_with_version(observed)
    queries.take()
    await observed.workflows.dispatch_manual_runs(request(version, *({} for _ in range(100))))
    assert queries.take() == ["insert_manual_runs"]


async def test_a_batch_joins_a_unit_of_work(db: Database) -> None:
    version = await workflow_with_version(db)

    async def work() -> None:
        async with db.transaction() as unit:
            await unit.workflows.dispatch_manual_runs(request(version, {}))
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_many_versions_cost_a_batch_nothing(settings_of: dict[str, Any]) -> None:
    """Each run was compared with each version, and its JSON read again for that: many seconds."""
    async with Database(**settings_of, statement_timeout_seconds=3) as db:
        version = await workflow_with_version(db)
        async with direct(settings_of) as connection:
            for number in range(2, 1502):
                await connection.execute(COPY_VERSION.format(number=number, id=UUID(int=number)))
            await connection.execute("UPDATE workflows SET latest_version = 1501")
        payload = {"text": "x" * 20_000}
        runs = [
            {"workflow_version_id": UUID(int=number), "input_payload": payload}
            for number in range(2, 101)
        ]
        made = await db.workflows.dispatch_manual_runs(
            {"workflow_id": version.workflow_id, "runs": [*runs, {}]}
        )
        assert [run.workflow_version_id for run in made] == [
            *(UUID(int=number) for number in range(2, 101)),
            UUID(int=1501),
        ]
