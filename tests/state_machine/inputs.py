"""What the machine feeds in: few handles, triggers and words, so that things collide; and values that hurt."""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from tests.state_machine.model_search import Term, Wanted

NAMES = [
    "Alpha flow", "  beta \t", "Été naïve ﬁn", "東京都 flow カタカナ", "!!!", "a" * 128, "snake_case foo-bar",
    'say "hi" \\ back\u2028line', "flow alpha", "x", "Straße 🙂",
]  # fmt: skip
BAD_NAMES = ["", "   ", "n" * 129, "nul\0name"]
HANDLES = ["one", "two", " THREE ", "one-1"]
BAD_HANDLES = ["", "-bad-", "a" * 65, "0" * 32, "no_underscore"]
SLUGS = [None, "My Slug!", "日本語", "  ", "--a--B--"]
DESCRIPTIONS = ["", "   ", "about alpha retry policy", "  trimmed  ", "d" * 1024, "été\ttab\nline"]
BAD_DESCRIPTIONS = ["d" * 1025, "\0"]
TAGS = [
    [],
    ["Alpha", "alpha ", "beta"],
    ["", " "],
    ["two words", "été"],
    ["beta", "alpha"],
    ["東京"],
]
BAD_TAGS = [["fine", "nul\0"]]
ACCESS = ["personal", "authenticated", "workspace"]
ACTORS = ["ada", "bob", "", "ünï"]
BAD_ACTORS = ["nul\0"]
TRIGGERS = ["manual", "webhook alpha", "cron", "retry-policy"]

PROMPTS = [
    [],
    [{"label": " Hi ", "prompt": 'quote " \\ and tab\t', "icon": None}],
    [
        {"label": "Hi", "prompt": "two", "icon": "bolt"},
        {"label": "🙂", "prompt": "line\u2028sep", "icon": " "},
    ],
]
BAD_PROMPTS = [[{"label": " ", "prompt": "x"}], [{"label": "x" * 121, "prompt": "x"}]]
MODELS = [
    [],
    [{"id": "gpt"}],
    [{"id": " m ", "label": "Model", "description": "", "disabled": True, "default": True}],
]
BAD_MODELS = [[{"id": ""}], [{"id": "m", "description": "d" * 241}]]

LEAVES = [
    None, True, False, 0, 1, -1, 1.0, 1.5, -0.0, 100.0, 2**63 - 1, -(2**63), "alpha", "beta", "", "retry policy",
    "naïve", "東京都", "京都に行く", "a\u2028b", "1",
]  # fmt: skip
KEYS = ["a", "b", "name", "tags", "ключ", "two words"]
HOSTILE: list[Any] = [float("nan"), 2**70, "nul\0here", "lone \ud83d", [1, float("nan")]]
ODD_RECORDS: list[Any] = [
    *HOSTILE,
    float("-inf"),
    -(2**70),
    {"nul\0key": 1},
    {1, "b", "a"},
    (1, (2,)),
    UUID(int=7),
]

_leaf = st.sampled_from(LEAVES)
_branch = st.one_of(
    _leaf,
    st.lists(_leaf, max_size=3),
    st.dictionaries(st.sampled_from(KEYS), _leaf, max_size=2),
)
documents = st.dictionaries(st.sampled_from(KEYS), _branch, max_size=3)


