"""Run configs: schema, merge and the effective form."""

from collections import UserDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from orcheo_sql._errors import ValidationError
from orcheo_sql.rules import effective_config, merge_runnable_configs, parse_runnable_config

FULL: dict[str, Any] = {
    "configurable": {"thread": {"id": 1}, "none": None},
    "tags": ["Prod"],
    "metadata": {"team": "a"},
    "callbacks": [{"name": "cb"}, None],
    "run_name": "nightly",
    "recursion_limit": 250,
    "max_concurrency": 32,
    "prompts": {"p": {"text": "t", "requires_grad": True, "model_kwargs": {"k": 1}}},
}


class PromptModel(BaseModel):
    text: str
    requires_grad: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)
    model_kwargs: dict[str, Any] = Field(default_factory=dict)
    type: str = "TextTensor"


class ConfigModel(BaseModel):
    """How the first client models its overrides."""

    configurable: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    metadata: dict[str, Any] = Field(default_factory=dict)
    callbacks: list[Any] = Field(default_factory=list)
    run_name: str | None = None
    recursion_limit: int | None = None
    max_concurrency: int | None = None
    prompts: dict[str, PromptModel] | None = None


def test_none_passes_through_and_empty_stays_empty() -> None:
    assert parse_runnable_config(None) is None
    assert parse_runnable_config({}) == {}


def test_every_field_is_accepted_and_only_set_fields_come_back() -> None:
    assert parse_runnable_config(FULL) == FULL
    assert list(parse_runnable_config(FULL) or {}) == list(FULL)
    for name, value in FULL.items():
        assert parse_runnable_config({name: value}) == {name: value}
    assert parse_runnable_config(UserDict(tags=("a",))) == {"tags": ["a"]}


def test_parsing_leaves_the_argument_alone() -> None:
    given_config = {"tags": [" a ", "A"], "prompts": {"p": {"text": "t"}}}
    parsed = parse_runnable_config(given_config)
    assert given_config == {"tags": [" a ", "A"], "prompts": {"p": {"text": "t"}}}
    assert parsed is not given_config


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("tags", [" Prod ", "prod", "", "  ", "PROD", "b"], ["Prod", "b"]),
        ("tags", ("a", "B"), ["a", "B"]),
        ("tags", None, []),
        ("callbacks", ("x", 1), ["x", 1]),
        ("callbacks", None, []),
        ("run_name", "  n ", "n"),
        ("run_name", " \n", None),
        ("run_name", None, None),
        ("recursion_limit", 1, 1),
        ("recursion_limit", 25.0, 25),
        ("recursion_limit", None, None),
        ("max_concurrency", 1, 1),
        ("max_concurrency", None, None),
        ("prompts", None, None),
        ("prompts", {}, {}),
        ("prompts", {"p": PromptModel(text="t")}, {"p": {"text": "t"}}),
        ("prompts", {"p": {"text": "", "type": "TextTensor"}}, None),
    ],
)
def test_normal_forms(name: str, value: Any, expected: Any) -> None:
    if name == "prompts" and value and expected is None:
        expected = value
    assert parse_runnable_config({name: value}) == {name: expected}


