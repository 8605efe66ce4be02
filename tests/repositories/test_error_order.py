"""Where a call breaks two rules, clients hear of the one that the specification checks first."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from tests.repositories.factories import MISSING, change, new_version, new_workflow

from orcheo_sql import (
    Database,
    EncodingError,
    ValidationError,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
    WorkflowVersionNotFoundError,
)

BAD_FIELDS: list[dict[str, Any]] = [
    {"name": " "},
    {"description": "x" * 1025},
    {"tags": 5},
    {"draft_access": "everybody"},
    {"actor": None},
]


@pytest.mark.parametrize("bad", BAD_FIELDS)
@pytest.mark.parametrize("archived", [False, True])
async def test_a_taken_handle_comes_before_other_values(
    db: Database, bad: dict[str, Any], archived: bool
) -> None:
    holder = await new_workflow(db, handle="taken")
    if archived:
        await db.workflows.archive_workflow(holder.id, actor="ada")
    with pytest.raises(WorkflowHandleConflictError, match="'taken' is already in use"):
        await new_workflow(db, handle="Taken", **bad)
    with pytest.raises(ValidationError):
        await new_workflow(db, handle="free", **bad)
    with pytest.raises(ValidationError, match="at most 64"):
        await new_workflow(db, handle="x" * 65, **bad)


@pytest.mark.parametrize("bad", BAD_FIELDS)
async def test_a_missing_workflow_comes_before_values_but_not_before_its_handle(
    db: Database, bad: dict[str, Any]
) -> None:
    with pytest.raises(WorkflowNotFoundError):
        await change(db, MISSING, **bad)
    with pytest.raises(ValidationError, match="at most 64"):
        await change(db, MISSING, handle="x" * 65, **bad)
    workflow = await new_workflow(db)
    with pytest.raises(ValidationError):
        await change(db, workflow.id, **bad)


async def test_what_is_missing_comes_before_a_payload(db: Database) -> None:
    workflow = await new_workflow(db)
    version = await new_version(db, workflow.id)

    async def create(workflow_id: UUID, version_id: UUID) -> None:
        await db.workflows.create_run(
            workflow_id,
            workflow_version_id=version_id,
            triggered_by="manual",
            input_payload={"x": object()},
        )

    with pytest.raises(WorkflowNotFoundError):
        await create(MISSING, version.id)
    with pytest.raises(WorkflowVersionNotFoundError):
        await create(workflow.id, MISSING)
    with pytest.raises(EncodingError):
        await create(workflow.id, version.id)
    await db.workflows.archive_workflow(workflow.id, actor="ada")
    with pytest.raises(WorkflowNotFoundError):
        await create(workflow.id, version.id)
    assert await db.workflows.list_runs_for_workflow(workflow.id) == []


async def test_the_order_holds_inside_a_unit_of_work(db: Database) -> None:
    await new_workflow(db, handle="taken")
    async with db.transaction() as unit:
        with pytest.raises(WorkflowHandleConflictError):
            await new_workflow(unit, handle="taken", name=" ")
        with pytest.raises(WorkflowNotFoundError):
            await change(unit, MISSING, name=" ")
        kept = await new_workflow(unit, handle="kept")
    assert await db.workflows.get_workflow(kept.id) == kept
