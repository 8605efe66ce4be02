"""The fields of a workflow."""

from collections import UserDict
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orcheo_sql._errors import ValidationError
from orcheo_sql.rules import (
    derive_workflow_slug,
    normalize_chatkit_models,
    normalize_chatkit_prompts,
    normalize_workflow_description,
    normalize_workflow_name,
    normalize_workflow_tags,
    optional_text,
    parse_draft_access,
    require_flag,
    require_int,
    require_text,
    update_chatkit,
)
from orcheo_sql.structs import (
    ChatKitStartScreenPrompt,
    ChatKitSupportedModel,
    WorkflowChatKitConfig,
    WorkflowDraftAccess,
)

HOSTILE = [("a\0b", "NUL characters"), ("a\ud800b", "lone surrogates"), ("é\udfff", "surrogates")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("Flow", "Flow"), ("  My Flow\n", "My Flow"), (7, "7"), ("x" * 128, "x" * 128), ("é", "é")],
)
def test_name(value: object, expected: str) -> None:
    assert normalize_workflow_name(value) == expected


@pytest.mark.parametrize("value", [None, "", "  \t"])
def test_name_must_not_be_blank(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        normalize_workflow_name(value)
    assert str(caught.value) == "Workflow name must not be empty."
    assert isinstance(caught.value, ValueError)


def test_name_is_measured_after_trimming() -> None:
    assert normalize_workflow_name(" " + "x" * 128 + " ") == "x" * 128
    with pytest.raises(ValidationError) as caught:
        normalize_workflow_name("x" * 129)
    assert str(caught.value) == "Workflow name must be at most 128 characters long."


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        (" \n", None),
        ("  a b ", "a b"),
        (7, "7"),
        ("x" * 1024, "x" * 1024),
    ],
)
def test_description(value: object, expected: str | None) -> None:
    assert normalize_workflow_description(value) == expected


def test_description_has_a_limit() -> None:
    with pytest.raises(ValidationError) as caught:
        normalize_workflow_description("x" * 1025)
    assert str(caught.value) == "Workflow description must be at most 1024 characters long."


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        ([], []),
        (["A"], ["a"]),
        ([" B ", "a", "b", "", "  ", "A"], ["b", "a"]),
        (("x", "y"), ["x", "y"]),
        ({"x"}, ["x"]),
        ((tag for tag in "ab"), ["a", "b"]),
        (["Workspace:Ops"], ["workspace:ops"]),
    ],
)
def test_tags(value: Any, expected: list[str]) -> None:
    assert normalize_workflow_tags(value) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "Workflow tags must be a list, not str."),
        (b"abc", "Workflow tags must be a list, not bytes."),
        ({"a": 1}, "Workflow tags must be a list, not dict."),
        (7, "Workflow tags must be a list, not int."),
        (["a", 7], "Workflow tags[1] must be text, not int."),
        ([None], "Workflow tags[0] must be text, not NoneType."),
    ],
)
def test_tags_refused(value: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        normalize_workflow_tags(value)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("slug", "name", "expected"),
    [
        (None, "My Sample Flow", "my-sample-flow"),
        ("", "My Sample Flow", "my-sample-flow"),
        (None, "a_b", "a-b"),
        (None, "日本語", "日本語"),
        (None, "!!!", "!!!"),
        (None, " ÄÖ ", "äö"),
        (None, "--A  &  b--", "a-b"),
        ("Custom Slug", "My Sample Flow", "custom-slug"),
        ("kept", "Renamed", "kept"),
    ],
)
def test_slug(slug: str | None, name: str, expected: str) -> None:
    assert derive_workflow_slug(slug, name) == expected


def test_slug_of_a_blank_source_is_random() -> None:
    first, second = derive_workflow_slug("  ", "Flow"), derive_workflow_slug("  ", "Flow")
    assert first != second
    assert str(UUID(first)) == first


def test_slug_must_be_text() -> None:
    with pytest.raises(ValidationError, match=r"^Workflow slug must be text, not int\.$"):
        derive_workflow_slug(7, "Flow")  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "reason"), HOSTILE)
def test_texts_that_one_database_cannot_hold_are_refused(value: str, reason: str) -> None:
    checks: list[tuple[Any, str]] = [
        (normalize_workflow_name, "Workflow name"),
        (normalize_workflow_description, "Workflow description"),
        (lambda text: normalize_workflow_tags(["ok", text]), r"Workflow tags\[1\]"),
        (lambda text: derive_workflow_slug(text, "Flow"), "Workflow slug"),
        (lambda text: require_text(text, "actor"), "actor"),
        (lambda text: optional_text(text, "notes"), "notes"),
    ]
    for check, field in checks:
        with pytest.raises(ValidationError, match=f"^{field} must not contain .*{reason}"):
            check(value)


texts = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=128
)


@given(texts)
def test_normal_forms_are_their_own(text: str) -> None:
    tags = normalize_workflow_tags([text, text.upper(), f" {text}"])
    assert normalize_workflow_tags(tags) == tags
    description = normalize_workflow_description(text)
    assert normalize_workflow_description(description) == description


