"""Manual dispatch: accepted requests, labels, resolved runs."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field

from orcheo_sql._errors import ManualDispatchValidationError, ValidationError
from orcheo_sql.rules.manual import parse_manual_request
from orcheo_sql.structs.triggers import (
    ManualDispatchItem,
    ManualDispatchRequest,
    ManualDispatchRun,
)

WORKFLOW, VERSION, OTHER = uuid4(), uuid4(), uuid4()


def request(**fields: Any) -> ManualDispatchRequest:
    defaults: dict[str, Any] = {"workflow_id": WORKFLOW, "runs": [ManualDispatchItem()]}
    return ManualDispatchRequest(**(defaults | fields))


def test_defaults() -> None:
    made = request()
    assert made.actor == "manual"
    assert made.label is None
    assert made.runs == [ManualDispatchItem(workflow_version_id=None, input_payload={})]


def test_texts_are_trimmed_and_ids_read() -> None:
    made = request(
        workflow_id=str(WORKFLOW),
        actor=" ada ",
        label=" nightly ",
        runs=({"workflow_version_id": str(VERSION), "input_payload": {"a": 1}},),
    )
    assert made == request(
        actor="ada",
        label="nightly",
        runs=[ManualDispatchItem(workflow_version_id=VERSION, input_payload={"a": 1})],
    )
    assert isinstance(made.workflow_id, UUID)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"actor": "  "}, "^actor must be a non-empty string$"),
        ({"label": ""}, "^label must not be empty when provided$"),
        ({"runs": []}, "at least 1 item"),
        ({"runs": [{}] * 101}, "at most 100 items"),
        ({"workflow_id": "w"}, "workflow_id must be a UUID"),
        ({"workflow_id": 7}, "workflow_id must be a UUID"),
        ({"runs": [{"workflow_version_id": "v"}]}, "workflow_version_id must be a UUID"),
    ],
)
def test_requests_are_checked(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ManualDispatchValidationError, match=text):
        request(**fields)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"actor": 1}, "actor must be text"),
        ({"actor": "a\0"}, "actor must not contain NUL"),
        ({"label": 1}, "label must be text"),
        ({"runs": "all"}, "runs must be a list"),
        ({"runs": None}, "runs must be a list"),
        ({"runs": [{}, {"payload": {}}]}, r"runs\[1\] has unknown fields: 'payload'"),
        ({"runs": [{"input_payload": [1]}]}, "input_payload must be a mapping"),
        ({"runs": [7]}, r"runs\[0\] must be a mapping"),
    ],
)
def test_fields_have_their_types(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        request(**fields)


def test_requests_come_as_mappings_models_or_themselves() -> None:
    class Item(BaseModel):
        workflow_version_id: UUID | None = None
        input_payload: dict[str, Any] = Field(default_factory=dict)

    class Request(BaseModel):
        workflow_id: UUID
        actor: str = "manual"
        runs: list[Item]
        label: str | None = None

    made = request(runs=[ManualDispatchItem(input_payload={"a": 1})])
    assert parse_manual_request(made) is made
    document = {"workflow_id": WORKFLOW, "runs": [{"input_payload": {"a": 1}}]}
    assert parse_manual_request(document) == made
    assert parse_manual_request(Request.model_validate(document)) == made
    with pytest.raises(ValidationError, match="lacks required fields: workflow_id, runs"):
        parse_manual_request({"actor": "ada"})


def test_labels() -> None:
    assert request().trigger_label() == "manual"
    assert request(runs=[{}, {}]).trigger_label() == "manual_batch"
    assert request(runs=[{}, {}], label="cron").trigger_label() == "cron"


def test_runs_without_a_version_get_the_default() -> None:
    made = request(
        runs=[{"input_payload": {"a": 1}}, {"workflow_version_id": OTHER}],
    )
    assert made.resolve_runs(default_workflow_version_id=VERSION) == [
        ManualDispatchRun(workflow_version_id=VERSION, input_payload={"a": 1}),
        ManualDispatchRun(workflow_version_id=OTHER, input_payload={}),
    ]


def test_payloads_are_copied_on_the_way_in() -> None:
    payload = {"a": 1}
    item = ManualDispatchItem(input_payload=payload)
    payload["a"] = 2
    assert item.input_payload == {"a": 1}
