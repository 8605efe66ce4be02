"""The weaknesses of the original that concern workflows, versions and runs: each is impossible here.

The numbers are the labels of the domain specification. What needs several processes is in tests/races.
"""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import (
    MISSING,
    NOON,
    Clock,
    Queries,
    change,
    direct,
    finished_run,
    follow,
    lead_to,
    new_run,
    new_version,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import (
    CredentialHealthError,
    Database,
    DecodeError,
    ForeignKeyViolationError,
    RunTransitionError,
    StoreError,
    ValidationError,
    WorkflowHandleConflictError,
    WorkflowNotFoundError,
    WorkflowRun,
)
from orcheo_sql._catalog import load_catalog

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from uuid import UUID


async def outcomes(*calls: Awaitable[Any]) -> tuple[list[Any], list[BaseException]]:
    """Run calls side by side; return what succeeded and what failed."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    failed = [result for result in results if isinstance(result, BaseException)]
    return [result for result in results if not isinstance(result, BaseException)], failed


async def test_w01_handles_work(db: Database) -> None:
    created = await new_workflow(db, handle="first")
    changed = await change(db, created.id, handle="second")
    assert await db.workflows.resolve_workflow_ref("second") == changed.id
    with pytest.raises(WorkflowHandleConflictError):
        await new_workflow(db, handle="second")


async def test_w15_of_two_racing_starts_one_wins(db: Database, other: Database) -> None:
    version = await workflow_with_version(db)
    for _ in range(5):
        run = await new_run(db, version)
        won, lost = await outcomes(
            *(
                store.workflows.mark_run_started(run.id, actor=f"worker {number}")
                for number in range(4)
                for store in (db, other)
            )
        )
        assert len(won) == 1
        assert {(type(e), str(e)) for e in lost} == {
            (RunTransitionError, "Only pending runs can be started.")
        }
        assert await db.workflows.get_run(run.id) == won[0]
        assert len(won[0].audit_log) == 2


async def test_w15_a_cancellation_is_not_overwritten_by_a_success(
    db: Database, other: Database
) -> None:
    version = await workflow_with_version(db)
    for _ in range(5):
        run = await lead_to(db, await new_run(db, version), "running")
        won, lost = await outcomes(
            db.workflows.mark_run_cancelled(run.id, actor="user", reason="stop"),
            other.workflows.mark_run_succeeded(run.id, actor="worker", output={"x": 1}),
            db.workflows.mark_run_failed(run.id, actor="worker", error="boom"),
        )
        assert (len(won), len(lost)) == (1, 2)
        assert all(isinstance(error, RunTransitionError) for error in lost)
        winner: WorkflowRun = won[0]
        assert await db.workflows.get_run(run.id) == winner
        assert [record.action for record in winner.audit_log] == [
            "run_created",
            "run_started",
            f"run_{winner.status}",
        ]
        assert (winner.output_payload is not None) == (winner.status == "succeeded")


async def test_w16_edits_of_different_fields_all_survive(db: Database, other: Database) -> None:
    workflow = await new_workflow(db, handle="before")
    await asyncio.gather(
        change(db, workflow.id, description="described"),
        other.workflows.publish_workflow(workflow.id, require_login=True, actor="pub"),
        change(other, workflow.id, tags=["tagged"]),
        change(db, workflow.id, handle="after"),
        change(other, workflow.id, chatkit_supported_models=[{"id": "m"}]),
        change(db, workflow.id, chatkit_start_screen_prompts=[{"label": "l", "prompt": "p"}]),
    )
    found = await db.workflows.get_workflow(workflow.id)
    assert (found.description, found.is_public, found.tags, found.handle) == (
        "described",
        True,
        ["tagged"],
        "after",
    )
    assert found.chatkit is not None
    assert found.chatkit.supported_models
    assert found.chatkit.start_screen_prompts
    assert len(found.audit_log) == 7
    assert [record.action for record in found.audit_log].count("workflow_published") == 1


async def test_w17_version_numbers_never_collide(db: Database, other: Database) -> None:
    workflow = await new_workflow(db)
    created, failed = await outcomes(
        *(new_version(store, workflow, {"n": n}) for n in range(4) for store in (db, other))
    )
    assert failed == []
    assert sorted(version.version for version in created) == list(range(1, 9))
    assert await db.workflows.list_versions(workflow.id) == sorted(
        created, key=lambda version: version.version
    )


async def test_w22_a_version_that_cannot_be_stored_leaves_no_trace(db: Database) -> None:
    workflow = await new_workflow(db)
    first = await new_version(db, workflow, {"w": "kept"})
    for wrong in (
        {"graph": {"index": object()}},
        {"metadata": {"a": float("nan")}},
        {"runnable_config": {"unknown": 1}},
        {"created_by": None},
        {"notes": 1},
    ):
        with pytest.raises(ValidationError):
            await new_version(db, workflow, **{"graph": {"w": "lost"}, **wrong})
    odd: dict[str, Any]
    for odd in ({"index": None}, {"index": []}, {"index": {"listeners": [1, None]}}):
        await new_version(db, workflow, odd)
    versions = await db.workflows.list_versions(workflow.id)
    assert [version.version for version in versions] == [1, 2, 3, 4]
    assert versions[0] == first
    assert (await db.workflows.search_workflows("lost")).items == []


async def test_w23_unarchiving_obeys_the_handle_rule(db: Database) -> None:
    archived = []
    for _ in range(2):
        created = await new_workflow(db)
        archived.append(await change(db, created.id, is_archived=True, handle="shared"))
    with pytest.raises(
        WorkflowHandleConflictError, match=r"^Workflow handle 'shared' is already in use\.$"
    ):
        await change(db, archived[1].id, is_archived=False)
    assert await db.workflows.get_workflow(archived[1].id) == archived[1]
    await change(db, archived[0].id, handle="other")
    assert not (await change(db, archived[1].id, is_archived=False)).is_archived
    with pytest.raises(WorkflowHandleConflictError):
        await new_workflow(db, handle="shared")


async def test_w23_a_race_for_a_handle_ends_with_one_holder(db: Database, other: Database) -> None:
    hidden = await change(db, (await new_workflow(db)).id, handle="wanted", is_archived=True)
    second = await change(db, (await new_workflow(db)).id, handle="wanted", is_archived=True)
    won, lost = await outcomes(
        change(db, hidden.id, is_archived=False), change(other, second.id, is_archived=False)
    )
    assert won == []
    assert [type(error) for error in lost] == [WorkflowHandleConflictError] * 2

    one, two = await new_workflow(db), await new_workflow(db)
    won, lost = await outcomes(
        new_workflow(db, "New", handle="raced"),
        new_workflow(other, "New", handle="raced"),
        change(db, one.id, handle="raced"),
        change(other, two.id, handle="raced"),
    )
    assert len(won) == 1
    assert {(type(e), str(e)) for e in lost} == {
        (WorkflowHandleConflictError, "Workflow handle 'raced' is already in use.")
    }
    assert await db.workflows.resolve_workflow_ref("raced") == won[0].id


async def test_w24_a_failed_change_is_not_half_applied(db: Database) -> None:
    workflow = await new_workflow(db, handle="before", description="d", tags=["t"])
    with pytest.raises(ValidationError, match="at most 128"):
        await change(db, workflow.id, handle="after", name="n" * 129, is_archived=True)
    await new_workflow(db, handle="taken")
    with pytest.raises(WorkflowHandleConflictError):
        await change(db, workflow.id, name="Other", tags=[], handle="taken")
    assert await db.workflows.get_workflow(workflow.id) == workflow
    assert await db.workflows.resolve_workflow_ref("before") == workflow.id
    with pytest.raises(WorkflowNotFoundError):
        await db.workflows.resolve_workflow_ref("after")


async def test_w25_the_trigger_text_cron_means_nothing_special(db: Database) -> None:
    version = await workflow_with_version(db)
    runs = [await new_run(db, version, triggered_by="cron") for _ in range(3)]
    assert {run.status for run in runs} == {"pending"}
    assert (await db.workflows.count_runs_by_status()).pending == 3


@pytest.mark.parametrize(
    "config", [{"recursion_limit": "many"}, {"unknown": 1}, {"tags": 5}, ["tags"], "config"]
)
async def test_w27_an_invalid_config_is_never_stored(db: Database, config: Any) -> None:
    version = await workflow_with_version(db, runnable_config={"tags": ["good"]})
    with pytest.raises(ValidationError):
        await new_version(db, version.workflow_id, runnable_config=config)
    with pytest.raises(ValidationError):
        await db.workflows.update_version_runnable_config(
            version.workflow_id, version_number=1, runnable_config=config, actor="ada"
        )
    assert await db.workflows.list_versions(version.workflow_id) == [version]
    assert (await new_run(db, version)).tags == ["good"]


async def test_w35_the_audit_log_tells_what_was_stored(db: Database) -> None:
    workflow = await new_workflow(db, "Name", description="text", tags=["a", "b"], handle="h")
    same = await change(
        db, workflow.id, name="  Name ", description=" text ", tags=["A", " b", "a"], handle=" H "
    )
    assert same.audit_log[-1].metadata == {}
    changed = await change(db, workflow.id, name=" New ", tags=["C "])
    assert changed.audit_log[-1].metadata == {
        "name": {"from": "Name", "to": "New"},
        "tags": {"from": ["a", "b"], "to": ["c"]},
    }
    assert (changed.name, changed.tags) == ("New", ["c"])


async def test_w37_an_override_touches_only_what_its_client_set(db: Database) -> None:
    class Model:
        def model_dump(self, *, mode: str, exclude_unset: bool = False) -> dict[str, Any]:
            every: dict[str, Any] = {
                "tags": ["mine"],
                "configurable": {},
                "run_name": None,
                "recursion_limit": None,
            }
            return {"tags": ["mine"]} if exclude_unset else every

    stored = {"configurable": {"a": 1}, "run_name": "n", "recursion_limit": 9, "tags": ["t"]}
    version = await workflow_with_version(db, runnable_config=stored)
    run = await new_run(db, version, runnable_config=Model())
    assert run.runnable_config == {**stored, "tags": ["mine"]}


async def test_w43_a_slow_credential_check_blocks_nobody(settings_of: dict[str, Any]) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    class Slow:
        async def ensure_workflow_health(
            self, workflow_id: UUID, *, actor: str | None = None
        ) -> None:
            asked.set()
            await answer.wait()

    async with Database(**settings_of, credentials=Slow()) as db:
        version = await workflow_with_version(db)
        creating = asyncio.create_task(new_run(db, version))
        async with asyncio.timeout(5):
            await asked.wait()
            await db.workflows.get_workflow(version.workflow_id)
            await change(db, version.workflow_id, name="Changed")
            await db.workflows.list_runs_for_workflow(version.workflow_id)
            async with db.transaction() as unit:
                await new_version(unit, version.workflow_id)
            assert not creating.done()
            answer.set()
            run = await creating
        assert await db.workflows.get_run(run.id) == run


async def test_w43_reads_run_side_by_side_with_a_unit_of_work(db: Database) -> None:
    version = await workflow_with_version(db)
    async with db.transaction() as unit, asyncio.timeout(5):
        await change(unit, version.workflow_id, name="Uncommitted")
        found = await asyncio.gather(
            *(db.workflows.get_workflow(version.workflow_id) for _ in range(12))
        )
    assert {workflow.name for workflow in found} == {"Flow"}


async def test_w44_each_operation_is_one_query(observed: Database, queries: Queries) -> None:
    repository = observed.workflows
    version = await workflow_with_version(observed, runnable_config={"tags": ["t"]})
    workflow_id = version.workflow_id
    queries.take()

    async def cost(call: Awaitable[Any]) -> Any:
        result = await call
        assert len(queries) == 1, list(queries)
        queries.take()
        return result

    await cost(new_workflow(observed, handle="h"))
    await cost(new_version(observed, workflow_id))
    run = await cost(new_run(observed, version))
    await cost(repository.mark_run_started(run.id, actor="w"))
    await cost(repository.mark_run_succeeded(run.id, actor="w", output={"a": 1}))
    failed = await cost(new_run(observed, version, actor="ada"))
    await cost(repository.mark_run_failed(failed.id, actor="w", error="e"))
    cancelled = await cost(new_run(observed, version))
    await cost(repository.mark_run_cancelled(cancelled.id, actor="w", reason=None))
    await cost(change(observed, workflow_id, name="N", tags=["x"], chatkit_supported_models=[]))
    await cost(repository.publish_workflow(workflow_id, require_login=True, actor="a"))
    await cost(repository.revoke_publish(workflow_id, actor="a"))
    await cost(repository.get_workflow(workflow_id))
    await cost(repository.resolve_workflow_ref("h"))
    await cost(repository.get_version(version.id))
    await cost(repository.get_version_by_number(workflow_id, 1))
    await cost(repository.get_latest_version(workflow_id))
    await cost(repository.diff_versions(workflow_id, 1, 2))
    await cost(
        repository.update_version_runnable_config(
            workflow_id, version_number=1, runnable_config={}, actor="a"
        )
    )
    await cost(repository.get_run(run.id))
    await cost(repository.archive_workflow(workflow_id, actor="a"))
    await new_run(observed, await workflow_with_version(observed), runnable_config={"tags": ["o"]})
    assert len(queries.take()) <= 5


async def test_w44_connections_are_kept(db: Database) -> None:
    version = await workflow_with_version(db)
    for number in range(30):
        await lead_to(db, await new_run(db, version, {"n": number}), "succeeded")
        await db.workflows.get_latest_version(version.workflow_id)
    (health,) = await db.health()
    assert health.pool is not None
    assert health.pool.size <= 3


async def test_w45_lists_are_one_query_however_long(observed: Database, queries: Queries) -> None:
    repository = observed.workflows
    for number in range(12):
        version = await workflow_with_version(observed, f"Flow {number}", {"large": "graph" * 100})
        await new_version(observed, version.workflow_id)
        await finished_run(observed, version)
    queries.take()
    for call in (
        repository.list_workflows(),
        repository.page_workflows(limit=5),
        repository.page_workflow_summaries(),
        repository.list_versions(version.workflow_id),
        repository.page_versions(version.workflow_id),
        repository.list_runs_for_workflow(version.workflow_id),
        repository.page_runs(status="succeeded", input_filter={}),
        repository.search_runs("manual"),
        repository.search_workflows("flow"),
        repository.count_runs_by_status(),
        repository.count_runs_by_status(workflow_id=version.workflow_id),
        repository.page_audit_records(version.workflow_id),
        repository.prune_runs(created_before=NOON),
    ):
        await call
        assert len(queries) == 1, list(queries)
        queries.take()
    summaries = await repository.page_workflow_summaries()
    assert [summary.latest_version for summary in summaries.items] == [2] * 12


async def test_w46_an_audit_trail_does_not_grow_its_entity(
    observed: Database, queries: Queries
) -> None:
    workflow = await new_workflow(observed)
    sizes = set()
    queries.take()
    for number in range(300):
        renamed = await change(observed, workflow.id, name=f"Name {number:03}")
        if number >= 60:
            sizes.add(len(renamed.audit_log))
    assert queries.take() == ["update_workflow"] * 300
    assert max(sizes) <= 41
    stored = await observed.workflows.get_workflow(workflow.id)
    assert 20 <= len(stored.audit_log) <= 40
    assert stored.audit_log[-1].metadata == {"name": {"from": "Name 298", "to": "Name 299"}}
    assert len(json.dumps(stored.audit_log[0].metadata)) < 100
    pages = await follow(partial(observed.workflows.page_audit_records, workflow.id))
    found = [entry for page in pages for entry in page]
    assert [entry.seq for entry in found] == list(range(1, 302))
    assert [entry.record.metadata["name"]["to"] for entry in found[1:]] == [
        f"Name {number:03}" for number in range(300)
    ]


async def test_w47_every_list_names_the_index_that_serves_it(db: Database, dialect: str) -> None:
    # That the planner takes it, is proved by `orcheo-sql sql check`.
    version = await workflow_with_version(db)
    await finished_run(db, version)
    catalog = load_catalog(dialect)  # type: ignore[arg-type]
    for query in catalog.namespace("workflows"):
        if query.name.startswith(("get_", "list_", "search_", "count_", "prune_", "resolve_")):
            assert query.tags.get("Index") or query.tags.get("Scan"), query.name


async def test_w48_entities_of_one_instant_keep_their_order(timed: Database) -> None:
    version = await workflow_with_version(timed)
    for number in range(20):
        await new_workflow(timed, f"Flow {number}")
        await new_run(timed, version)
    workflows = await timed.workflows.list_workflows()
    runs = await timed.workflows.list_runs_for_workflow(version.workflow_id)
    assert [each.id for each in workflows] == sorted(each.id for each in workflows)
    assert [each.id for each in runs] == sorted((each.id for each in runs), reverse=True)
    for run in runs[::3]:
        await lead_to(timed, run, "succeeded")
        await change(timed, workflows[3].id, name="Changed")
    again = await timed.workflows.list_runs_for_workflow(version.workflow_id)
    assert [each.id for each in again] == [each.id for each in runs]
    assert [each.id for each in await timed.workflows.list_workflows()] == [
        each.id for each in workflows
    ]


async def test_w51_nothing_is_parsed_to_know_that_a_workflow_exists(
    db: Database, settings_of: dict[str, Any]
) -> None:
    version = await workflow_with_version(db)
    empty = await new_workflow(db)
    async with direct(settings_of) as connection:
        await connection.execute("""UPDATE workflows SET chatkit = '{"supported_models": 5}'""")
    with pytest.raises(DecodeError, match=r"get_workflow: column chatkit does not fit Workflow"):
        await db.workflows.get_workflow(version.workflow_id)
    run = await new_run(db, version, runnable_config={"tags": ["t"]})
    await new_version(db, version.workflow_id)
    await db.workflows.mark_run_started(run.id, actor="w")
    assert await db.workflows.list_versions(empty.id) == []
    assert await db.workflows.list_runs_for_workflow(empty.id) == []
    assert len(await db.workflows.list_runs_for_workflow(version.workflow_id)) == 1


# --- W-53: every place where the backends of the original answered differently ------------------


async def test_w53_uuid_spellings(db: Database) -> None:
    workflow = await new_workflow(db)
    for spelling in (
        str(workflow.id).upper(),
        workflow.id.hex,
        f"{{{workflow.id}}}",
        f"urn:uuid:{workflow.id}",
    ):
        assert await db.workflows.resolve_workflow_ref(spelling) == workflow.id


async def test_w53_negative_limits(db: Database) -> None:
    version = await workflow_with_version(db)
    for call in (
        lambda: db.workflows.list_runs_for_workflow(version.workflow_id, limit=-1),
        lambda: db.workflows.page_runs(limit=-1),
        lambda: db.workflows.page_workflows(limit=-1),
        lambda: db.workflows.page_versions(version.workflow_id, limit=-1),
        lambda: db.workflows.search_runs("x", limit=-1),
    ):
        with pytest.raises(ValidationError, match=r"^limit must not be negative, but is -1$"):
            await call()


async def test_w53_payloads_beyond_json(db: Database) -> None:
    version = await workflow_with_version(db)
    run = await new_run(db, version, {"set": {2, 1}, "tuple": (1,), "nan": float("nan")})
    assert run.input_payload == {"set": [1, 2], "tuple": [1], "nan": "NaN"}
    assert await db.workflows.get_run(run.id) == run


async def test_w53_nul_characters(db: Database) -> None:
    version = await workflow_with_version(db)
    run = await new_run(db, version, {"body": "a\0b", "literal": "a\\u0000b"})
    assert run.input_payload == {"body": "a\\u0000b", "literal": "a\\u0000b"}
    assert await db.workflows.get_run(run.id) == run


async def test_w53_key_order_and_number_form(db: Database) -> None:
    document = {"zz": 1.5e300, "a": 1.0, "b": -0.0, "longer": {"y": 1, "x": 2}, "c": 100.0}
    version = await workflow_with_version(db, graph=document)
    run = await new_run(db, version, document)
    for found in (
        (await db.workflows.get_version(version.id)).graph,
        (await db.workflows.get_run(run.id)).input_payload,
    ):
        assert json.dumps(found) == json.dumps(document)


async def test_w53_health_comes_before_the_version(settings_of: dict[str, Any]) -> None:
    class Report:
        workflow_id = MISSING
        is_healthy = False
        failures = ("expired",)

    class Unhealthy:
        async def ensure_workflow_health(
            self, workflow_id: UUID, *, actor: str | None = None
        ) -> Report:
            return Report()

    async with Database(**settings_of, credentials=Unhealthy()) as db:
        workflow = await new_workflow(db)
        with pytest.raises(CredentialHealthError):
            await db.workflows.create_run(
                workflow.id, workflow_version_id=MISSING, triggered_by="m", input_payload={}
            )


async def test_w54_documents_of_a_newer_release_can_be_read(
    db: Database, settings_of: dict[str, Any]
) -> None:
    version = await workflow_with_version(db)
    chatkit = json.dumps(
        {
            "start_screen_prompts": [{"label": "l", "prompt": "p", "icon": None, "new": [1]}],
            "supported_models": [{"id": "m", "colour": "red"}],
            "theme": {"dark": True},
        }
    )
    record = {"actor": "z", "action": "later", "at": "2026-01-02T12:00:00.000000Z"}
    log = json.dumps([{**record, "metadata": {}, "origin": "import"}, record])
    async with direct(settings_of) as connection:
        await connection.execute(f"UPDATE workflows SET chatkit = '{chatkit}', audit_log = '{log}'")
        await connection.execute(f"UPDATE workflow_versions SET audit_log = '{log}'")
    found = await db.workflows.get_workflow(version.workflow_id)
    assert found.chatkit is not None
    assert found.chatkit.supported_models is not None
    assert [model.id for model in found.chatkit.supported_models] == ["m"]
    assert [record.action for record in found.audit_log] == ["later", "later"]
    assert found.audit_log[1].metadata == {}
    assert (await db.workflows.get_version(version.id)).audit_log == found.audit_log
    assert len((await db.workflows.page_audit_records(found.id)).items) == 2
    updated = await change(db, found.id, name="Renamed", clear_chatkit_supported_models=True)
    assert updated.chatkit is not None
    assert updated.chatkit.start_screen_prompts == found.chatkit.start_screen_prompts


async def test_w56_a_run_belongs_to_a_version_of_its_workflow_by_construction(
    db: Database, settings_of: dict[str, Any]
) -> None:
    mine, theirs = await workflow_with_version(db), await workflow_with_version(db)
    run = await new_run(db, mine)
    for change_to in (
        f"workflow_version_id = '{theirs.id}'",
        f"workflow_version_id = '{MISSING}'",
        f"workflow_id = '{theirs.workflow_id}'",
    ):
        async with direct(settings_of) as connection:
            with pytest.raises(Exception, match=r"(?i)foreign key"):
                await connection.execute(f"UPDATE workflow_runs SET {change_to}")
    assert await db.workflows.get_run(run.id) == run
    assert issubclass(ForeignKeyViolationError, StoreError)


async def test_w56_old_runs_can_be_removed(timed: Database, clock: Clock) -> None:
    version = await workflow_with_version(timed)
    for _ in range(25):
        await finished_run(timed, version)
    open_run = await new_run(timed, version)
    clock.tick()
    removed: list[int] = []
    while not removed or removed[-1] == 10:
        removed.append(await timed.workflows.prune_runs(created_before=clock.at, limit=10))
    assert removed == [10, 10, 5]
    assert await timed.workflows.list_runs_for_workflow(version.workflow_id) == [open_run]
