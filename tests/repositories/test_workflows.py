"""Workflows: create, read, list, publish, archive."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from tests.repositories.factories import MISSING, NOON, Clock, change, new_version, new_workflow

from orcheo_sql import (
    AuditRecord,
    Database,
    ValidationError,
    Workflow,
    WorkflowDraftAccess,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
    WorkflowPublishStateError,
)


async def test_a_new_workflow_has_all_its_fields(timed: Database) -> None:
    created = await timed.workflows.create_workflow(
        name="  My Sample Flow ",
        handle=" My-Flow ",
        slug=None,
        description="  what it does ",
        tags=[" Alpha ", "beta", "ALPHA", " "],
        draft_access=WorkflowDraftAccess.WORKSPACE,
        actor="ada",
    )
    assert created == Workflow(
        id=created.id,
        created_at=NOON,
        updated_at=NOON,
        audit_log=[AuditRecord(actor="ada", action="workflow_created", at=NOON, metadata={})],
        name="My Sample Flow",
        handle="my-flow",
        slug="my-sample-flow",
        description="what it does",
        tags=["alpha", "beta"],
        is_archived=False,
        draft_access=WorkflowDraftAccess.WORKSPACE,
        is_public=False,
        published_at=None,
        published_by=None,
        require_login=False,
        share_url=None,
        chatkit=None,
    )
    assert created.id.version == 4
    assert await timed.workflows.get_workflow(created.id) == created


async def test_times_are_aware_utc_with_microseconds(timed: Database, clock: Clock) -> None:
    clock.at = dt.datetime(2026, 7, 1, 2, 0, 0, 7, tzinfo=dt.timezone(dt.timedelta(hours=3)))
    created = await new_workflow(timed)
    found = await timed.workflows.get_workflow(created.id)
    for each in (created, found):
        assert each.created_at == clock.at
        assert each.created_at.utcoffset() == dt.timedelta(0)
        assert each.audit_log[0].at == clock.at
        assert each.audit_log[0].at.utcoffset() == dt.timedelta(0)


async def test_names_follow_their_rule(db: Database) -> None:
    assert (await new_workflow(db, "n" * 128)).name == "n" * 128
    assert (await new_workflow(db, 42)).name == "42"
    for blank in ("", " \t\n"):
        with pytest.raises(ValidationError, match=r"^Workflow name must not be empty\.$"):
            await new_workflow(db, blank)
    with pytest.raises(ValidationError, match="at most 128 characters"):
        await new_workflow(db, "n" * 129)
    assert len(await db.workflows.list_workflows()) == 2


async def test_descriptions_follow_their_rule(db: Database) -> None:
    assert (await new_workflow(db, description="  ")).description is None
    assert (await new_workflow(db, description="d" * 1024)).description == "d" * 1024
    with pytest.raises(ValidationError, match="at most 1024 characters"):
        await new_workflow(db, description="d" * 1025)


@pytest.mark.parametrize("access", ["personal", "authenticated", "workspace"])
async def test_draft_access_is_one_of_three(db: Database, access: str) -> None:
    created = await new_workflow(db, draft_access=access)
    assert created.draft_access is WorkflowDraftAccess(access)
    assert created.draft_access == access
    with pytest.raises(ValidationError, match="draft_access must be one of"):
        await new_workflow(db, draft_access=f"{access}!")


async def test_slugs_come_from_the_given_one_or_the_name(db: Database) -> None:
    async def slug(name: str, given: str | None = None) -> str:
        return (await new_workflow(db, name, slug=given)).slug

    assert await slug("My Sample Flow") == "my-sample-flow"
    assert await slug("a_b") == "a-b"
    assert await slug("日本語") == "日本語"
    assert await slug("!!!") == "!!!"
    assert await slug("Name", " -Given: Slug- ") == "given-slug"
    assert await slug("Name", "") == "name"
    UUID(await slug("Name", "  "))
    assert [await slug("Twice"), await slug("Twice")] == ["twice", "twice"]


async def test_a_workflow_without_a_name_or_an_actor_is_refused(db: Database) -> None:
    for field, value in (("name", None), ("actor", None), ("actor", 3), ("slug", 3)):
        with pytest.raises(ValidationError):
            await new_workflow(db, **{"name": "Flow", field: value})
    assert await db.workflows.list_workflows() == []


async def test_a_missing_workflow_is_named_in_the_error(db: Database) -> None:
    with pytest.raises(WorkflowNotFoundError, match=f"^{MISSING}$"):
        await db.workflows.get_workflow(MISSING)
    with pytest.raises(RuntimeError):
        await db.workflows.get_workflow(MISSING)


async def test_ids_may_be_given_as_text(db: Database) -> None:
    created = await new_workflow(db)
    wanted: Any = str(created.id).upper()
    assert await db.workflows.get_workflow(wanted) == created
    for hostile in ("", "no-uuid", "x\0y", 7, None, b"1234567890123456"):
        with pytest.raises(ValidationError, match="workflow_id must be a UUID"):
            await db.workflows.get_workflow(hostile)  # type: ignore[arg-type]


async def test_workflows_are_listed_in_the_order_of_their_creation(
    timed: Database, clock: Clock
) -> None:
    created = []
    for name in ("c", "a", "b"):
        created.append(await new_workflow(timed, name))
        clock.tick()
    await change(timed, created[0].id, name="z")
    archived = await timed.workflows.archive_workflow(created[1].id, actor="ada")
    listed = await timed.workflows.list_workflows()
    assert [each.name for each in listed] == ["z", "b"]
    every = await timed.workflows.list_workflows(include_archived=True)
    assert [each.name for each in every] == ["z", "a", "b"]
    assert every[1] == archived


async def test_an_empty_database_lists_nothing(db: Database) -> None:
    assert await db.workflows.list_workflows(include_archived=True) == []
    assert (await db.workflows.page_workflows()).items == []
    assert (await db.workflows.page_workflows()).next_cursor is None


async def test_flags_must_be_booleans(db: Database) -> None:
    created = await new_workflow(db)
    wrong: Any = "yes"
    for call in (
        db.workflows.list_workflows(include_archived=wrong),
        db.workflows.resolve_workflow_ref("x", include_archived=wrong),
        db.workflows.publish_workflow(created.id, require_login=wrong, actor="a"),
        change(db, created.id, is_archived=wrong),
        change(db, created.id, clear_chatkit_supported_models=wrong),
    ):
        with pytest.raises(ValidationError, match="must be true or false"):
            await call
    assert await db.workflows.get_workflow(created.id) == created


# --- Publish -----------------------------------------------------------------------------------


@pytest.mark.parametrize("require_login", [True, False])
async def test_publishing_and_revoking(timed: Database, clock: Clock, require_login: bool) -> None:
    created = await new_workflow(timed)
    at = clock.tick()
    published = await timed.workflows.publish_workflow(
        created.id, require_login=require_login, actor="pub"
    )
    assert published.is_public
    assert published.published_at == published.updated_at == at
    assert published.published_by == "pub"
    assert published.require_login is require_login
    assert published.audit_log[1:] == [
        AuditRecord(
            actor="pub",
            action="workflow_published",
            at=at,
            metadata={"require_login": require_login},
        )
    ]
    assert await timed.workflows.get_workflow(created.id) == published

    at = clock.tick()
    revoked = await timed.workflows.revoke_publish(created.id, actor="rev")
    assert not revoked.is_public
    assert revoked.published_at is None
    assert revoked.published_by is None
    assert revoked.require_login is False
    assert revoked.updated_at == at
    assert revoked.audit_log[2:] == [
        AuditRecord(
            actor="rev",
            action="workflow_unpublished",
            at=at,
            metadata={"require_login": require_login},
        )
    ]
    assert await timed.workflows.get_workflow(created.id) == revoked


async def test_publishing_twice_and_revoking_what_is_not_public(db: Database) -> None:
    created = await new_workflow(db)
    with pytest.raises(WorkflowPublishStateError, match=r"^Workflow is not currently published\.$"):
        await db.workflows.revoke_publish(created.id, actor="ada")
    published = await db.workflows.publish_workflow(created.id, require_login=True, actor="ada")
    with pytest.raises(WorkflowPublishStateError, match=r"^Workflow is already published\.$"):
        await db.workflows.publish_workflow(created.id, require_login=False, actor="eve")
    assert await db.workflows.get_workflow(created.id) == published


async def test_what_is_missing_or_archived_can_be_neither_published_nor_revoked(
    db: Database,
) -> None:
    archived = await new_workflow(db)
    await db.workflows.archive_workflow(archived.id, actor="ada")
    for workflow_id in (MISSING, archived.id):
        with pytest.raises(WorkflowNotFoundError, match=f"^{workflow_id}$"):
            await db.workflows.publish_workflow(workflow_id, require_login=True, actor="ada")
        with pytest.raises(WorkflowNotFoundError, match=f"^{workflow_id}$"):
            await db.workflows.revoke_publish(workflow_id, actor="ada")


# --- Archive -----------------------------------------------------------------------------------


async def test_archiving_is_an_update_that_may_be_repeated(timed: Database, clock: Clock) -> None:
    created = await new_workflow(timed)
    clock.tick()
    once = await timed.workflows.archive_workflow(created.id, actor="ada")
    assert once.is_archived
    assert once.updated_at == clock.at
    assert once.audit_log[-1].metadata == {"is_archived": {"from": False, "to": True}}
    twice = await timed.workflows.archive_workflow(created.id, actor="eve")
    assert twice.is_archived
    assert [each.action for each in twice.audit_log] == [
        "workflow_created",
        "workflow_updated",
        "workflow_updated",
    ]
    assert twice.audit_log[-1].metadata == {}
    with pytest.raises(WorkflowNotFoundError, match=f"^{MISSING}$"):
        await timed.workflows.archive_workflow(MISSING, actor="ada")


async def test_archiving_ends_a_publication_with_a_record_of_its_own(
    timed: Database, clock: Clock
) -> None:
    created = await new_workflow(timed)
    await timed.workflows.publish_workflow(created.id, require_login=True, actor="ada")
    at = clock.tick()
    archived = await timed.workflows.archive_workflow(created.id, actor="eve")
    assert (archived.is_public, archived.published_at, archived.published_by) == (False, None, None)
    assert archived.require_login is False
    assert archived.audit_log[2:] == [
        AuditRecord(
            actor="eve", action="workflow_unpublished", at=at, metadata={"require_login": True}
        ),
        AuditRecord(
            actor="eve",
            action="workflow_updated",
            at=at,
            metadata={"is_archived": {"from": False, "to": True}},
        ),
    ]


async def test_unarchiving_does_not_publish_again(db: Database) -> None:
    created = await new_workflow(db)
    await db.workflows.publish_workflow(created.id, require_login=True, actor="ada")
    await db.workflows.archive_workflow(created.id, actor="ada")
    back = await change(db, created.id, is_archived=False)
    assert not back.is_archived
    assert not back.is_public
    assert back.audit_log[-1].metadata == {"is_archived": {"from": True, "to": False}}
    await db.workflows.publish_workflow(created.id, require_login=False, actor="ada")


async def test_an_archived_workflow_can_still_be_read_edited_and_versioned(db: Database) -> None:
    created = await new_workflow(db)
    await db.workflows.archive_workflow(created.id, actor="ada")
    edited = await change(db, created.id, name="Renamed", description="d", tags=["t"], handle="h")
    assert (edited.name, edited.description, edited.tags, edited.handle) == (
        "Renamed",
        "d",
        ["t"],
        "h",
    )
    assert edited.is_archived
    version = await new_version(db, created.id, {"a": 1})
    assert await db.workflows.get_latest_version(created.id) == version
    assert await db.workflows.get_workflow(created.id) == edited


async def test_a_workflow_that_breaks_a_rule_leaves_its_handle_free(db: Database) -> None:
    with pytest.raises(ValidationError):
        await new_workflow(db, "n" * 129, handle="wanted")
    await new_workflow(db, handle="wanted")
    with pytest.raises(WorkflowHandleConflictError):
        await new_workflow(db, handle="wanted")


async def test_reset_deletes_everything(db: Database, settings_of: dict[str, Any]) -> None:
    from tests.repositories.factories import finished_run, rows

    for _ in range(2):
        workflow = await new_workflow(db, handle="again")
        version = await new_version(db, workflow, {"word": "xylophone"})
        for _ in range(45):
            await change(db, workflow.id)
        run = await finished_run(db, version)
        await db.workflows.reset()
        assert await db.workflows.list_workflows(include_archived=True) == []
        assert (await db.workflows.page_runs()).items == []
        assert (await db.workflows.search_workflows("xylophone")).items == []
        for entity in (workflow, version, run):
            assert (await db.workflows.page_audit_records(entity.id)).items == []
    tables = [
        "workflows", "workflow_versions", "workflow_runs", "workflow_run_inputs",
        "workflow_run_outputs", "workflow_search", "workflow_run_search", "audit_records",
    ]  # fmt: skip
    for table in tables:
        assert await rows(settings_of, f"SELECT count(*) FROM {table}") == [(0,)], table