LIMIT = "runnable_config.recursion_limit must be a whole number from 1 to 250."
CONCURRENCY = "runnable_config.max_concurrency must be a whole number from 1 to 32."
KNOWN = (
    "Known: configurable, tags, metadata, callbacks, run_name, recursion_limit,"
    " max_concurrency, prompts."
)
KNOWN_PROMPT = "Known: text, requires_grad, metadata, model_kwargs, type."


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("text", "runnable_config must be a mapping, not str."),
        ([], "runnable_config must be a mapping, not list."),
        ({"tag": []}, f"runnable_config has unknown fields: 'tag'. {KNOWN}"),
        ({"a": 1, 2: 2}, f"runnable_config has unknown fields: 'a', 2. {KNOWN}"),
        ({"configurable": None}, "runnable_config.configurable must be a mapping, not NoneType."),
        ({"configurable": [1]}, "runnable_config.configurable must be a mapping, not list."),
        ({"metadata": None}, "runnable_config.metadata must be a mapping, not NoneType."),
        ({"metadata": "m"}, "runnable_config.metadata must be a mapping, not str."),
        ({"tags": "prod"}, "runnable_config.tags must be a list, not str."),
        ({"tags": {"a": 1}}, "runnable_config.tags must be a list, not dict."),
        ({"tags": ["a", 1]}, "runnable_config.tags[1] must be text, not int."),
        ({"callbacks": "cb"}, "runnable_config.callbacks must be a list, not str."),
        ({"callbacks": 1}, "runnable_config.callbacks must be a list, not int."),
        ({"run_name": 1}, "runnable_config.run_name must be text, not int."),
        ({"recursion_limit": 0}, LIMIT),
        ({"recursion_limit": 251}, LIMIT),
        ({"recursion_limit": "25"}, LIMIT),
        ({"recursion_limit": True}, LIMIT),
        ({"recursion_limit": 2.5}, LIMIT),
        ({"max_concurrency": 0}, CONCURRENCY),
        ({"max_concurrency": 33}, CONCURRENCY),
        ({"max_concurrency": -1}, CONCURRENCY),
        ({"prompts": []}, "runnable_config.prompts must be a mapping, not list."),
        ({"prompts": {1: {"text": "t"}}}, "runnable_config.prompts key must be text, not int."),
        ({"prompts": {"p": "t"}}, "runnable_config.prompts.p must be a mapping, not str."),
        ({"prompts": {"p": {}}}, "runnable_config.prompts.p.text is required."),
        (
            {"prompts": {"p": {"text": None}}},
            "runnable_config.prompts.p.text must be text, not NoneType.",
        ),
        (
            {"prompts": {"p": {"text": "t", "grad": 1}}},
            f"runnable_config.prompts.p has unknown fields: 'grad'. {KNOWN_PROMPT}",
        ),
        (
            {"prompts": {"p": {"text": "t", "requires_grad": 1}}},
            "runnable_config.prompts.p.requires_grad must be true or false.",
        ),
        (
            {"prompts": {"p": {"text": "t", "metadata": []}}},
            "runnable_config.prompts.p.metadata must be a mapping, not list.",
        ),
        (
            {"prompts": {"p": {"text": "t", "model_kwargs": None}}},
            "runnable_config.prompts.p.model_kwargs must be a mapping, not NoneType.",
        ),
        (
            {"prompts": {"p": {"text": "t", "type": "Tensor"}}},
            "runnable_config.prompts.p.type must be 'TextTensor'.",
        ),
    ],
)
def test_refused_with_the_name_of_the_field(config: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_runnable_config(config)
    assert str(caught.value) == text
    assert isinstance(caught.value, ValueError)


def test_both_sides_of_a_merge_are_checked() -> None:
    with pytest.raises(ValidationError, match=r"^the version's runnable_config\.recursion_limit "):
        effective_config({"recursion_limit": 999}, None)
    with pytest.raises(ValidationError, match=r"^runnable_config\.recursion_limit "):
        effective_config(None, {"recursion_limit": 999})


@pytest.mark.parametrize(
    ("stored", "override", "expected"),
    [
        # The examples of the specification.
        (
            {"configurable": {"a": 1, "b": {"x": 1}}},
            {"configurable": {"b": {"y": 2}}},
            {"configurable": {"a": 1, "b": {"y": 2}}},
        ),
        ({"configurable": {"a": 1}}, {"configurable": {}}, {}),
        ({"metadata": {"a": 1, "b": 2}}, {"metadata": {"b": 3}}, {"metadata": {"a": 1, "b": 3}}),
        ({"metadata": {"a": 1}}, {"metadata": {}}, {}),
        (
            {"prompts": {"p": {"text": "p", "requires_grad": True}, "q": {"text": "q"}}},
            {"prompts": {"p": {"text": "p2"}}},
            {"prompts": {"p": {"text": "p2"}, "q": {"text": "q"}}},
        ),
        ({"prompts": {"p": {"text": "p"}}}, {"prompts": None}, {}),
        ({"prompts": {"p": {"text": "p"}}}, {"prompts": {}}, {"prompts": {"p": {"text": "p"}}}),
        ({"prompts": None}, {"prompts": {"p": {"text": "p"}}}, {"prompts": {"p": {"text": "p"}}}),
        ({"tags": ["t"]}, {"tags": []}, {}),
        ({"tags": ["t"]}, {"tags": None}, {}),
        ({"tags": ["t"]}, {"tags": ["u"]}, {"tags": ["u"]}),
        ({"callbacks": [1]}, {"callbacks": [2]}, {"callbacks": [2]}),
        ({"callbacks": [1]}, {"callbacks": []}, {}),
        ({"run_name": "n"}, {"run_name": None}, {}),
        ({"run_name": "n"}, {"run_name": " "}, {}),
        ({"run_name": "n"}, {"run_name": "m"}, {"run_name": "m"}),
        ({"recursion_limit": 5}, {"recursion_limit": 6}, {"recursion_limit": 6}),
        ({"recursion_limit": 5}, {"recursion_limit": None}, {}),
        ({"max_concurrency": 5}, {"max_concurrency": 6}, {"max_concurrency": 6}),
        ({"max_concurrency": 5}, {"max_concurrency": None}, {}),
        # What an override does not set is kept.
        (FULL, {"tags": ["new"]}, FULL | {"tags": ["new"]}),
        # Without a stored config, or without an override.
        (None, {"configurable": {"a": 1}}, {"configurable": {"a": 1}}),
        (None, {"prompts": {"p": {"text": "p"}}}, {"prompts": {"p": {"text": "p"}}}),
        ({}, None, {}),
        (None, None, {}),
        (FULL, None, FULL),
        (FULL, {}, FULL),
        (FULL, ConfigModel(), FULL),
    ],
)
def test_effective_config(stored: Any, override: Any, expected: dict[str, Any]) -> None:
    assert effective_config(stored, override) == expected


def test_effective_config_leaves_out_none_and_defaults_but_no_value_inside_documents() -> None:
    noisy: dict[str, Any] = {
        "prompts": {
            "p": {
                "type": "TextTensor",
                "metadata": {},
                "model_kwargs": {"a": None},
                "requires_grad": False,
                "text": "",
            }
        },
        "max_concurrency": None,
        "recursion_limit": None,
        "run_name": "",
        "callbacks": [None],
        "metadata": {},
        "tags": [],
        "configurable": {"a": None, "b": {}},
    }
    assert effective_config(noisy, None) == {
        "configurable": {"a": None, "b": {}},
        "callbacks": [None],
        "prompts": {"p": {"text": "", "model_kwargs": {"a": None}}},
    }


def test_effective_config_lists_fields_in_the_order_of_the_schema() -> None:
    stored = dict(reversed(FULL.items()))
    assert list(effective_config(stored, {"tags": ["x"]})) == list(FULL)


def test_an_override_model_counts_only_what_its_client_set() -> None:
    assert effective_config(FULL, ConfigModel(tags=["new"])) == FULL | {"tags": ["new"]}
    assert effective_config(FULL, ConfigModel(configurable={})) == {
        name: value for name, value in FULL.items() if name != "configurable"
    }
    prompts = ConfigModel.model_validate({"prompts": {"q": {"text": "q"}}})
    assert effective_config(FULL, prompts)["prompts"] == FULL["prompts"] | {"q": {"text": "q"}}
    assert effective_config(FULL, ConfigModel(run_name=None)).get("run_name") is None


def test_a_model_that_cannot_be_dumped_is_refused() -> None:
    unserialisable = ConfigModel(configurable={"x": object()})
    for override in (unserialisable, ConfigModel):
        with pytest.raises(ValidationError, match=r"^runnable_config can't be dumped to JSON: "):
            parse_runnable_config(override)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=4,
)
documents = st.dictionaries(st.sampled_from("abc"), json_values, max_size=3)
plain_text = st.text(alphabet="aAbB \n", max_size=4)
prompt_documents = st.fixed_dictionaries(
    {"text": plain_text},
    optional={
        "requires_grad": st.booleans(),
        "metadata": documents,
        "model_kwargs": documents,
        "type": st.just("TextTensor"),
    },
)
configs = st.fixed_dictionaries(
    {},
    optional={
        "configurable": documents,
        "tags": st.lists(plain_text, max_size=4),
        "metadata": documents,
        "callbacks": st.lists(json_values, max_size=2),
        "run_name": st.none() | plain_text,
        "recursion_limit": st.none() | st.integers(1, 250),
        "max_concurrency": st.none() | st.integers(1, 32),
        "prompts": st.none() | st.dictionaries(st.sampled_from("pq"), prompt_documents),
    },
)


