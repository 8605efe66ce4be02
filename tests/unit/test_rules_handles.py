"""Handles and references to workflows."""

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql._errors import ValidationError, WorkflowNotFoundError
from orcheo_sql.rules import (
    WORKFLOW_HANDLE_MAX_LENGTH,
    normalize_workflow_handle,
    normalize_workflow_ref,
    workflow_ref_is_uuid,
)

UUID_TEXT = "0123abcd-4567-4890-8bcd-ef0123456789"
SPELLINGS = [
    UUID_TEXT,
    UUID_TEXT.upper(),
    UUID_TEXT.replace("-", ""),
    UUID_TEXT.replace("-", "").upper(),
    "{" + UUID_TEXT + "}",
    "{" + UUID_TEXT.replace("-", "").upper() + "}",
    f"urn:uuid:{UUID_TEXT}",
    f"URN:UUID:{UUID_TEXT.upper()}",
    f"  {UUID_TEXT}\n",
]

EMPTY = "Workflow handle must not be empty."
LONG = "Workflow handle must be at most 64 characters long."
SHAPE = "Workflow handle must contain only lowercase letters, numbers, and single hyphens."
LIKE_UUID = "Workflow handle must not use a UUID format."


def test_the_limit() -> None:
    assert WORKFLOW_HANDLE_MAX_LENGTH == 64


@pytest.mark.parametrize(
    ("given_handle", "expected"),
    [
        (None, None),
        ("flow", "flow"),
        ("  My-Flow-2 \n", "my-flow-2"),
        ("7", "7"),
        ("a" * 64, "a" * 64),
        ("  " + "A" * 64 + "  ", "a" * 64),
        ("deadbeef", "deadbeef"),
        ("f" * 31, "f" * 31),
        ("f" * 33, "f" * 33),
    ],
)
def test_handle_is_normalised(given_handle: str | None, expected: str | None) -> None:
    assert normalize_workflow_handle(given_handle) == expected


@pytest.mark.parametrize(
    ("handle", "text"),
    [
        ("", EMPTY),
        (" \t\n", EMPTY),
        ("a" * 65, LONG),
        ("_" * 65, LONG),
        ("a_b", SHAPE),
        ("a--b", SHAPE),
        ("-a", SHAPE),
        ("a-", SHAPE),
        ("-", SHAPE),
        ("a b", SHAPE),
        ("a\nb", SHAPE),
        ("ü", SHAPE),
        ("٣", SHAPE),
        ("a\0", SHAPE),
        ("a\ud800", SHAPE),
        ("{" + UUID_TEXT + "}", SHAPE),
        (f"urn:uuid:{UUID_TEXT}", SHAPE),
        (UUID_TEXT, LIKE_UUID),
        (UUID_TEXT.upper(), LIKE_UUID),
        ("f" * 32, LIKE_UUID),
        ("0123abcd45674890-8bcdef0123456789", LIKE_UUID),
    ],
)
def test_handle_is_refused_with_the_first_rule_it_breaks(handle: str, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        normalize_workflow_handle(handle)
    assert str(caught.value) == text
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("handle", [7, b"flow", ["flow"], UUID(UUID_TEXT)])
def test_handle_must_be_text(handle: Any) -> None:
    with pytest.raises(ValidationError, match=r"Workflow handle must be text, not \w+\."):
        normalize_workflow_handle(handle)


@given(st.text(alphabet="abz019- AZ", max_size=70))
def test_an_accepted_handle_is_its_own_normal_form(text: str) -> None:
    try:
        handle = normalize_workflow_handle(text)
    except ValidationError:
        return
    assert handle is not None
    assert normalize_workflow_handle(handle) == handle
    assert re.fullmatch(r"[a-z0-9-]{1,64}", handle)
    assert normalize_workflow_ref(text) == (handle, None)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_uuid_spelling_is_understood(spelling: str) -> None:
    assert workflow_ref_is_uuid(spelling)
    ref, workflow_id = normalize_workflow_ref(spelling)
    assert ref == spelling.strip().lower()
    assert workflow_id == UUID(UUID_TEXT)


@pytest.mark.parametrize(
    "ref", ["flow", "", "f" * 31, "f" * 33, "g" * 32, UUID_TEXT[:-1], "urn:uuid:", "日本"]
)
def test_other_texts_are_no_uuid(ref: str) -> None:
    assert not workflow_ref_is_uuid(ref)


@pytest.mark.parametrize(
    ("ref", "expected"), [(" My-Flow ", "my-flow"), ("A_b C", "a_b c"), ("日本", "日本")]
)
def test_ref_of_a_handle(ref: str, expected: str) -> None:
    assert normalize_workflow_ref(ref) == (expected, None)


@pytest.mark.parametrize("ref", ["", "  ", "\n\t"])
def test_blank_ref_finds_nothing(ref: str) -> None:
    with pytest.raises(WorkflowNotFoundError) as caught:
        normalize_workflow_ref(ref)
    assert str(caught.value) == "workflow ref is empty"


@pytest.mark.parametrize("ref", ["A\0b", "A\ud800b"])
def test_ref_that_no_database_can_hold_finds_nothing(ref: str) -> None:
    with pytest.raises(WorkflowNotFoundError) as caught:
        normalize_workflow_ref(ref)
    assert str(caught.value) == ref.lower()


@pytest.mark.parametrize("ref", [None, 7, UUID(UUID_TEXT)])
def test_ref_must_be_text(ref: Any) -> None:
    with pytest.raises(ValidationError, match=r"Workflow ref must be text, not \w+\."):
        normalize_workflow_ref(ref)
