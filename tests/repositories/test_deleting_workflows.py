"""What deleting and archiving a workflow does to everything that is kept in its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import (
    MISSING,
    change,
    lead_to,
    new_run,
    new_workflow,
    rows,
    workflow_with_version,
)
from tests.repositories.listeners import listen

from orcheo_sql import (
    CronTriggerConfig,
    Database,
    RetryPolicyConfig,
    RunHistoryNotFoundError,
    WebhookTriggerConfig,
    WorkflowNotArchivedError,
    WorkflowNotFoundError,
)

if TYPE_CHECKING:
    from uuid import UUID


async def full_workflow(db: Database, name: str) -> UUID:
    """Return a workflow that has something of everything."""
    version = await workflow_with_version(db, name)
    workflow_id = version.workflow_id
    await listen(db, workflow_id=workflow_id)
    await db.workflows.configure_retry_policy(workflow_id, RetryPolicyConfig())
    await db.workflows.configure_cron_trigger(
        workflow_id, CronTriggerConfig(expression="0 9 * * *")
    )
    await db.workflows.configure_webhook_trigger(workflow_id, WebhookTriggerConfig())
    for number in range(45):  # long enough a trail to have left its row
        await db.workflows.update_workflow(
            workflow_id, name=f"{name} {number}", description=None, tags=None, is_archived=None, actor="a"
        )  # fmt: skip
    run = await new_run(db, version, hand_off=True)
    await lead_to(db, run, "failed")
    await db.workflows.schedule_retry_for_run(run.id)
    await db.history.start_run(workflow_id=workflow_id, execution_id=run.id)
    await db.history.append_step(run.id, {"step": 1})
    await db.agentensor.record_checkpoint(
        workflow_id=str(workflow_id), runnable_config={}, metrics={}, is_best=True
    )
    return workflow_id


async def tables(settings: dict[str, Any]) -> dict[str, int]:
    """Return how many rows each table has."""
    names = await rows(
        settings,
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        if "postgres_dsn" in settings
        else "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%_index%' "
        "AND name NOT LIKE 'sqlite%'",
    )
    counts = {}
    for (name,) in names:
        [(counts[name],)] = await rows(settings, f"SELECT count(*) FROM {name}")
    counts.pop("orcheo_migrations")
    return counts


async def test_deleting_leaves_nothing_and_touches_nobody_else(
    db: Database, settings_of: dict[str, Any]
) -> None:
    other = await full_workflow(db, "Other")
    before = await tables(settings_of)
    assert sum(count > 0 for count in before.values()) > 12, before
    workflow_id = await full_workflow(db, "Doomed")
    await change(db, workflow_id, is_archived=True)
    await db.workflows.delete_workflow(workflow_id)
    assert await tables(settings_of) == before
    with pytest.raises(WorkflowNotFoundError):
        await db.workflows.get_workflow(workflow_id)
    assert len(await db.history.list_histories(other)) == 1


async def test_only_an_archived_workflow_is_deleted(db: Database) -> None:
    workflow_id = await full_workflow(db, "Active")
    with pytest.raises(WorkflowNotArchivedError, match=str(workflow_id)):
        await db.workflows.delete_workflow(workflow_id)
    assert len(await db.history.list_histories(workflow_id)) == 1
    with pytest.raises(WorkflowNotFoundError, match=str(MISSING)):
        await db.workflows.delete_workflow(MISSING)


async def test_deleting_is_part_of_a_unit_of_work(db: Database) -> None:
    workflow_id = await full_workflow(db, "Kept")
    await change(db, workflow_id, is_archived=True)

    async def work() -> None:
        async with db.transaction() as tx:
            await tx.workflows.delete_workflow(workflow_id)
            with pytest.raises(WorkflowNotFoundError):
                await tx.workflows.get_workflow(workflow_id)
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    assert (await db.workflows.get_workflow(workflow_id)).is_archived
    assert len(await db.history.list_histories(workflow_id)) == 1
    assert await db.agentensor.best_checkpoint(str(workflow_id)) is not None


async def test_archiving_changes_no_record(db: Database) -> None:
    workflow_id = await full_workflow(db, "Archived")
    before = (
        await db.history.list_histories(workflow_id),
        await db.agentensor.list_checkpoints(str(workflow_id)),
    )
    await change(db, workflow_id, is_archived=True)
    [execution] = before[0]
    await db.history.append_step(execution.execution_id, {"late": True})
    assert len((await db.history.get_history(execution.execution_id)).steps) == 2
    assert await db.agentensor.list_checkpoints(str(workflow_id)) == before[1]


async def test_records_need_no_workflow(db: Database) -> None:
    """Ids there are free text: of another system, or of a workflow that is deleted."""
    await db.history.start_run(workflow_id="elsewhere", execution_id="e1")
    await db.agentensor.record_checkpoint(workflow_id="elsewhere", runnable_config={}, metrics={})
    workflow = await new_workflow(db)
    await change(db, workflow.id, is_archived=True)
    await db.workflows.delete_workflow(workflow.id)
    assert len(await db.history.list_histories("elsewhere")) == 1
    with pytest.raises(RunHistoryNotFoundError):
        await db.history.get_history("e2")