@given(texts.filter(str.strip))
def test_renaming_keeps_name_and_slug_in_normal_form(text: str) -> None:
    name = normalize_workflow_name(text)
    assert normalize_workflow_name(name) == name
    slug = derive_workflow_slug(None, name)
    assert derive_workflow_slug(slug, "other") == slug


@pytest.mark.parametrize("access", ["personal", "authenticated", "workspace"])
def test_draft_access(access: str) -> None:
    assert parse_draft_access(access) is WorkflowDraftAccess(access)
    assert parse_draft_access(WorkflowDraftAccess(access)) is WorkflowDraftAccess(access)


@pytest.mark.parametrize("access", ["", "Personal", None, 1, []])
def test_draft_access_refused(access: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_draft_access(access)
    assert str(caught.value) == "draft_access must be one of: personal, authenticated, workspace."


class PromptModel(BaseModel):
    label: str
    prompt: str
    icon: str | None = None


@pytest.mark.parametrize(
    "item",
    [
        {"label": " Hi ", "prompt": "Say hi\n", "icon": "  "},
        UserDict(label="Hi", prompt="Say hi", icon=None),
        PromptModel(label="Hi ", prompt="Say hi"),
        ChatKitStartScreenPrompt(label="Hi", prompt=" Say hi", icon=""),
    ],
)
def test_prompt_forms(item: Any) -> None:
    assert normalize_chatkit_prompts([item]) == [
        ChatKitStartScreenPrompt(label="Hi", prompt="Say hi", icon=None)
    ]


def test_prompt_values_are_coerced_and_kept() -> None:
    item = {"label": 1, "prompt": 2.5, "icon": " star "}
    assert (
        normalize_chatkit_prompts((item, item))
        == [ChatKitStartScreenPrompt(label="1", prompt="2.5", icon="star")] * 2
    )
    assert normalize_chatkit_prompts([]) == []


PROMPTS = "chatkit_start_screen_prompts"
MODELS = "chatkit_supported_models"
KNOWN_MODEL = "Known: id, label, description, disabled, default."
NOT_EMPTY = "ChatKit prompt fields must not be empty."


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"label": "", "prompt": "p"}, f"{PROMPTS}[0]: {NOT_EMPTY}"),
        ({"label": "l", "prompt": " \n"}, f"{PROMPTS}[0]: {NOT_EMPTY}"),
        ({"label": None, "prompt": "p"}, f"{PROMPTS}[0]: {NOT_EMPTY}"),
        ({"label": "l"}, f"{PROMPTS}[0]: {NOT_EMPTY}"),
        (
            {"label": "l" * 121, "prompt": "p"},
            f"{PROMPTS}[0].label must be at most 120 characters long.",
        ),
        (
            {"label": "l", "prompt": "p" * 2001},
            f"{PROMPTS}[0].prompt must be at most 2000 characters long.",
        ),
        (
            {"label": "l", "prompt": "p", "icon": "i" * 65},
            f"{PROMPTS}[0].icon must be at most 64 characters long.",
        ),
        (
            {"label": "l", "prompt": "p", "colour": 1},
            f"{PROMPTS}[0] has unknown fields: 'colour'. Known: label, prompt, icon.",
        ),
        ({"label": "l", "prompt": "\0"}, f"{PROMPTS}[0].prompt must not contain NUL characters."),
        ("text", f"{PROMPTS}[0] must be a mapping, not str."),
    ],
)
def test_prompt_refused(item: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        normalize_chatkit_prompts([item])
    assert str(caught.value) == text


def test_longest_prompt_and_model() -> None:
    prompt = {"label": "l" * 120, "prompt": "p" * 2000, "icon": "i" * 64}
    assert normalize_chatkit_prompts([prompt]) == [ChatKitStartScreenPrompt(**prompt)]
    model = {"id": "i" * 200, "label": "l" * 120, "description": "d" * 240}
    assert normalize_chatkit_models([model]) == [ChatKitSupportedModel(**model)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"id": " m "}, ChatKitSupportedModel(id="m")),
        ({"id": 5, "label": " ", "description": ""}, ChatKitSupportedModel(id="5")),
        (
            {"id": "m", "label": "L ", "description": " D", "disabled": True, "default": True},
            ChatKitSupportedModel(id="m", label="L", description="D", disabled=True, default=True),
        ),
        (ChatKitSupportedModel(id=" m ", label=" "), ChatKitSupportedModel(id="m")),
    ],
)
def test_model_forms(item: Any, expected: ChatKitSupportedModel) -> None:
    assert normalize_chatkit_models([item]) == [expected]


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"id": " "}, f"{MODELS}[1]: ChatKit model id must not be empty."),
        ({}, f"{MODELS}[1]: ChatKit model id must not be empty."),
        ({"id": None}, f"{MODELS}[1]: ChatKit model id must not be empty."),
        ({"id": "i" * 201}, f"{MODELS}[1].id must be at most 200 characters long."),
        (
            {"id": "i", "label": "l" * 121},
            f"{MODELS}[1].label must be at most 120 characters long.",
        ),
        (
            {"id": "i", "description": "d" * 241},
            f"{MODELS}[1].description must be at most 240 characters long.",
        ),
        ({"id": "i", "disabled": 1}, f"{MODELS}[1].disabled must be true or false."),
        ({"id": "i", "default": None}, f"{MODELS}[1].default must be true or false."),
        (
            {"id": "i", "a": 1, 2: 3},
            f"{MODELS}[1] has unknown fields: 'a', 2. {KNOWN_MODEL}",
        ),
        (
            ChatKitStartScreenPrompt(label="l", prompt="p"),
            f"{MODELS}[1] must be a mapping, not ChatKitStartScreenPrompt.",
        ),
    ],
)
def test_model_refused(item: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        normalize_chatkit_models([{"id": "ok"}, item])
    assert str(caught.value) == text


@pytest.mark.parametrize("value", ["text", {"label": "l", "prompt": "p"}, 7])
def test_chatkit_members_must_be_lists(value: Any) -> None:
    with pytest.raises(ValidationError, match=f"^{PROMPTS} must be a list"):
        normalize_chatkit_prompts(value)
    with pytest.raises(ValidationError, match=f"^{MODELS} must be a list"):
        normalize_chatkit_models(value)


P1, P2 = ({"label": n, "prompt": n} for n in ("p1", "p2"))
M1 = {"id": "m1"}
BOTH = WorkflowChatKitConfig(
    start_screen_prompts=normalize_chatkit_prompts([P1]),
    supported_models=normalize_chatkit_models([M1]),
)
ONLY_PROMPTS = WorkflowChatKitConfig(start_screen_prompts=BOTH.start_screen_prompts)
ONLY_MODELS = WorkflowChatKitConfig(supported_models=BOTH.supported_models)


@pytest.mark.parametrize(
    ("current", "changes", "expected"),
    [
        (None, {}, None),
        (BOTH, {}, BOTH),
        (WorkflowChatKitConfig(), {}, None),
        (None, {"prompts": [P1]}, ONLY_PROMPTS),
        (None, {"models": [M1]}, ONLY_MODELS),
        (ONLY_PROMPTS, {"models": [M1]}, BOTH),
        (BOTH, {"clear_prompts": True}, ONLY_MODELS),
        (BOTH, {"clear_models": True}, ONLY_PROMPTS),
        (ONLY_PROMPTS, {"clear_prompts": True}, None),
        (BOTH, {"clear_prompts": True, "clear_models": True}, None),
        (None, {"clear_prompts": True}, None),
        (BOTH, {"clear_prompts": True, "prompts": [P2]}, ONLY_MODELS),
        (BOTH, {"clear_models": True, "models": [{"id": "m2"}]}, ONLY_PROMPTS),
        (
            ONLY_PROMPTS,
            {"prompts": [P2]},
            WorkflowChatKitConfig(start_screen_prompts=normalize_chatkit_prompts([P2])),
        ),
        (ONLY_PROMPTS, {"prompts": []}, WorkflowChatKitConfig(start_screen_prompts=[])),
    ],
)
def test_chatkit_update(
    current: WorkflowChatKitConfig | None,
    changes: dict[str, Any],
    expected: WorkflowChatKitConfig | None,
) -> None:
    assert update_chatkit(current, **changes) == expected


def test_chatkit_update_checks_what_it_is_given() -> None:
    with pytest.raises(ValidationError, match="must not be empty"):
        update_chatkit(None, prompts=[{"label": "l"}])


def test_plain_values_pass_through() -> None:
    assert require_text(" as is ", "actor") == " as is "
    assert type(require_text(WorkflowDraftAccess.PERSONAL, "actor")) is str
    assert require_text("", "actor") == ""
    assert optional_text(None, "notes") is None
    assert optional_text("n", "notes") == "n"
    assert require_flag(True, "require_login") is True
    assert require_int(3, "n", 1, 3) == 3
    assert require_int(2.0, "n", 1, 3) == 2


@pytest.mark.parametrize("value", [None, 7, b"a", ["a"]])
def test_text_refused(value: object) -> None:
    with pytest.raises(
        ValidationError, match=rf"^actor must be text, not {type(value).__name__}\.$"
    ):
        require_text(value, "actor")


@pytest.mark.parametrize("value", [None, 0, 1, "true"])
def test_flag_refused(value: object) -> None:
    with pytest.raises(ValidationError, match=r"^require_login must be true or false\.$"):
        require_flag(value, "require_login")


@pytest.mark.parametrize("value", [0, 4, True, "2", 2.5, float("nan"), float("inf"), None, 2**70])
def test_int_refused(value: object) -> None:
    with pytest.raises(ValidationError, match=r"^n must be a whole number from 1 to 3\.$"):
        require_int(value, "n", 1, 3)
