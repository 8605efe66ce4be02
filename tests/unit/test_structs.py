"""Structs: their document forms, mirrors, and what they refuse."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from orcheo_sql.structs import (
    AuditedEntity,
    AuditRecord,
    ChatKitStartScreenPrompt,
    ChatKitSupportedModel,
    Record,
    RunStatusCounts,
    VersionDiff,
    Workflow,
    WorkflowChatKitConfig,
    WorkflowDraftAccess,
    WorkflowRun,
    WorkflowRunStatus,
    WorkflowSummary,
    WorkflowVersion,
)

ID = UUID("00000000-0000-4000-8000-00000000000a")
OTHER = UUID("00000000-0000-4000-8000-00000000000b")
CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
UPDATED = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)

AUDITED: dict[str, Any] = {
    "id": ID,
    "created_at": CREATED,
    "updated_at": UPDATED,
    "audit_log": [AuditRecord(actor="ada", action="made", at=CREATED, metadata={"n": 1})],
}
AUDITED_DOCUMENT: dict[str, Any] = {
    "id": "00000000-0000-4000-8000-00000000000a",
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:06Z",
    "audit_log": [
        {
            "actor": "ada",
            "action": "made",
            "at": "2026-01-02T03:04:05.678901Z",
            "metadata": {"n": 1},
        }
    ],
}
PROMPT = {"label": "Hi", "prompt": "Say hi", "icon": None}
MODEL = {"id": "m1", "label": None, "description": "big", "disabled": False, "default": True}


def sample_workflow(**changes: Any) -> Workflow:
    return Workflow(**AUDITED, name="Flow", slug="flow", **changes)


WORKFLOW_DOCUMENT = AUDITED_DOCUMENT | {
    "name": "Flow",
    "handle": "flow-1",
    "slug": "flow",
    "description": "It flows.",
    "tags": ["a", "b"],
    "is_archived": True,
    "draft_access": "workspace",
    "is_public": True,
    "published_at": "2026-01-02T03:04:05.678901Z",
    "published_by": "ada",
    "require_login": True,
    "share_url": "https://example.org/chat/flow-1",
    "chatkit": {"start_screen_prompts": [PROMPT], "supported_models": [MODEL]},
}
WORKFLOW = sample_workflow(
    handle="flow-1",
    description="It flows.",
    tags=["a", "b"],
    is_archived=True,
    draft_access=WorkflowDraftAccess.WORKSPACE,
    is_public=True,
    published_at=CREATED,
    published_by="ada",
    require_login=True,
    share_url="https://example.org/chat/flow-1",
    chatkit=WorkflowChatKitConfig(
        start_screen_prompts=[ChatKitStartScreenPrompt(label="Hi", prompt="Say hi")],
        supported_models=[ChatKitSupportedModel(id="m1", description="big", default=True)],
    ),
)

BARE_WORKFLOW_DOCUMENT = AUDITED_DOCUMENT | {
    "name": "Flow",
    "handle": None,
    "slug": "flow",
    "description": None,
    "tags": [],
    "is_archived": False,
    "draft_access": "personal",
    "is_public": False,
    "published_at": None,
    "published_by": None,
    "require_login": False,
    "share_url": None,
    "chatkit": None,
}

VERSION_DOCUMENT = AUDITED_DOCUMENT | {
    "workflow_id": "00000000-0000-4000-8000-00000000000b",
    "version": 3,
    "graph": {"nodes": [1, 2.5, None]},
    "mermaid": None,
    "metadata": {"k": "v"},
    "runnable_config": {"tags": ["t"]},
    "created_by": "ada",
    "notes": "first",
}
VERSION = WorkflowVersion(
    **AUDITED,
    workflow_id=OTHER,
    version=3,
    graph={"nodes": [1, 2.5, None]},
    metadata={"k": "v"},
    runnable_config={"tags": ["t"]},
    created_by="ada",
    notes="first",
)

RUN_CONFIG: dict[str, Any] = {
    "configurable": {"x": 1},
    "tags": ["Prod"],
    "metadata": {"team": "a"},
    "callbacks": ["cb"],
    "run_name": "nightly",
}
RUN_DOCUMENT = AUDITED_DOCUMENT | {
    "workflow_version_id": "00000000-0000-4000-8000-00000000000b",
    "status": "failed",
    "triggered_by": "cron",
    "input_payload": {"a": 1},
    "runnable_config": RUN_CONFIG,
    "tags": ["Prod"],
    "callbacks": ["cb"],
    "metadata": {"team": "a"},
    "run_name": "nightly",
    "output_payload": {"b": 2},
    "started_at": "2026-01-02T03:04:05.678901Z",
    "completed_at": "2026-01-02T03:04:06Z",
    "error": "boom",
}
RUN = WorkflowRun(
    **AUDITED,
    workflow_version_id=OTHER,
    status=WorkflowRunStatus.FAILED,
    triggered_by="cron",
    input_payload={"a": 1},
    runnable_config=RUN_CONFIG,
    output_payload={"b": 2},
    started_at=CREATED,
    completed_at=UPDATED,
    error="boom",
)

BARE_RUN_DOCUMENT = AUDITED_DOCUMENT | {
    "workflow_version_id": "00000000-0000-4000-8000-00000000000b",
    "status": "pending",
    "triggered_by": "manual",
    "input_payload": {},
    "runnable_config": {},
    "tags": [],
    "callbacks": [],
    "metadata": {},
    "run_name": None,
    "output_payload": None,
    "started_at": None,
    "completed_at": None,
    "error": None,
}
BARE_RUN = WorkflowRun(**AUDITED, workflow_version_id=OTHER, triggered_by="manual")

SUMMARY_DOCUMENT = {
    "id": "00000000-0000-4000-8000-00000000000a",
    "handle": "flow-1",
    "slug": "flow",
    "name": "Flow",
    "description": None,
    "tags": ["a"],
    "draft_access": "authenticated",
    "is_archived": False,
    "is_public": True,
    "created_at": "2026-01-02T03:04:05.678901Z",
    "updated_at": "2026-01-02T03:04:06Z",
    "latest_version": 3,
    "latest_version_id": "00000000-0000-4000-8000-00000000000b",
    "latest_version_created_at": "2026-01-02T03:04:06Z",
}
SUMMARY = WorkflowSummary(
    id=ID,
    handle="flow-1",
    slug="flow",
    name="Flow",
    description=None,
    tags=["a"],
    draft_access=WorkflowDraftAccess.AUTHENTICATED,
    is_archived=False,
    is_public=True,
    created_at=CREATED,
    updated_at=UPDATED,
    latest_version=3,
    latest_version_id=OTHER,
    latest_version_created_at=UPDATED,
)

DOCUMENTS = [
    pytest.param(AUDITED["audit_log"][0], AUDITED_DOCUMENT["audit_log"][0], id="audit record"),
    pytest.param(WORKFLOW, WORKFLOW_DOCUMENT, id="workflow"),
    pytest.param(sample_workflow(), BARE_WORKFLOW_DOCUMENT, id="bare workflow"),
    pytest.param(VERSION, VERSION_DOCUMENT, id="version"),
    pytest.param(RUN, RUN_DOCUMENT, id="run"),
    pytest.param(BARE_RUN, BARE_RUN_DOCUMENT, id="bare run"),
    pytest.param(SUMMARY, SUMMARY_DOCUMENT, id="summary"),
    pytest.param(
        VersionDiff(1, 2, ["--- v1"]),
        {"base_version": 1, "target_version": 2, "diff": ["--- v1"]},
        id="diff",
    ),
    pytest.param(
        RunStatusCounts(pending=1),
        {"pending": 1, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0},
        id="counts",
    ),
]


@pytest.mark.parametrize(("entity", "document"), DOCUMENTS)
def test_document_form_is_exact_and_ordered(entity: Record, document: dict[str, Any]) -> None:
    produced = msgspec.to_builtins(entity)
    assert produced == document
    assert list(produced) == list(document)


@pytest.mark.parametrize(("entity", "document"), DOCUMENTS)
def test_document_form_loads_back(entity: Record, document: dict[str, Any]) -> None:
    assert msgspec.convert(document, type(entity)) == entity


@pytest.mark.parametrize("entity", [WORKFLOW, VERSION, RUN, SUMMARY])
def test_entities_refuse_unknown_fields(entity: Record) -> None:
    document = msgspec.to_builtins(entity) | {"surprise": 1}
    with pytest.raises(msgspec.ValidationError, match="surprise"):
        msgspec.convert(document, type(entity))


def test_stored_documents_of_a_newer_release_stay_readable() -> None:
    stored = (
        b'{"start_screen_prompts": [{"label": "a", "prompt": "b", "shiny": 1}],'
        b' "supported_models": [{"id": "m", "price": 2}], "theme": {}}'
    )
    config = msgspec.json.decode(stored, type=WorkflowChatKitConfig)
    assert config == WorkflowChatKitConfig(
        start_screen_prompts=[ChatKitStartScreenPrompt(label="a", prompt="b")],
        supported_models=[ChatKitSupportedModel(id="m")],
    )
    record = b'{"actor": "a", "action": "b", "at": "2026-01-02T03:04:05Z", "reason": "r"}'
    assert msgspec.json.decode(record, type=AuditRecord).metadata == {}


@pytest.mark.parametrize("entity", [WORKFLOW, VERSION, RUN, SUMMARY, VersionDiff(1, 2, [])])
def test_structs_are_frozen(entity: Record) -> None:
    with pytest.raises(AttributeError, match="immutable"):
        entity.created_at = CREATED  # type: ignore[attr-defined]


def test_every_column_of_a_summary_is_required() -> None:
    assert all(field.required for field in msgspec.structs.fields(WorkflowSummary))


def test_defaults_identify_and_date_a_new_entity() -> None:
    first, second = AuditedEntity(), AuditedEntity()
    assert first.id != second.id
    assert first.id.version == 4
    assert first.created_at.utcoffset() == timedelta(0)
    assert first.audit_log == []
    assert first.audit_log is not second.audit_log
    assert AuditRecord(actor="a", action="b").at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        ("pending", False),
        ("running", False),
        ("succeeded", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
def test_run_status_equals_its_text(status: str, terminal: bool) -> None:
    assert WorkflowRunStatus(status) == status
    assert f"{WorkflowRunStatus(status)}" == status
    assert WorkflowRunStatus(status).is_terminal is terminal
    assert type(msgspec.to_builtins(WorkflowRunStatus(status))) is str


def test_draft_access_values() -> None:
    assert list(WorkflowDraftAccess) == ["personal", "authenticated", "workspace"]


def test_chatkit_accessors() -> None:
    assert WORKFLOW.chatkit is not None
    assert WORKFLOW.chatkit_start_screen_prompts == WORKFLOW.chatkit.start_screen_prompts
    assert WORKFLOW.chatkit_supported_models == WORKFLOW.chatkit.supported_models
    assert sample_workflow().chatkit_start_screen_prompts is None
    assert sample_workflow().chatkit_supported_models is None


def make_run(**fields: Any) -> WorkflowRun:
    return WorkflowRun(workflow_version_id=ID, triggered_by="t", **fields)


def mirrors(run: WorkflowRun) -> tuple[Any, ...]:
    return run.tags, run.callbacks, run.metadata, run.run_name


def test_mirrors_are_the_declared_derived_fields() -> None:
    assert WorkflowRun.derived_fields == {"tags", "callbacks", "metadata", "run_name"}
    assert WorkflowRun.derived_fields < set(WorkflowRun.__struct_fields__)
    assert Workflow.derived_fields == WorkflowSummary.derived_fields == frozenset()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ([], [], {}, None)),
        ({"configurable": {"a": 1}}, ([], [], {}, None)),
        (RUN_CONFIG, (["Prod"], ["cb"], {"team": "a"}, "nightly")),
        ({"tags": None, "callbacks": None, "metadata": None}, ([], [], {}, None)),
    ],
)
@pytest.mark.parametrize(
    "passed",
    [
        {},
        {"tags": ["lie"], "callbacks": [0], "metadata": {"lie": 1}, "run_name": "lie"},
        {"run_name": ""},
        {"metadata": {"lie": 1}},
    ],
)
def test_mirrors_follow_the_config_whatever_is_passed(
    config: dict[str, Any], expected: tuple[Any, ...], passed: dict[str, Any]
) -> None:
    assert mirrors(make_run(runnable_config=config, **passed)) == expected


def test_mirrors_follow_a_replaced_config() -> None:
    run = make_run(runnable_config=RUN_CONFIG)
    replaced = msgspec.structs.replace(run, runnable_config={"tags": ["new"]})
    assert mirrors(replaced) == (["new"], [], {}, None)
    assert mirrors(msgspec.structs.replace(run, runnable_config={})) == ([], [], {}, None)


def test_mirrors_of_a_document_that_contradicts_its_config() -> None:
    document = RUN_DOCUMENT | {"tags": ["lie"], "run_name": None}
    assert msgspec.convert(document, WorkflowRun) == RUN


@pytest.mark.parametrize(
    ("graph", "canonical"),
    [
        ({}, b"{}"),
        (
            {"b": [1, {"d": None, "c": True}], "a": "x y"},
            b'{"a":"x y","b":[1,{"c":true,"d":null}]}',
        ),
        ({"ü": "日\n"}, b'{"\\u00fc":"\\u65e5\\n"}'),
        ({"f": 1.5, "e": 1e300}, b'{"e":1e+300,"f":1.5}'),
    ],
)
def test_checksum_is_that_of_the_canonical_text(graph: dict[str, Any], canonical: bytes) -> None:
    version = WorkflowVersion(workflow_id=ID, version=1, graph=graph, created_by="a")
    assert version.compute_checksum() == hashlib.sha256(canonical).hexdigest()


def test_checksum_of_the_empty_graph_is_well_known() -> None:
    # Computed with sha256sum over the two bytes "{}".
    assert WorkflowVersion(workflow_id=ID, version=1, created_by="a").compute_checksum() == (
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )


def test_counts_add_up() -> None:
    counts = RunStatusCounts(pending=1, running=20, succeeded=300, failed=4000, cancelled=50000)
    assert counts.total == 54321
    assert RunStatusCounts().total == 0
