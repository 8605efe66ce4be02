"""The rules by which any value becomes a document of a run history."""

from __future__ import annotations

import datetime as dt
import enum
import itertools
import uuid
from collections import UserDict, deque
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from unittest.mock import MagicMock

import msgspec
import pytest

from orcheo_sql import RunHistoryPayloadTooLargeError, RunHistoryRecord
from orcheo_sql.rules.history import (
    REDACTED,
    HistoryDocuments,
    history_callbacks,
    history_metadata,
    history_tags,
    is_secret_key,
    normalize_json_mapping,
    normalize_json_value,
)


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
    "key",
    ["password", "DB_PASSWORD", "clientSecret", "token", "access_token", "refreshToken", "X-API-Key", "apikey",
     "api_keys", "privateKey", "Authorization", "Set-Cookie", "cookies", "credentials", "secret key"],
)  # fmt: skip
def test_secrets_are_known_by_the_end_of_their_key(key: str) -> None:
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key",
    ["tokens", "max_tokens", "token_count", "passwordless", "keys", "key", "monkey", "secretary", "author", "",
     "x" * 500 + "token"],
)  # fmt: skip
def test_other_keys_are_not_taken_for_secrets(key: str) -> None:
    assert not is_secret_key(key)


def test_secrets_are_left_out_wherever_they_stand() -> None:
    @dataclass
    class Login:
        user: str
        password: str = field(repr=False)

    value = {
        "login": Login("ada", "hunter2"),
        "headers": [{"Authorization": ["Bearer x"]}],
        "token": None,
        "streamed": [{"token": "Hel"}, {"token": "lo, "}, {"token": "sk-0123456789abcdef"}],
        "a": {"cookie": False},
    }
    documents = HistoryDocuments(1000, redacts=True)
    assert documents.normal(value, "it") == {
        "login": {"user": "ada", "password": REDACTED}, "headers": [{"Authorization": REDACTED}], "token": None,
        "streamed": [{"token": "Hel"}, {"token": "lo, "}, {"token": REDACTED}],
        "a": {"cookie": False},
    }  # fmt: skip
    assert "hunter2" in HistoryDocuments(1000, redacts=False).mapping(value, "it")


@pytest.mark.parametrize(
    ("given", "config", "tags"),
    [
        (None, {}, []), (None, {"tags": ["a"]}, ["a"]), (None, {"tags": None}, []), (None, {"tags": "alpha"}, ["alpha"]),
        ([], {"tags": ["a"]}, []), (["x", 1, None], {"tags": ["a"]}, ["x", "1", "None"]), ("one", {}, ["one"]),
        (None, {"tags": {"a": 1}}, []), (7, {}, ["7"]),
    ],
)  # fmt: skip
def test_tags_given_win_over_the_configs(given: Any, config: Any, tags: list[str]) -> None:
    assert history_tags(given, config) == tags


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
