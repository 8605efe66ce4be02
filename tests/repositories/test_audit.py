"""Audit trails: everything that happened, in order, however long it grows."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.repositories.factories import (
    MISSING,
    Clock,
    change,
    finished_run,
    follow,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import AuditEntry, AuditRecord, Database


async def trail(db: Database, entity_id: Any, limit: int = 50) -> list[AuditEntry]:
    pages = await follow(partial(db.workflows.page_audit_records, entity_id, limit=limit))
    return [entry for page in pages for entry in page]


async def test_the_trail_of_each_kind_of_entity(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    await timed.workflows.publish_workflow(version.workflow_id, require_login=True, actor="p")
    clock.tick()
    workflow = await timed.workflows.archive_workflow(version.workflow_id, actor="a")
    await change(timed, workflow.id, is_archived=False)
    workflow = await timed.workflows.publish_workflow(workflow.id, require_login=False, actor="p")
    run = await finished_run(timed, version)
    version = await timed.workflows.update_version_runnable_config(
        workflow.id, version_number=1, runnable_config={}, actor="v"
    )
    for entity, actions in (
        (
            workflow,
            (
                "workflow_created workflow_published workflow_unpublished workflow_updated "
                "workflow_updated workflow_published"
            ),
        ),
        (version, "version_created version_runnable_config_updated"),
        (run, "run_created run_started run_succeeded"),
    ):
        assert " ".join(record.action for record in entity.audit_log) == actions
        assert await trail(timed, entity.id) == [
            AuditEntry(seq=seq, record=record)
            for seq, record in enumerate(entity.audit_log, start=1)
        ]


async def test_nothing_has_an_empty_trail(db: Database) -> None:
    page = await db.workflows.page_audit_records(MISSING)
    assert (page.items, page.next_cursor) == ([], None)


async def test_a_long_trail_is_complete_and_in_order(timed: Database, clock: Clock) -> None:
    created = await new_workflow(timed, "Name 0")
    expected = list(created.audit_log)
    for number in range(1, 101):
        at = clock.tick()
        updated = await change(timed, created.id, name=f"Name {number}", actor=f"actor {number}")
        expected.append(
            AuditRecord(
                actor=f"actor {number}",
                action="workflow_updated",
                at=at,
                metadata={"name": {"from": f"Name {number - 1}", "to": f"Name {number}"}},
            )
        )
        assert updated.audit_log[-1] == expected[-1]
        assert updated.updated_at == at
        kept = (await timed.workflows.get_workflow(created.id)).audit_log
        assert kept == expected[-len(kept) :]
        assert min(20, len(expected)) <= len(kept) <= 40
    for limit in (7, 20, 1000):
        found = await trail(timed, created.id, limit)
        assert [entry.record for entry in found] == expected
        assert [entry.seq for entry in found] == list(range(1, 102))


async def test_the_trail_of_a_version_grows_alike(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    for number in range(60):
        clock.tick()
        await timed.workflows.update_version_runnable_config(
            version.workflow_id,
            version_number=1,
            runnable_config={"run_name": f"r{number}"},
            actor=f"actor {number}",
        )
    stored = await timed.workflows.get_version(version.id)
    assert 20 <= len(stored.audit_log) <= 40
    actors = [entry.record.actor for entry in await trail(timed, version.id)]
    assert actors == ["ada", *(f"actor {number}" for number in range(60))]


async def test_records_that_move_on_between_two_pages_are_neither_lost_nor_repeated(
    timed: Database,
) -> None:
    created = await new_workflow(timed)
    for _ in range(35):
        await change(timed, created.id)
    first = await timed.workflows.page_audit_records(created.id, limit=30)
    for _ in range(30):
        await change(timed, created.id)
    second = await timed.workflows.page_audit_records(created.id, cursor=first.next_cursor)
    assert [entry.seq for entry in first.items + second.items] == list(range(1, 67))


async def test_two_trails_do_not_mix(timed: Database) -> None:
    one, two = await new_workflow(timed, "One"), await new_workflow(timed, "Two")
    for number in range(50):
        await change(timed, one.id, actor="one")
        if number % 2:
            await change(timed, two.id, actor="two")
    assert {entry.record.actor for entry in await trail(timed, one.id)} == {"ada", "one"}
    assert [entry.seq for entry in await trail(timed, two.id)] == list(range(1, 27))


async def test_a_record_survives_what_comes_after_an_archiving_that_spills(
    timed: Database,
) -> None:
    created = await new_workflow(timed)
    await timed.workflows.publish_workflow(created.id, require_login=True, actor="pub")
    for _ in range(38):
        await change(timed, created.id)
    archived = await timed.workflows.archive_workflow(created.id, actor="arc")
    assert [record.action for record in archived.audit_log[-2:]] == [
        "workflow_unpublished",
        "workflow_updated",
    ]
    found = await trail(timed, created.id)
    assert [entry.seq for entry in found] == list(range(1, 43))
    assert [entry.record for entry in found[-2:]] == archived.audit_log[-2:]
    stored = await timed.workflows.get_workflow(created.id)
    assert len(stored.audit_log) == 20


async def test_a_deleted_workflow_takes_its_trail_along(db: Database) -> None:
    created = await new_workflow(db)
    for _ in range(45):
        await change(db, created.id)
    await db.workflows.reset()
    assert await trail(db, created.id) == []
