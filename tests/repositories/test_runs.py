"""Runs: created from a version, led through their states."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import pytest
from tests.repositories.factories import (
    MISSING,
    NOON,
    Clock,
    lead_to,
    new_run,
    new_version,
    new_workflow,
    workflow_with_version,
)

from orcheo_sql import (
    AuditRecord,
    Database,
    EncodingError,
    RunTransitionError,
    ValidationError,
    WorkflowNotFoundError,
    WorkflowRun,
    WorkflowRunNotFoundError,
    WorkflowRunStatus,
    WorkflowVersionNotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STATUSES = [str(status) for status in WorkflowRunStatus]


async def test_a_new_run_has_all_its_fields(timed: Database, clock: Clock) -> None:
    config = {"tags": ["T"], "run_name": "n", "metadata": {"k": 1}, "callbacks": ["c"]}
    version = await workflow_with_version(timed, runnable_config=config)
    at = clock.tick()
    created = await timed.workflows.create_run(
        version.workflow_id,
        workflow_version_id=version.id,
        triggered_by="manual",
        input_payload={"question": "why?"},
        actor="ada",
    )
    assert created == WorkflowRun(
        id=created.id,
        created_at=at,
        updated_at=at,
        audit_log=[AuditRecord(actor="ada", action="run_created", at=at, metadata={})],
        workflow_version_id=version.id,
        status=WorkflowRunStatus.PENDING,
        triggered_by="manual",
        input_payload={"question": "why?"},
        runnable_config=config,
        tags=["T"],
        callbacks=["c"],
        metadata={"k": 1},
        run_name="n",
        output_payload=None,
        started_at=None,
        completed_at=None,
        error=None,
    )
    assert created.id.version == 4
    assert created.status == "pending"
    assert await timed.workflows.get_run(created.id) == created


async def test_the_trigger_stands_in_for_a_missing_actor(db: Database) -> None:
    version = await workflow_with_version(db)
    for actor in (None, ""):
        run = await new_run(db, version, triggered_by="nightly batch", actor=actor)
        assert run.audit_log[0].actor == "nightly batch"


async def test_a_run_needs_an_active_workflow_and_one_of_its_versions(db: Database) -> None:
    version = await workflow_with_version(db)
    foreign = await workflow_with_version(db)

    async def create(workflow_id: Any, version_id: Any, **fields: Any) -> None:
        await db.workflows.create_run(
            workflow_id,
            workflow_version_id=version_id,
            triggered_by="manual",
            input_payload={},
            **fields,
        )

    for override in ({}, {"runnable_config": {"tags": ["a"]}}):
        with pytest.raises(WorkflowNotFoundError, match=f"^{MISSING}$"):
            await create(MISSING, version.id, **override)
        for wrong in (MISSING, foreign.id):
            with pytest.raises(WorkflowVersionNotFoundError, match=f"^{wrong}$"):
                await create(version.workflow_id, wrong, **override)
    await db.workflows.archive_workflow(version.workflow_id, actor="ada")
    for version_id in (version.id, MISSING):
        with pytest.raises(WorkflowNotFoundError, match=f"^{version.workflow_id}$"):
            await create(version.workflow_id, version_id, runnable_config={"unknown": 1})
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_the_version_is_looked_for_before_the_config_is_checked(db: Database) -> None:
    version = await workflow_with_version(db)
    with pytest.raises(WorkflowVersionNotFoundError):
        await db.workflows.create_run(
            version.workflow_id,
            workflow_version_id=MISSING,
            triggered_by="manual",
            input_payload={},
            runnable_config={"unknown": 1},
        )
    with pytest.raises(ValidationError, match="unknown"):
        await new_run(db, version, runnable_config={"unknown": 1})
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_arguments_that_are_none_of_theirs_are_refused(db: Database) -> None:
    version = await workflow_with_version(db)
    for fields, text in (
        ({"triggered_by": None}, "triggered_by must be text"),
        ({"triggered_by": "a\0b"}, "triggered_by must not contain NUL"),
        ({"actor": 3}, "actor must be text"),
        ({"actor": "\ud800"}, "actor must not contain lone surrogates"),
        ({"runnable_config": "tags"}, "runnable_config must be a mapping"),
        ({"payload": []}, "input_payload must be a mapping"),
        ({"payload": "{}"}, "input_payload must be a mapping"),
    ):
        with pytest.raises(ValidationError, match=text):
            await new_run(db, version, **fields)
    with pytest.raises(EncodingError, match=r"^input_payload\.a\[1\]"):
        await new_run(db, version, {"a": [1, object()]})
    assert await db.workflows.list_runs_for_workflow(version.workflow_id) == []


async def test_any_trigger_text_may_be_used_again(db: Database) -> None:
    version = await workflow_with_version(db)
    long = "".join(random.Random(1).choices("0123456789абвгдежз", k=5000))
    for trigger in ("cron", "cron", "", long, f"{long[:-1]}!", "定時"):
        run = await new_run(db, version, triggered_by=trigger)
        assert (await db.workflows.get_run(run.id)).triggered_by == trigger


async def test_a_run_belongs_to_the_version_it_was_created_from(db: Database) -> None:
    workflow = await new_workflow(db)
    first = await new_version(db, workflow, {"v": 1})
    await new_version(db, workflow, {"v": 2})
    assert (await new_run(db, first)).workflow_version_id == first.id


async def test_a_missing_run_is_named_in_the_error(db: Database) -> None:
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: db.workflows.get_run(MISSING),
        lambda: db.workflows.mark_run_started(MISSING, actor="a"),
        lambda: db.workflows.mark_run_succeeded(MISSING, actor="a", output=None),
        lambda: db.workflows.mark_run_failed(MISSING, actor="a", error="e"),
        lambda: db.workflows.mark_run_cancelled(MISSING, actor="a", reason=None),
    ]
    for call in calls:
        with pytest.raises(WorkflowRunNotFoundError, match=f"^{MISSING}$"):
            await call()


# --- Config ------------------------------------------------------------------------------------


class Override:
    """What a web framework's model looks like to us: it knows which fields its client set."""

    def __init__(self, **given: Any):
        self.given = given

    def model_dump(self, *, mode: str = "python", exclude_unset: bool = False) -> dict[str, Any]:
        unset: dict[str, Any] = {"configurable": {}, "tags": [], "metadata": {}, "run_name": None}
        return self.given if exclude_unset else {**unset, **self.given}


