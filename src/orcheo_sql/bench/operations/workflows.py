"""Workflows, versions and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

from orcheo_sql._filters import JsonFilter

from ..measure import LIST_LIMIT, Operation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from orcheo_sql._database import Database
    from orcheo_sql.structs import Workflow, WorkflowVersion

PAYLOAD = {
    "question": "Please check what happened to order 4711.",
    "customer": {"id": 4711, "tier": "gold", "country": "DE"},
    "priority": 3,
}
FEW = 20
"""Entities that reads go around among."""


async def new_workflow(db: Database) -> Workflow:
    return await db.workflows.create_workflow(
        name=f"Bench {uuid4().hex[:12]}",
        slug=None,
        description="Made by a benchmark",
        tags=["bench"],
        draft_access="personal",
        actor="bench",
    )


async def new_version(db: Database, workflow: Workflow) -> WorkflowVersion:
    return await db.workflows.create_version(
        workflow.id,
        graph={"nodes": [{"id": "ask"}, {"id": "answer"}], "edges": [["ask", "answer"]]},
        metadata={},
        notes=None,
        created_by="bench",
    )


async def version_for_all(db: Database, count: int) -> Sequence[WorkflowVersion]:
    return [await new_version(db, await new_workflow(db))] * count


def new_run(db: Database, version: WorkflowVersion) -> Any:
    return db.workflows.create_run(
        version.workflow_id,
        workflow_version_id=version.id,
        triggered_by="manual",
        input_payload=PAYLOAD,
    )


async def pending_runs(db: Database, count: int) -> Sequence[UUID]:
    [version] = await version_for_all(db, 1)
    return [(await new_run(db, version)).id for _ in range(count)]


async def running_runs(db: Database, count: int) -> Sequence[UUID]:
    runs = await pending_runs(db, count)
    for run in runs:
        await db.workflows.mark_run_started(run, actor="bench")
    return runs


async def some_runs(db: Database, count: int) -> Sequence[UUID]:
    runs = await running_runs(db, FEW)
    for run in runs[::2]:
        await db.workflows.mark_run_succeeded(run, actor="bench", output={"answer": 42})
    return [runs[n % FEW] for n in range(count)]


async def some_workflows(db: Database, count: int) -> Sequence[UUID]:
    workflows = [await new_workflow(db) for _ in range(FEW)]
    return [workflows[n % FEW].id for n in range(count)]


async def some_versions(db: Database, count: int) -> Sequence[UUID]:
    workflow = await new_workflow(db)
    versions = [await new_version(db, workflow) for _ in range(FEW)]
    return [versions[n % FEW].id for n in range(count)]


async def fifty_runs(db: Database, count: int) -> Sequence[UUID]:
    """Return one workflow that has more than fifty runs."""
    [version] = await version_for_all(db, 1)
    for _ in range(60):
        await new_run(db, version)
    return [version.workflow_id] * count


async def deep_cursor(db: Database, count: int) -> Sequence[str | None]:
    """Return a cursor half-way down the list of all runs."""
    await fifty_runs(db, 1)
    counts = await db.workflows.count_runs_by_status()
    cursor = None
    for _ in range(min(counts.total // 2 // 1000, 50)):
        page = await db.workflows.page_runs(limit=1000, cursor=cursor)
        cursor = page.next_cursor or cursor
    return [cursor] * count


async def rare_filter(db: Database, count: int) -> Sequence[JsonFilter]:
    """Return a filter that one run meets."""
    [version] = await version_for_all(db, 1)
    mark = uuid4().hex
    await db.workflows.create_run(
        version.workflow_id,
        workflow_version_id=version.id,
        triggered_by="manual",
        input_payload={**PAYLOAD, "mark": mark},
    )
    return [JsonFilter(contains={"mark": mark})] * count


async def rare_word(db: Database, count: int) -> Sequence[str]:
    """Return a word that one run is found by."""
    [version] = await version_for_all(db, 1)
    word = f"rare{uuid4().hex[:12]}"
    await db.workflows.create_run(
        version.workflow_id,
        workflow_version_id=version.id,
        triggered_by="manual",
        input_payload={"question": word},
    )
    return [word] * count


OPERATIONS = (
    Operation("workflows.get_workflow", some_workflows, lambda db, w: db.workflows.get_workflow(w)),
    Operation("workflows.get_version", some_versions, lambda db, v: db.workflows.get_version(v)),
    Operation("workflows.get_run", some_runs, lambda db, r: db.workflows.get_run(r)),
    Operation("workflows.create_run", version_for_all, new_run),
    Operation(
        "workflows.mark_run_started",
        pending_runs,
        lambda db, r: db.workflows.mark_run_started(r, actor="bench"),
    ),
    Operation(
        "workflows.mark_run_succeeded",
        running_runs,
        lambda db, r: db.workflows.mark_run_succeeded(r, actor="bench", output={"answer": 42}),
    ),
    Operation(
        "workflows.page_runs, 50",
        fifty_runs,
        lambda db, w: db.workflows.page_runs(workflow_id=w, limit=50),
        LIST_LIMIT,
    ),
    Operation(
        "workflows.page_runs, deep",
        deep_cursor,
        lambda db, c: db.workflows.page_runs(limit=50, cursor=c),
        LIST_LIMIT,
    ),
    Operation(
        "workflows.page_runs, JSON filter",
        rare_filter,
        lambda db, f: db.workflows.page_runs(input_filter=f, limit=50),
    ),
    Operation(
        "workflows.search_runs",
        rare_word,
        lambda db, word: db.workflows.search_runs(word, limit=50),
    ),
)
