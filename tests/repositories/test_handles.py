"""Handles, who may hold them, and the references that find a workflow."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from tests.repositories.factories import MISSING, Clock, change, new_workflow

from orcheo_sql import (
    Database,
    ValidationError,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
)


async def archived(db: Database, **fields: Any) -> Any:
    created = await new_workflow(db, **fields)
    return await db.workflows.archive_workflow(created.id, actor="ada")


@pytest.mark.parametrize(
    ("handle", "text"),
    [
        ("", "Workflow handle must not be empty."),
        ("  ", "Workflow handle must not be empty."),
        ("!" * 65, "Workflow handle must be at most 64 characters long."),
        (
            "under_score",
            "Workflow handle must contain only lowercase letters, numbers, and single hyphens.",
        ),
        (
            "two--hyphens",
            "Workflow handle must contain only lowercase letters, numbers, and single hyphens.",
        ),
        ("-a", "Workflow handle must contain only lowercase letters, numbers, and single hyphens."),
        ("naïve", "Workflow handle must contain only lowercase letters, numbers, and single hyphens."),
        ("a\nb", "Workflow handle must contain only lowercase letters, numbers, and single hyphens."),
        ("A1B2C3D4-0000-4000-8000-000000000000", "Workflow handle must not use a UUID format."),
        ("0123456789abcdef0123456789abcdef", "Workflow handle must not use a UUID format."),
    ],
)  # fmt: skip
async def test_a_handle_that_breaks_a_rule_is_refused(db: Database, handle: str, text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        await new_workflow(db, handle=handle)
    assert str(refused.value) == text
    with pytest.raises(ValidationError) as refused:
        await change(db, MISSING, handle=handle)
    assert str(refused.value) == text
    assert isinstance(refused.value, ValueError)


async def test_handles_are_trimmed_and_lower_cased(db: Database) -> None:
    assert (await new_workflow(db, handle="  My-Flow-2 ")).handle == "my-flow-2"
    assert (await new_workflow(db, handle="h" * 64)).handle == "h" * 64
    assert (await new_workflow(db, handle=None)).handle is None
    assert (await new_workflow(db, handle=None)).handle is None


async def test_two_active_workflows_never_share_a_handle(db: Database) -> None:
    await new_workflow(db, "First", handle="taken")
    with pytest.raises(
        WorkflowHandleConflictError, match=r"^Workflow handle 'taken' is already in use\.$"
    ):
        await new_workflow(db, "Second", handle=" TAKEN ")
    second = await new_workflow(db, "Second", handle="free")
    with pytest.raises(
        WorkflowHandleConflictError, match=r"^Workflow handle 'taken' is already in use\.$"
    ):
        await change(db, second.id, handle="Taken", name="Renamed")
    assert await db.workflows.get_workflow(second.id) == second
    assert len(await db.workflows.list_workflows()) == 2


async def test_an_archived_workflow_keeps_its_handle(db: Database) -> None:
    holder = await archived(db, handle="kept")
    with pytest.raises(WorkflowHandleConflictError, match="'kept'"):
        await new_workflow(db, handle="kept")
    active = await new_workflow(db)
    with pytest.raises(WorkflowHandleConflictError, match="'kept'"):
        await change(db, active.id, handle="kept")
    assert (await change(db, holder.id, is_archived=False)).handle == "kept"


async def test_archived_workflows_may_share_a_handle(db: Database) -> None:
    first = await archived(db, handle="shared")
    second = await archived(db)
    assert (await change(db, second.id, handle="shared")).handle == "shared"
    third = await new_workflow(db)
    both = await change(db, third.id, handle="shared", is_archived=True)
    assert (both.handle, both.is_archived) == ("shared", True)
    assert (await db.workflows.get_workflow(first.id)).handle == "shared"


async def test_an_archived_workflow_may_not_take_the_handle_of_an_active_one(
    db: Database,
) -> None:
    await new_workflow(db, handle="busy")
    hidden = await archived(db)
    with pytest.raises(WorkflowHandleConflictError, match="'busy'"):
        await change(db, hidden.id, handle="busy")


async def test_the_archive_state_after_the_update_decides(db: Database) -> None:
    await archived(db, handle="shared")
    second = await archived(db)
    with pytest.raises(WorkflowHandleConflictError, match="'shared'"):
        await change(db, second.id, handle="shared", is_archived=False)
    assert (await db.workflows.get_workflow(second.id)) == second
    assert (await change(db, second.id, handle="own", is_archived=False)).handle == "own"


async def test_unarchiving_with_another_handle_leaves_the_shared_one(db: Database) -> None:
    first = await archived(db, handle="shared")
    second = await archived(db)
    await change(db, second.id, handle="shared")
    with pytest.raises(WorkflowHandleConflictError, match="'shared'"):
        await change(db, first.id, is_archived=False)
    moved = await change(db, first.id, handle="elsewhere", is_archived=False)
    assert (moved.handle, moved.is_archived) == ("elsewhere", False)
    assert not (await change(db, second.id, is_archived=False)).is_archived


async def test_a_handle_can_be_changed_but_not_removed(db: Database) -> None:
    created = await new_workflow(db, handle="one")
    kept = await change(db, created.id, handle=None, name="Other")
    assert kept.handle == "one"
    same = await change(db, created.id, handle=" ONE ")
    assert (same.handle, same.audit_log[-1].metadata) == ("one", {})
    moved = await change(db, created.id, handle="two")
    assert moved.audit_log[-1].metadata == {"handle": {"from": "one", "to": "two"}}
    assert (await new_workflow(db, handle="one")).handle == "one"


# --- References --------------------------------------------------------------------------------


async def test_a_handle_or_an_id_finds_its_workflow(db: Database) -> None:
    created = await new_workflow(db, handle="my-flow")
    bare = created.id.hex
    for ref in (
        "my-flow",
        "  My-FLOW\n",
        str(created.id),
        f" {str(created.id).upper()} ",
        bare,
        f"{{{created.id}}}",
        f"urn:uuid:{created.id}",
    ):
        assert await db.workflows.resolve_workflow_ref(ref) == created.id, ref


async def test_a_reference_to_nothing_is_not_found(db: Database) -> None:
    await new_workflow(db, "Flow", handle="flow")
    for blank in ("", "  \n"):
        with pytest.raises(WorkflowNotFoundError, match=r"^workflow ref is empty$"):
            await db.workflows.resolve_workflow_ref(blank)
    for ref in ("other", str(uuid4()), "%", "fl_w", "flow'--", "flow\0", "\ud800", "x" * 5000):
        with pytest.raises(WorkflowNotFoundError) as missing:
            await db.workflows.resolve_workflow_ref(f" {ref.upper()} ")
        assert str(missing.value) == ref
    with pytest.raises(ValidationError):
        await db.workflows.resolve_workflow_ref(None)  # type: ignore[arg-type]


async def test_neither_slug_nor_name_is_a_reference(db: Database) -> None:
    await new_workflow(db, "flow", handle="handle")
    with pytest.raises(WorkflowNotFoundError, match=r"^flow$"):
        await db.workflows.resolve_workflow_ref("flow")


async def test_archived_workflows_are_found_by_handle_only_on_request(db: Database) -> None:
    hidden = await archived(db, handle="hidden")
    assert await db.workflows.resolve_workflow_ref("hidden") == hidden.id
    with pytest.raises(WorkflowNotFoundError, match=r"^hidden$"):
        await db.workflows.resolve_workflow_ref("hidden", include_archived=False)
    found = await db.workflows.resolve_workflow_ref(str(hidden.id), include_archived=False)
    assert found == hidden.id


async def test_of_several_archived_holders_the_last_changed_one_is_found(
    timed: Database, clock: Clock
) -> None:
    first = await archived(timed, handle="shared")
    second = await archived(timed)
    clock.tick()
    await change(timed, second.id, handle="shared")
    assert await timed.workflows.resolve_workflow_ref("shared") == second.id
    clock.tick()
    await change(timed, first.id, description="touched")
    assert await timed.workflows.resolve_workflow_ref("shared") == first.id