@pytest.mark.parametrize(
    ("stored", "override", "result"),
    [
        ({"configurable": {"a": 1, "b": {"x": 1}}}, {"configurable": {"b": {"y": 2}}},
         {"configurable": {"a": 1, "b": {"y": 2}}}),
        ({"configurable": {"a": 1}}, {"configurable": {}}, {}),
        ({"metadata": {"a": 1}}, {"metadata": {"b": 2}}, {"metadata": {"a": 1, "b": 2}}),
        ({"metadata": {"a": 1}}, {"metadata": {}}, {}),
        ({"prompts": {"p": {"text": "P"}, "q": {"text": "Q"}}}, {"prompts": {"p": {"text": "P2"}}},
         {"prompts": {"p": {"text": "P2"}, "q": {"text": "Q"}}}),
        ({"prompts": {"p": {"text": "P"}}}, {"prompts": None}, {}),
        ({"tags": ["t"]}, {"tags": []}, {}),
        ({"tags": ["t"]}, {"tags": ["U", " u", "v"]}, {"tags": ["U", "v"]}),
        ({"callbacks": [1]}, {"callbacks": [{"x": 2}]}, {"callbacks": [{"x": 2}]}),
        ({"run_name": "a"}, {"run_name": " "}, {}),
        ({"recursion_limit": 5, "max_concurrency": 2}, {"recursion_limit": None},
         {"max_concurrency": 2}),
        ({"tags": ["t"], "run_name": "a"}, None, {"tags": ["t"], "run_name": "a"}),
        ({"tags": ["t"], "run_name": "a"}, {}, {"tags": ["t"], "run_name": "a"}),
        ({"tags": ["t"], "run_name": "a"}, Override(tags=["u"]), {"tags": ["u"], "run_name": "a"}),
        ({"tags": ["t"], "run_name": "a"}, Override(), {"tags": ["t"], "run_name": "a"}),
        (None, {"tags": ["t"], "recursion_limit": 250}, {"tags": ["t"], "recursion_limit": 250}),
        ({"prompts": {"p": {"text": "P", "requires_grad": False, "type": "TextTensor"}}}, None,
         {"prompts": {"p": {"text": "P"}}}),
        (None, None, {}),
    ],
)  # fmt: skip
async def test_an_override_is_merged_over_the_stored_config(
    db: Database, stored: Any, override: Any, result: dict[str, Any]
) -> None:
    version = await workflow_with_version(db, runnable_config=stored)
    run = await new_run(db, version, runnable_config=override)
    assert run.runnable_config == result
    assert run.tags == result.get("tags", [])
    assert run.callbacks == result.get("callbacks", [])
    assert run.metadata == result.get("metadata", {})
    assert run.run_name == result.get("run_name")
    assert await db.workflows.get_run(run.id) == run


