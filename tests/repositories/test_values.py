"""What comes back is what was sent, to the last digit; what no database can hold has one documented fate."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
import pytest
from tests.repositories.factories import (
    NOON,
    Clock,
    change,
    lead_to,
    new_run,
    new_version,
    new_workflow,
    rows,
    workflow_with_version,
)

from orcheo_sql import Database, ValidationError

FAITHFUL: dict[str, Any] = {
    "z": 1,
    "a": {"z": [], "b": {}, "a": None},
    "": {"": ""},
    "numbers": [
        0, -0.0, 0.0, 1.0, 1e2, 1.5e300, 5e-324, 1.7976931348623157e308, 0.1, 1e-7, 123456789.123456789,
        2**53 + 1, 2**63 - 1, -(2**63), 10**18, True, False, 1e15, 1e16, 1e21, 100000000000000000000.0,
    ],
    "texts": [
        "", " ", "é", "é", "日本語", "🎉👩‍👩‍👧", "\u2028\u2029", "\x01\x1f\x7f\x80", "\ufeff", "\uffff", "\ue000",
        "\\u0000", "\\", '"', "'", "</script>", "%s %(a)s", ":name $1 ?", "a\tb\r\nc", "\U0010ffff",
    ],
    "key \" ' \\ \n é": 1,
    "0": "a number as key",
    "__proto__": {"constructor": 1},
}  # fmt: skip


def written(document: Any) -> str:
    """Return a document as text in which order, types and digits show."""
    return json.dumps(document)


async def test_documents_come_back_as_they_were_sent(db: Database) -> None:
    workflow = await new_workflow(db)
    config = {"configurable": FAITHFUL, "metadata": FAITHFUL, "callbacks": [FAITHFUL]}
    version = await new_version(db, workflow, FAITHFUL, metadata=FAITHFUL, runnable_config=config)
    run = await new_run(db, version, FAITHFUL, runnable_config={"metadata": {"more": FAITHFUL}})
    await lead_to(db, run, "running")
    done = await db.workflows.mark_run_succeeded(run.id, actor="w", output=FAITHFUL)

    expected = written(FAITHFUL)
    for found in (
        version,
        await db.workflows.get_version(version.id),
        (await db.workflows.list_versions(workflow.id))[0],
    ):
        assert written(found.graph) == written(found.metadata) == expected
        assert written(found.runnable_config) == written(config)
    for seen in (
        done,
        await db.workflows.get_run(run.id),
        (await db.workflows.list_runs_for_workflow(workflow.id))[0],
        (await db.workflows.page_runs(status="succeeded")).items[0],
        (await db.workflows.search_runs("日本語")).items[0],
    ):
        assert written(seen.input_payload) == written(seen.output_payload) == expected
        assert written(seen.metadata) == written({**FAITHFUL, "more": FAITHFUL})
        assert written(seen.runnable_config["configurable"]) == expected


async def test_both_databases_store_the_same_bytes(
    db: Database, settings_of: dict[str, Any]
) -> None:
    version = await workflow_with_version(db, graph=FAITHFUL)
    await new_run(db, version, FAITHFUL)
    expected = msgspec.json.encode(FAITHFUL).decode()
    for column in ("graph FROM workflow_versions", "input_payload FROM workflow_run_inputs"):
        table = column.partition(" ")[0]
        stored = await rows(settings_of, f"SELECT CAST({table} AS text) {column[len(table) :]}")
        assert stored == [(expected,)]


async def test_a_document_may_be_as_deep_as_the_limit(db: Database) -> None:
    def deep(levels: int) -> dict[str, Any]:
        document: dict[str, Any] = {"bottom": 1}
        for _ in range(levels - 1):
            document = {"k": document}
        return document

    version = await workflow_with_version(db, graph=deep(200))
    assert version.graph == deep(200)
    run = await new_run(db, version, deep(200))
    assert (await db.workflows.get_run(run.id)).input_payload == deep(200)
    with pytest.raises(ValidationError, match=r"^graph\.k.*nested deeper than 200 levels"):
        await new_version(db, version.workflow_id, deep(201))
    # Records are never refused: what is deeper becomes text.
    run = await new_run(db, version, deep(203))
    bottom: Any = (await db.workflows.get_run(run.id)).input_payload
    for _ in range(200):
        bottom = bottom["k"]
    assert bottom == '{"k":{"k":{"bottom":1}}}'
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    await db.workflows.mark_run_started(run.id, actor="ada")
    done = await db.workflows.mark_run_succeeded(run.id, actor="ada", output=loop)
    assert await db.workflows.get_run(run.id) == done


class Colour(enum.Enum):
    RED = "red"


class Trigger(str, enum.Enum):  # noqa: UP042 - the kind whose str() is its name
    NIGHTLY = "nightly"


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Item(msgspec.Struct):
    name: str
    at: dt.datetime


async def test_values_without_a_json_type_become_text(db: Database) -> None:
    given = {
        "tuple": (1, 2),
        "set": {"b", "a"},
        "time": dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        "naive": dt.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001
        "date": dt.date(2026, 1, 2),
        "id": UUID(int=1),
        "enum": Colour.RED,
        "decimal": Decimal("1.10"),
        "bytes": b"\x00\xff",
        "point": Point(1, 2.5),
        "item": Item("n", NOON),
        3: {None: 1},
    }
    expected = {
        "tuple": [1, 2],
        "set": ["a", "b"],
        "time": "2026-01-02T01:04:05.000006Z",
        "naive": "2026-01-02T03:04:05Z",
        "date": "2026-01-02",
        "id": "00000000-0000-0000-0000-000000000001",
        "enum": "red",
        "decimal": "1.10",
        "bytes": "AP8=",
        "point": {"x": 1, "y": 2.5},
        "item": {"name": "n", "at": "2026-01-02T12:00:00.123456Z"},
        "3": {"null": 1},
    }
    version = await workflow_with_version(db, graph=given)
    run = await new_run(db, version, given)  # type: ignore[arg-type]
    for found in (version.graph, run.input_payload):
        assert written(found) == written(expected)
    assert (await db.workflows.get_version(version.id)).graph == expected
    assert (await db.workflows.get_run(run.id)).input_payload == expected


async def test_the_text_of_an_enum_is_its_value(db: Database) -> None:
    workflow = await new_workflow(
        db, Trigger.NIGHTLY, tags=[Trigger.NIGHTLY], actor=Trigger.NIGHTLY
    )
    assert (workflow.name, workflow.slug, workflow.tags) == ("nightly", "nightly", ["nightly"])
    assert workflow.audit_log[0].actor == "nightly"
    run = await new_run(db, await new_version(db, workflow), triggered_by=Trigger.NIGHTLY)
    assert run.triggered_by == "nightly"
    assert (await db.workflows.page_runs(triggered_by=Trigger.NIGHTLY)).items == [run]
    assert (await db.workflows.search_runs("nightly")).items == [run]


# --- Values that a database can't hold ---------------------------------------------------------

HOSTILE: list[tuple[Any, Any]] = [
    ("a\0b", "a\\u0000b"),
    ("\ud83d alone", "\\ud83d alone"),
    ("x\udfff", "x\\udfff"),
    (float("nan"), "NaN"),
    (float("inf"), "Infinity"),
    (float("-inf"), "-Infinity"),
    (2**63, "9223372036854775808"),
    (-(2**63) - 1, "-9223372036854775809"),
    (10**400, str(10**400)),
]


async def test_records_keep_such_values_as_text(db: Database) -> None:
    version = await workflow_with_version(db)
    given = {f"k{i}": [{"v": value}] for i, (value, _) in enumerate(HOSTILE)}
    expected = {f"k{i}": [{"v": text}] for i, (_, text) in enumerate(HOSTILE)}
    run = await new_run(db, version, {**given, "nul\0key": 1, "\ud800key": 2})
    assert run.input_payload == {**expected, "nul\\u0000key": 1, "\\ud800key": 2}
    await lead_to(db, run, "running")
    done = await db.workflows.mark_run_succeeded(run.id, actor="w", output=given)
    assert done.output_payload == expected
    assert await db.workflows.get_run(run.id) == done
    assert (await db.workflows.page_runs(input_filter=expected)).items == [done]


async def test_errors_and_reasons_are_records(db: Database) -> None:
    version = await workflow_with_version(db)
    failed = await db.workflows.mark_run_failed(
        (await new_run(db, version)).id, actor="w", error="bad \0 byte \ud800"
    )
    assert failed.error == "bad \\u0000 byte \\ud800"
    assert failed.audit_log[-1].metadata == {"error": "bad \\u0000 byte \\ud800"}
    cancelled = await db.workflows.mark_run_cancelled(
        (await new_run(db, version)).id, actor="w", reason="\0"
    )
    assert cancelled.error == "\\u0000"
    assert cancelled.audit_log[-1].metadata == {"reason": "\\u0000"}
    for run in (failed, cancelled):
        assert await db.workflows.get_run(run.id) == run


async def test_definitions_refuse_such_values_with_their_path(db: Database) -> None:
    workflow = await new_workflow(db)
    version = await new_version(db, workflow)
    for value, _ in HOSTILE:
        document = {"nodes": [{"ok": 1}, {"text": value}]}
        for field in ("graph", "metadata"):
            with pytest.raises(ValidationError) as refused:
                await new_version(db, workflow, **{field: document})
            assert str(refused.value).startswith(f"{field}.nodes[1].text: ")
        config = {"configurable": document}
        place = r"^runnable_config\.configurable\.nodes\[1\]\.text: "
        with pytest.raises(ValidationError, match=place):
            await new_version(db, workflow, runnable_config=config)
        with pytest.raises(ValidationError, match=place):
            await db.workflows.update_version_runnable_config(
                workflow.id, version_number=1, runnable_config=config, actor="ada"
            )
        with pytest.raises(ValidationError, match=place):
            await new_run(db, version, runnable_config=config)
    with pytest.raises(ValidationError, match="key"):
        await new_version(db, workflow, {"nul\0key": 1})
    assert await db.workflows.list_versions(workflow.id) == [version]


@pytest.mark.parametrize("bad", ["a\0b", "\ud800"])
async def test_names_and_actors_refuse_such_texts(db: Database, bad: str) -> None:
    workflow = await new_workflow(db)
    version = await new_version(db, workflow)
    run = await new_run(db, version)
    for field in ("name", "handle", "slug", "description", "tags", "actor"):
        with pytest.raises(ValidationError):
            await new_workflow(db, **{"name": "n", field: [bad] if field == "tags" else bad})
    for field in ("notes", "created_by"):
        with pytest.raises(ValidationError, match=field):
            await new_version(db, workflow, **{field: bad})
    with pytest.raises(ValidationError, match=r"ChatKit|chatkit"):
        await change(db, workflow.id, chatkit_supported_models=[{"id": bad}])
    with pytest.raises(ValidationError, match="actor"):
        await db.workflows.mark_run_started(run.id, actor=bad)
    with pytest.raises(ValidationError, match="actor"):
        await db.workflows.publish_workflow(workflow.id, require_login=True, actor=bad)
    assert await db.workflows.get_workflow(workflow.id) == workflow
    assert await db.workflows.get_run(run.id) == run


# --- Value semantics ---------------------------------------------------------------------------


async def test_what_is_handed_out_is_detached(db: Database) -> None:
    workflow = await new_workflow(db, tags=["a"])
    workflow = await change(db, workflow.id, chatkit_supported_models=[{"id": "m"}])
    version = await new_version(
        db, workflow, {"a": [1]}, metadata={"m": 1}, runnable_config={"tags": ["t"]}
    )
    run = await lead_to(db, await new_run(db, version, {"in": [1]}), "succeeded")
    wanted = [written(msgspec.to_builtins(each)) for each in (workflow, version, run)]

    workflow.tags.append("x")
    workflow.audit_log.clear()
    assert workflow.chatkit is not None
    assert workflow.chatkit.supported_models is not None
    workflow.chatkit.supported_models.clear()
    version.graph["a"].append(2)
    version.metadata.clear()
    assert version.runnable_config is not None
    version.runnable_config["tags"].append("u")
    run.input_payload["in"].append(2)
    run.tags.append("u")
    run.audit_log[0].metadata["x"] = 1
    assert run.output_payload is not None
    run.output_payload.clear()

    found = [
        await db.workflows.get_workflow(workflow.id),
        await db.workflows.get_version(version.id),
        await db.workflows.get_run(run.id),
    ]
    assert [written(msgspec.to_builtins(each)) for each in found] == wanted


async def test_what_is_handed_in_is_copied(db: Database) -> None:
    tags: list[Any] = ["a"]
    graph: dict[str, list[Any]] = {"a": [1]}
    metadata: dict[str, list[Any]] = {"m": [1]}
    config: dict[str, list[Any]] = {"tags": ["t"]}
    payload: dict[str, list[Any]] = {"in": [1]}
    output: dict[str, list[Any]] = {"out": [1]}
    workflow = await new_workflow(db, tags=tags)
    version = await new_version(db, workflow, graph, metadata=metadata, runnable_config=config)
    run = await lead_to(db, await new_run(db, version, payload), "running")
    run = await db.workflows.mark_run_succeeded(run.id, actor="w", output=output)
    for mutable in (tags, graph["a"], metadata["m"], config["tags"], payload["in"], output["out"]):
        mutable.append("changed")
    assert workflow.tags == ["a"]
    assert (version.graph, version.metadata) == ({"a": [1]}, {"m": [1]})
    assert (run.input_payload, run.output_payload) == ({"in": [1]}, {"out": [1]})
    assert await db.workflows.get_version(version.id) == version
    assert await db.workflows.get_run(run.id) == run


async def test_entities_cannot_be_assigned_to(db: Database) -> None:
    version = await workflow_with_version(db)
    for entity in (await db.workflows.get_workflow(version.workflow_id), version):
        with pytest.raises(AttributeError):
            entity.id = UUID(int=0)  # type: ignore[misc]


# --- Documents ---------------------------------------------------------------------------------


async def test_a_workflow_as_a_document(timed: Database, clock: Clock) -> None:
    workflow = await new_workflow(timed, "My Flow", handle="flow", tags=["t"], description="d")
    clock.at = dt.datetime(2026, 1, 2, 13, tzinfo=dt.UTC)
    await timed.workflows.publish_workflow(workflow.id, require_login=True, actor="eve")
    workflow = await change(timed, workflow.id, chatkit_supported_models=[{"id": "m"}])
    document = msgspec.to_builtins(workflow)
    assert written(document) == written(
        {
            "id": str(workflow.id),
            "created_at": "2026-01-02T12:00:00.123456Z",
            "updated_at": "2026-01-02T13:00:00Z",
            "audit_log": [
                {
                    "actor": "ada",
                    "action": "workflow_created",
                    "at": "2026-01-02T12:00:00.123456Z",
                    "metadata": {},
                },
                {
                    "actor": "eve",
                    "action": "workflow_published",
                    "at": "2026-01-02T13:00:00Z",
                    "metadata": {"require_login": True},
                },
                {
                    "actor": "eve",
                    "action": "workflow_updated",
                    "at": "2026-01-02T13:00:00Z",
                    "metadata": document["audit_log"][2]["metadata"],
                },
            ],
            "name": "My Flow",
            "handle": "flow",
            "slug": "my-flow",
            "description": "d",
            "tags": ["t"],
            "is_archived": False,
            "draft_access": "personal",
            "is_public": True,
            "published_at": "2026-01-02T13:00:00Z",
            "published_by": "eve",
            "require_login": True,
            "share_url": None,
            "chatkit": {
                "start_screen_prompts": None,
                "supported_models": [
                    {
                        "id": "m",
                        "label": None,
                        "description": None,
                        "disabled": False,
                        "default": False,
                    }
                ],
            },
        }
    )


async def test_a_version_and_a_run_as_documents(timed: Database) -> None:
    version = await workflow_with_version(
        timed, graph={"b": 1, "a": 2}, notes="n", runnable_config={"run_name": "r"}
    )
    assert list(msgspec.to_builtins(version)) == [
        "id", "created_at", "updated_at", "audit_log", "workflow_id", "version", "graph", "mermaid",
        "metadata", "runnable_config", "created_by", "notes",
    ]  # fmt: skip
    run = await lead_to(timed, await new_run(timed, version, {"q": 1}), "succeeded")
    document = msgspec.to_builtins(run)
    assert list(document) == [
        "id", "created_at", "updated_at", "audit_log", "workflow_version_id", "status", "triggered_by",
        "input_payload", "runnable_config", "tags", "callbacks", "metadata", "run_name",
        "output_payload", "started_at", "completed_at", "error",
    ]  # fmt: skip
    assert document["status"] == "succeeded"
    assert type(document["status"]) is str
    assert document["run_name"] == "r"
    assert document["started_at"] == "2026-01-02T12:00:00.123456Z"
    assert document["workflow_version_id"] == str(version.id)
    assert msgspec.json.decode(msgspec.json.encode(run)) == document