def mostly(good: list[Any], bad: list[Any]) -> st.SearchStrategy[Any]:
    """Draw what is refused in one of twenty cases; what is good comes first, for shrinking."""
    return st.sampled_from([*good * (1 + 20 * len(bad) // len(good)), *bad])


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.none(), strategy)


def with_hostile(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.builds(
        lambda document, hostile: document if hostile is None else {**document, "odd": hostile},
        documents,
        st.sampled_from([*[None] * 4 * len(values), *values]),
    )


definitions = with_hostile(HOSTILE)
records = with_hostile(ODD_RECORDS)

CONFIG_VALUES: dict[str, list[Any]] = {
    "configurable": [{}, {"a": 1, "b": {"x": 1}}, {"b": {"y": 2}}],
    "tags": [[], [" Alpha ", "alpha", "beta"], ["retry policy"]],
    "metadata": [{}, {"tier": "gold", "n": 1}, {"n": 2.5, "list": [1, "a"]}],
    "callbacks": [[], ["https://example.org/hook", {"kind": "log"}]],
    "run_name": [None, " Nightly alpha ", "  "],
    "recursion_limit": [None, 25],
    "max_concurrency": [None, 4],
    "prompts": [None, {}, {"p": {"text": "beta", "requires_grad": False, "metadata": {"k": 1}}}, {"q": {"text": ""}}],
}  # fmt: skip


def some_config(chance: random.Random) -> dict[str, Any]:
    return {k: chance.choice(v) for k, v in CONFIG_VALUES.items() if chance.random() < 0.5}


_BAD_CONFIGS: list[dict[str, Any]] = [
    {"unknown": 1},
    {"recursion_limit": 251},
    {"max_concurrency": 0, "tags": []},
    {"tags": ["nul\0"]},
    {"metadata": {"x": float("nan")}},
    {"configurable": {"x": ["nul\0"]}},
    {"prompts": {"p": {}}},
]
_good_configs = st.dictionaries(
    st.sampled_from(list(CONFIG_VALUES)), st.integers(0, 3), max_size=4
).map(lambda picks: {key: CONFIG_VALUES[key][n % len(CONFIG_VALUES[key])] for key, n in picks.items()})  # fmt: skip
configs = st.one_of(st.none(), *[_good_configs] * 3, st.sampled_from([None] * 20 + _BAD_CONFIGS))

WORDS = [
    "alpha", "FLOW", "beta", "retry", "naive", "été", "foo", "1", "strasse", "東京", "都", "京都", "カタ", "xyz",
    "a" * 128, "hi", "nightly", "webhook", "ab", "fin", "u0000here",
]  # fmt: skip
COMMON = ["alpha", "beta", "flow", "retry", "manual", "webhook", "1", "a", "policy"]
PHRASES = [
    ("retry", "policy"),
    ("alpha", "flow"),
    ("retry", "policy"),
    ("foo", "bar"),
    ("flow", "alpha"),
    ("say", "hi"),
]
_terms = st.one_of(
    st.builds(
        lambda word, prefix, excluded: Term((word,), prefix, excluded),
        st.sampled_from(WORDS),
        st.booleans(),
        st.booleans(),
    ),
    st.builds(
        lambda word, excluded: Term((word,), excluded=excluded),
        st.sampled_from(COMMON),
        st.booleans(),
    ),
    st.builds(
        lambda words, prefix, excluded: Term(words, prefix, excluded),
        st.sampled_from(PHRASES),
        st.booleans(),
        st.booleans(),
    ),
    st.sampled_from([Term(("!!",)), Term(("a",), prefix=True), Term(("pol",), prefix=True)]),
)
_common = st.builds(
    lambda word, prefix: Term((word,), prefix), st.sampled_from(COMMON), st.booleans()
)
_excluded_phrase = st.sampled_from(PHRASES).map(lambda words: Term(words, excluded=True))
# One word that is common and perhaps another term, or whatever comes.
searches = st.one_of(
    st.tuples(_common, _terms).map(list),
    st.tuples(_common, _excluded_phrase).map(list),
    _common.map(lambda term: [term]),
    st.lists(_terms, min_size=1, max_size=3),
)

_paths = st.sampled_from(
    [("a",), ("b",), ("name",), ("tags", 0), ("a", "b"), ("tags",), ("odd",), ("ключ",), ("n",), ("tier",), ()]
)  # fmt: skip
_conditions = st.one_of(
    st.tuples(_paths, st.sampled_from(["exists", "missing"])),
    st.tuples(_paths, st.sampled_from(["==", "!="]), _branch),
    st.tuples(
        _paths,
        st.sampled_from(["<", "<=", ">", ">="]),
        st.sampled_from([0, 1, 1.0, 1.5, -1, 2**63 - 1, "alpha", "", "naïve", "1"]),
    ),
    st.tuples(_paths, st.just("in"), st.lists(_leaf, max_size=3)),
)
filters = st.one_of(
    documents.map(Wanted),
    st.tuples(st.one_of(st.just(...), documents), st.lists(_conditions, max_size=2).map(tuple)).map(
        lambda parts: Wanted(*parts)
    ),
    st.sampled_from([Wanted({"tier": "gold"}), Wanted({"n": 1.0}), Wanted({"list": ["a"]})]),
)
