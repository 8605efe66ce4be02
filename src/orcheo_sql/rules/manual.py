"""Manual dispatch: which requests are accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from orcheo_sql._errors import ManualDispatchValidationError
from orcheo_sql.rules._configs import parse_config
from orcheo_sql.rules._values import items, mapping, require_text
from orcheo_sql.structs.triggers import ManualDispatchItem, ManualDispatchRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_RUNS = 100


def parse_manual_request(value: object, field: str = "manual dispatch") -> ManualDispatchRequest:
    """Return a request from itself, a mapping, or a model that offers ``model_dump``."""
    return parse_config(value, field, ManualDispatchRequest)


def checked_item(item: ManualDispatchItem) -> dict[str, Any]:
    """Return the fields of an item, checked."""
    version_id: object = item.workflow_version_id
    return {
        "workflow_version_id": (
            None if version_id is None else _id(version_id, "workflow_version_id")
        ),
        "input_payload": mapping(item.input_payload, "input_payload"),
    }


def checked_request(request: ManualDispatchRequest) -> dict[str, Any]:
    """Return the fields of a request, checked and normalised."""
    label: object = request.label
    return {
        "workflow_id": _id(request.workflow_id, "workflow_id"),
        "actor": _text(request.actor, "actor", "actor must be a non-empty string"),
        "runs": _runs(request.runs),
        "label": (
            None
            if label is None
            else _text(label, "label", "label must not be empty when provided")
        ),
    }


def _runs(value: Iterable[object]) -> list[ManualDispatchItem]:
    runs = items(value, "runs")
    if not runs:
        raise ManualDispatchValidationError("runs must have at least 1 item, not 0")
    if len(runs) > MAX_RUNS:
        raise ManualDispatchValidationError(
            f"runs must have at most {MAX_RUNS} items, not {len(runs)}"
        )
    return [
        parse_config(item, f"runs[{index}]", ManualDispatchItem) for index, item in enumerate(runs)
    ]


def _text(value: object, field: str, blank: str) -> str:
    text = require_text(value, field).strip()
    if not text:
        raise ManualDispatchValidationError(blank)
    return text


def _id(value: object, field: str) -> UUID:
    if isinstance(value, UUID):
        return value
    try:
        return UUID(require_text(value, field))
    except ValueError:
        raise ManualDispatchValidationError(f"{field} must be a UUID") from None
