"""The rules by which any value becomes a document of a run history."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import uuid
from collections import UserDict, deque
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pytest

from orcheo_sql import RunHistoryPayloadTooLargeError, RunHistoryRecord
from orcheo_sql.rules.history import (
    HistoryDocuments,
    history_callbacks,
    history_metadata,
    normalize_json_mapping,
    normalize_json_value,
)
from orcheo_sql.rules.history_walk import ManyPartsError


class Colour(enum.Enum):
    RED = "red"
    DAY = dt.date(2026, 1, 2)


@dataclass
class Payload:
    value: int
    inner: Any = None


class Model:
    def __init__(self, dumped: Any, *, takes_mode: bool = True):
        self.dumped, self.takes_mode = dumped, takes_mode

    def model_dump(self, **options: Any) -> Any:
        if options and not self.takes_mode:
            raise TypeError("unexpected keyword")
        if isinstance(self.dumped, Exception):
            raise self.dumped
        return self.dumped


class Stubborn:
    """Its dump always fails, and it has no attributes."""

    def model_dump(self, **_: Any) -> Any:
        raise TypeError("never")


class Silent:
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no text either")


class Hostile(UserDict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no items")

    def __str__(self) -> str:
        return "hostile"


NOON = dt.datetime(2026, 1, 2, 12, 0, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        (None, None), ("text", "text"), (7, 7), (1.5, 1.5), (True, True),
        (NOON, "2026-01-02T12:00:00+00:00"), (dt.date(2026, 1, 2), "2026-01-02"), (dt.time(3, 4), "03:04:00"),
        (uuid.UUID(int=7), str(uuid.UUID(int=7))), (PurePosixPath("/a/b"), "/a/b"), (Decimal("1.50"), "1.50"),
        (b"gr\xc3\xbcn\xff", "grün�"), (bytearray(b"ab"), "ab"),
        (Colour.RED, "red"), (Colour.DAY, "2026-01-02"),
        ({1: 2, None: 3, Colour.RED: 4}, {"1": 2, "None": 3, "Colour.RED": 4}), (UserDict(a=1), {"a": 1}),
        ((1, (2,)), [1, [2]]), (deque([1]), [1]), ({1}, [1]), (frozenset("a"), ["a"]),
        (Payload(3, [Payload(4)]), {"value": 3, "inner": [{"value": 4, "inner": None}]}),
        (Model({"a": {1}}), {"a": [1]}), (Model({"a": 1}, takes_mode=False), {"a": 1}),
        (Model([b"x"]), ["x"]),
        (Model(None), {"dumped": None, "takes_mode": True}), (Stubborn(), {}),
        (Silent(), "<Silent>"), (Hostile(), "hostile"), (ValueError("why"), "why"), (int, "<class 'int'>"),
    ],
)  # fmt: skip
def test_a_value_becomes_json_types_by_the_first_rule_that_fits(value: Any, normal: Any) -> None:
    assert normalize_json_value(value) == normal


def test_what_asks_the_specification_for_its_examples() -> None:
    failing = Model(RuntimeError("broken"))
    assert normalize_json_value(failing) == {"dumped": "broken", "takes_mode": True}
    assert normalize_json_value(object()).startswith("<object object at")
    mapping = normalize_json_mapping({"payload": Payload(3), "ids": {2, 1}})
    assert mapping["payload"] == {"value": 3, "inner": None}
    assert sorted(mapping["ids"]) == [1, 2]


def test_a_mapping_is_made_of_anything() -> None:
    assert normalize_json_mapping(None) == {}
    assert normalize_json_mapping([1]) == {"value": [1]}
    assert normalize_json_mapping("text") == {"value": "text"}
    assert normalize_json_mapping(Model(None, takes_mode=True))["dumped"] is None


def test_entities_of_this_library_are_objects() -> None:
    record = RunHistoryRecord(workflow_id="w", execution_id="e")
    assert normalize_json_value(record)["execution_id"] == "e"


def test_a_cycle_is_named_and_a_shared_value_is_repeated() -> None:
    cycle: dict[str, Any] = {"a": 1}
    cycle["self"] = [cycle]
    assert normalize_json_value(cycle) == {"a": 1, "self": ["<recursive>"]}
    shared = {"a": 1}
    assert normalize_json_value([shared, shared]) == [shared, shared]
    one, other = Payload(1), Payload(2)
    one.inner, other.inner = other, one
    assert normalize_json_value(one)["inner"]["inner"] == "<recursive>"


def test_deep_and_endless_values_end() -> None:
    documents = HistoryDocuments(100_000, redacts=False)
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert "<nested too deeply>" in documents.mapping({"deep": deep}, "it")
    assert documents.mapping(MagicMock(), "it") == '{"value":"<nested too deeply>"}'


def test_a_document_that_grows_by_sharing_is_refused_before_it_fills_the_memory() -> None:
    bomb: Any = "x" * 100
    for _ in range(60):
        bomb = [bomb, bomb]
    with pytest.raises(RunHistoryPayloadTooLargeError, match=r"it is larger than 1000000 bytes"):
        HistoryDocuments(1_000_000, redacts=True).mapping(bomb, "it")

    class Endless(dict[str, int]):
        def items(self) -> Any:
            return ((str(n), n) for n in itertools.count())

    huge = "x" * 10_000
    for large in ({huge: 1}, [2**80_000], Endless(), bytearray(huge, "ascii")):
        with pytest.raises(RunHistoryPayloadTooLargeError):
            HistoryDocuments(100_000, redacts=True).mapping([large] * 100, "it")
    with pytest.raises(RunHistoryPayloadTooLargeError):
        HistoryDocuments(100_000, redacts=True).mapping([huge] * 100, "it")


def test_what_is_shared_is_looked_at_once() -> None:
    """Forty lists, each of which holds the next one twice, took 23 seconds to be refused."""
    looked_at = 0

    class Counts(dict[str, int]):
        def items(self) -> Any:
            nonlocal looked_at
            looked_at += 1
            return super().items()

    shared: Any = Counts(a=1)
    for _ in range(16):
        shared = [shared, shared]
    stored = HistoryDocuments(2**20, redacts=True).mapping(shared, "it")
    assert (stored.count('{"a":1}'), looked_at) == (2**16, 1)
    bomb: Any = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    for redacts in (True, False):
        quick = HistoryDocuments(2**24, redacts=redacts, parts=1000)
        with pytest.raises(RunHistoryPayloadTooLargeError):
            quick.mapping({"a": bomb}, "it")
        with pytest.raises(RunHistoryPayloadTooLargeError):
            quick.tags([bomb], "tags")


def test_what_is_shared_below_the_deepest_level_is_not_written_out() -> None:
    bomb: Any = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    for _ in range(195):
        bomb = [bomb]
    for redacts in (True, False):
        assert "<nested too deeply>" in HistoryDocuments(10_000, redacts=redacts).mapping(
            bomb, "it"
        )


def test_what_is_shared_within_a_cycle_depends_on_where_it_stands() -> None:
    cycle: dict[str, Any] = {}
    inner = {"up": cycle}
    cycle["one"] = inner
    # `inner` stands at one depth twice, once inside of `cycle`.
    assert normalize_json_value([[cycle], [[inner]]]) == [
        [{"one": {"up": "<recursive>"}}],
        [[{"up": {"one": "<recursive>"}}]],
    ]


@pytest.mark.parametrize(
    "value",
    [list(range(200_000)), [0.5] * 200_000, ["a"] * 20_000, {str(n): n for n in range(20_000)}, "x" * 2**24],
)  # fmt: skip
def test_large_values_are_not_made_at_once(value: Any) -> None:
    documents = HistoryDocuments(2**25, redacts=True)
    with pytest.raises(ManyPartsError):
        documents.at_once().mapping(value, "it")
    documents.mapping(value, "it")


@pytest.mark.parametrize(
    "value",
    [0, 7, 8, -9, 127, 2**62, -(2**63), 2**70, 1.5, None, True, "", "ab", [], [1], [[], {}], [8] * 50, [2**63 - 1] * 50,
     [1.0, None], [1, 2.0], {"": 1}, {"a": {"b": [1, 2]}}, ["a", "b"], [""] * 50],
)  # fmt: skip
def test_what_just_fits_is_not_refused(value: Any) -> None:
    size = len(HistoryDocuments(2**20, redacts=True).mapping({"": value}, "it"))
    HistoryDocuments(size, redacts=True).mapping({"": value}, "it")
    with pytest.raises(RunHistoryPayloadTooLargeError):
        HistoryDocuments(size - 1, redacts=True).mapping({"": value}, "it")


def test_the_limit_counts_bytes() -> None:
    documents = HistoryDocuments(12, redacts=False)
    assert documents.mapping({"a": "1234"}, "it") == '{"a":"1234"}'
    for payload in ({"a": "12345"}, {"a": "123é"}):
        with pytest.raises(RunHistoryPayloadTooLargeError):
            documents.mapping(payload, "it")


def test_hostile_values_become_storable_text() -> None:
    stored = HistoryDocuments(10_000, redacts=True).mapping(
        {"nan": float("nan"), "big": 2**70, "nul": "a\0b", "half": "\ud83d", "k\0": 10**5000}, "it"
    )
    assert msgspec.json.decode(stored.encode()) == {
        "nan": "NaN", "big": str(2**70), "nul": r"a\u0000b", "half": r"\ud83d", r"k\u0000": hex(10**5000),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "config", "tags"),
    [
        (None, {}, []), (None, {"tags": ["a"]}, ["a"]), (None, {"tags": None}, []), (None, {"tags": "alpha"}, ["alpha"]),
        ([], {"tags": ["a"]}, []), (["x", 1, None], {"tags": ["a"]}, ["x", "1", "None"]), ("one", {}, ["one"]),
        (None, {"tags": {"a": 1}}, []), (7, {}, ["7"]),
    ],
)  # fmt: skip
def test_tags_given_win_over_the_configs(given: Any, config: Any, tags: list[str]) -> None:
    started = HistoryDocuments(1000, redacts=True).start(
        "e",
        inputs=None,
        runnable_config=config,
        tags=given,
        callbacks=None,
        metadata=None,
        run_name=None,
    )
    assert msgspec.json.decode(started.tags.encode()) == tags


def test_callbacks_and_metadata_given_win_over_the_configs() -> None:
    config = {"callbacks": {"kind": "log"}, "metadata": {"tier": "gold"}}
    assert history_callbacks(None, config) == [{"kind": "log"}]
    assert history_callbacks([], config) == []
    assert history_callbacks("one", config) == ["one"]
    assert history_callbacks(None, {"callbacks": None}) == []
    assert history_metadata(None, config) == {"tier": "gold"}
    assert history_metadata({}, config) == {}
    assert history_metadata(None, {"metadata": [1]}) == {}
    assert history_metadata([1], config) == {"value": [1]}