def parsed(config: Any) -> dict[str, Any]:
    result = parse_runnable_config(config)
    assert result is not None
    return result


@given(configs)
def test_normalisation_is_idempotent(config: dict[str, Any]) -> None:
    once = parsed(config)
    assert parsed(once) == once
    assert set(once) == set(config)
    dumped = effective_config(config, None)
    assert effective_config(dumped, None) == dumped
    assert effective_config(once, None) == dumped


@given(configs, configs)
def test_absent_fields_keep_the_stored_value(
    stored: dict[str, Any], override: dict[str, Any]
) -> None:
    base = effective_config(stored, None)
    result = effective_config(stored, override)
    for name in set(FULL) - set(override):
        assert result.get(name) == base.get(name)


@given(configs, configs)
def test_set_fields_win(stored: dict[str, Any], override: dict[str, Any]) -> None:
    result = effective_config(stored, override)
    alone = effective_config(None, override)
    for name in override:
        if name in ("configurable", "metadata", "prompts"):
            assert (result.get(name) or {}).items() >= (alone.get(name) or {}).items()
        else:
            assert result.get(name) == alone.get(name)
    for name in {"configurable", "metadata"} & set(override):
        assert bool(result.get(name)) is bool(override[name])


@given(configs, configs)
def test_merging_twice_changes_nothing_more(
    stored: dict[str, Any], override: dict[str, Any]
) -> None:
    base, changes = parsed(stored), parsed(override)
    before = (repr(base), repr(changes))
    merged = merge_runnable_configs(base, changes)
    assert merge_runnable_configs(merged, changes) == merged
    assert (repr(base), repr(changes)) == before