@pytest.mark.parametrize(
    "config",
    [
        {"unknown": 1},
        {"recursion_limit": 0},
        {"recursion_limit": 251},
        {"max_concurrency": 33},
        {"max_concurrency": True},
        {"tags": "t"},
        {"tags": [1]},
        {"run_name": 1},
        {"configurable": [1]},
        {"configurable": {"a": float("nan")}},
        {"metadata": {"a": "\0"}},
        {"callbacks": {"a": 1}},
        {"prompts": {"p": {}}},
        {"prompts": {"p": {"text": "P", "type": "Other"}}},
        {"prompts": {"p": {"text": "P", "extra": 1}}},
    ],
)
async def test_a_config_that_breaks_a_rule_is_refused_wherever_it_comes_from(
    db: Database, config: dict[str, Any]
) -> None:
    workflow = await new_workflow(db)
    version = await new_version(db, workflow)
    with pytest.raises(ValidationError):
        await new_version(db, workflow, runnable_config=config)
    with pytest.raises(ValidationError):
        await db.workflows.update_version_runnable_config(
            workflow.id, version_number=1, runnable_config=config, actor="ada"
        )
    with pytest.raises(ValidationError):
        await new_run(db, version, runnable_config=config)
    assert await db.workflows.list_versions(workflow.id) == [version]
    assert await db.workflows.list_runs_for_workflow(workflow.id) == []


# --- States ------------------------------------------------------------------------------------


async def test_the_life_of_a_run_that_succeeds(timed: Database, clock: Clock) -> None:
    run = await new_run(timed, await workflow_with_version(timed), {"in": 1})
    at = clock.tick()
    started = await timed.workflows.mark_run_started(run.id, actor="worker")
    assert started.status is WorkflowRunStatus.RUNNING
    assert (started.started_at, started.completed_at, started.updated_at) == (at, None, at)
    assert started.audit_log == [
        *run.audit_log,
        AuditRecord(actor="worker", action="run_started", at=at, metadata={}),
    ]
    assert started.input_payload == {"in": 1}
    assert await timed.workflows.get_run(run.id) == started

    end = clock.tick()
    done = await timed.workflows.mark_run_succeeded(run.id, actor="worker", output={"out": [2]})
    assert done.status is WorkflowRunStatus.SUCCEEDED
    assert (done.started_at, done.completed_at, done.updated_at) == (at, end, end)
    assert (done.output_payload, done.error) == ({"out": [2]}, None)
    assert done.audit_log == [
        *started.audit_log,
        AuditRecord(actor="worker", action="run_succeeded", at=end, metadata={}),
    ]
    assert done.created_at == NOON
    assert await timed.workflows.get_run(run.id) == done


@pytest.mark.parametrize("output", [None, {}])
async def test_no_output_is_kept_as_an_empty_one(db: Database, output: Any) -> None:
    run = await lead_to(db, await new_run(db, await workflow_with_version(db)), "running")
    done = await db.workflows.mark_run_succeeded(run.id, actor="worker", output=output)
    assert done.output_payload == {}
    assert (await db.workflows.get_run(run.id)).output_payload == {}


async def test_an_output_is_a_mapping_that_json_can_say(db: Database) -> None:
    run = await lead_to(db, await new_run(db, await workflow_with_version(db)), "running")
    for wrong in ([1], "text", 3):
        with pytest.raises(ValidationError, match="output must be a mapping"):
            await db.workflows.mark_run_succeeded(run.id, actor="a", output=wrong)  # type: ignore[arg-type]
    with pytest.raises(EncodingError, match=r"^output\.x"):
        await db.workflows.mark_run_succeeded(run.id, actor="a", output={"x": object()})
    assert await db.workflows.get_run(run.id) == run


