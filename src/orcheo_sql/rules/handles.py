"""Handles, the names of workflows in URLs, and references, which are handles or ids."""

from __future__ import annotations

import re
from uuid import UUID

from orcheo_sql._errors import ValidationError, WorkflowNotFoundError
from orcheo_sql.rules._values import storable

WORKFLOW_HANDLE_MAX_LENGTH = 64

_HANDLE = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def normalize_workflow_handle(value: str | None) -> str | None:
    """Trim and lower-case a handle and refuse one that breaks a rule; None passes through."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValidationError(f"Workflow handle must be text, not {type(value).__name__}.")
    handle = value.strip().lower()
    if not handle:
        raise ValidationError("Workflow handle must not be empty.")
    if len(handle) > WORKFLOW_HANDLE_MAX_LENGTH:
        raise ValidationError(
            f"Workflow handle must be at most {WORKFLOW_HANDLE_MAX_LENGTH} characters long."
        )
    if _HANDLE.fullmatch(handle) is None:
        raise ValidationError(
            "Workflow handle must contain only lowercase letters, numbers, and single hyphens."
        )
    if _parse_uuid(handle) is not None:
        raise ValidationError("Workflow handle must not use a UUID format.")
    return handle


def workflow_ref_is_uuid(value: str) -> bool:
    """Return whether a text spells a UUID: hyphenated, bare hex, in braces or as a URN."""
    return _parse_uuid(value.strip().lower()) is not None


def normalize_workflow_ref(workflow_ref: str) -> tuple[str, UUID | None]:
    """Return the text to compare with handles, and the id that the same text spells, if any.

    Raises WorkflowNotFoundError for a reference that no workflow can have.
    """
    if not isinstance(workflow_ref, str):
        raise ValidationError(f"Workflow ref must be text, not {type(workflow_ref).__name__}.")
    ref = workflow_ref.strip().lower()
    if not ref:
        raise WorkflowNotFoundError("workflow ref is empty")
    try:
        # Neither database could even compare such a text with a handle.
        storable(ref, "Workflow ref")
    except ValidationError as error:
        raise WorkflowNotFoundError(ref) from error
    return ref, _parse_uuid(ref)


def _parse_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
