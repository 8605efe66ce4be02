from __future__ import annotations

from orcheo_sql import Database


async def test_a_run_lives(db: Database) -> None:
    w = await db.workflows.create_workflow(
        name="Flow", slug=None, description=None, tags=None, draft_access="personal", actor="ada"
    )
    v = await db.workflows.create_version(w.id, graph={}, metadata={}, notes=None, created_by="ada")
    run = await db.workflows.create_run(
        w.id, workflow_version_id=v.id, triggered_by="manual", input_payload={"a": 1}
    )
    run = await db.workflows.mark_run_started(run.id, actor="worker")
    run = await db.workflows.mark_run_succeeded(run.id, actor="worker", output={"b": 2})
    assert await db.workflows.get_run(run.id) == run
    assert run.output_payload == {"b": 2}