@pytest.mark.parametrize("status", ["pending", "running"])
async def test_a_run_that_fails_keeps_its_error(timed: Database, clock: Clock, status: str) -> None:
    run = await lead_to(timed, await new_run(timed, await workflow_with_version(timed)), status)
    at = clock.tick()
    failed = await timed.workflows.mark_run_failed(run.id, actor="worker", error="disk full")
    assert failed.status is WorkflowRunStatus.FAILED
    assert (failed.completed_at, failed.updated_at, failed.error) == (at, at, "disk full")
    assert failed.started_at == run.started_at
    assert failed.output_payload is None
    assert failed.audit_log == [
        *run.audit_log,
        AuditRecord(actor="worker", action="run_failed", at=at, metadata={"error": "disk full"}),
    ]
    assert await timed.workflows.get_run(run.id) == failed


@pytest.mark.parametrize(
    ("reason", "metadata"), [("enough", {"reason": "enough"}), ("", {}), (None, {})]
)
@pytest.mark.parametrize("status", ["pending", "running"])
async def test_a_run_that_is_cancelled_keeps_the_reason(
    timed: Database, clock: Clock, status: str, reason: str | None, metadata: dict[str, str]
) -> None:
    run = await lead_to(timed, await new_run(timed, await workflow_with_version(timed)), status)
    at = clock.tick()
    cancelled = await timed.workflows.mark_run_cancelled(run.id, actor="ada", reason=reason)
    assert cancelled.status is WorkflowRunStatus.CANCELLED
    assert (cancelled.completed_at, cancelled.updated_at, cancelled.error) == (at, at, reason)
    assert cancelled.audit_log == [
        *run.audit_log,
        AuditRecord(actor="ada", action="run_cancelled", at=at, metadata=metadata),
    ]
    assert await timed.workflows.get_run(run.id) == cancelled


ALLOWED = {
    "start": {"pending"},
    "succeed": {"running"},
    "fail": {"pending", "running"},
    "cancel": {"pending", "running"},
}
REFUSALS = {
    "start": "Only pending runs can be started.",
    "succeed": "Only running runs can be marked as succeeded.",
    "fail": "Only pending or running runs can be marked as failed.",
    "cancel": "Cannot cancel a run that is already completed.",
}


@pytest.mark.parametrize("status", STATUSES)
async def test_each_transition_is_allowed_from_its_states_only(db: Database, status: str) -> None:
    version = await workflow_with_version(db)
    transitions: dict[str, Callable[[Any], Awaitable[WorkflowRun]]] = {
        "start": lambda run_id: db.workflows.mark_run_started(run_id, actor="x"),
        "succeed": lambda run_id: db.workflows.mark_run_succeeded(
            run_id, actor="x", output={"new": 1}
        ),
        "fail": lambda run_id: db.workflows.mark_run_failed(run_id, actor="x", error="new"),
        "cancel": lambda run_id: db.workflows.mark_run_cancelled(run_id, actor="x", reason="new"),
    }
    for name, transition in transitions.items():
        run = await lead_to(db, await new_run(db, version), status)
        assert run.status == status
        if status in ALLOWED[name]:
            moved = await transition(run.id)
            assert len(moved.audit_log) == len(run.audit_log) + 1
            continue
        with pytest.raises(RunTransitionError) as refused:
            await transition(run.id)
        assert str(refused.value) == REFUSALS[name]
        assert isinstance(refused.value, ValueError)
        assert await db.workflows.get_run(run.id) == run


async def test_runs_of_an_archived_workflow_go_on(db: Database) -> None:
    version = await workflow_with_version(db)
    runs = [await new_run(db, version) for _ in range(3)]
    await db.workflows.archive_workflow(version.workflow_id, actor="ada")
    for run, status in zip(runs, ("succeeded", "failed", "cancelled"), strict=True):
        assert (await lead_to(db, run, status)).status == status


async def test_only_finished_states_are_terminal() -> None:
    assert [s for s in WorkflowRunStatus if not s.is_terminal] == ["pending", "running"]


async def test_a_time_without_zone_means_utc(timed: Database, clock: Clock) -> None:
    clock.at = dt.datetime(2026, 3, 1, 12, 0)  # noqa: DTZ001
    run = await new_run(timed, await workflow_with_version(timed))
    assert run.created_at == dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
    assert await timed.workflows.get_run(run.id) == run
