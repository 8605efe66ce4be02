from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import math
import sqlite3
from collections import OrderedDict, deque
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql._documents import (
    MAX_DEPTH,
    JsonText,
    _encode_plain,
    _is_too_deep,
    _Walk,
    check_text,
    clean_text,
    encode_definition,
    encode_record,
    path_text,
)
from orcheo_sql._errors import EncodingError, ValidationError

ID = UUID("12345678-1234-5678-1234-567812345678")


def record(value: Any) -> Any:
    return msgspec.json.decode(encode_record(value).encode())


# Any character, with the hostile ones and those that JSON escapes often.
characters = st.characters() | st.sampled_from('\0\ud800\udfff"\\[]{}u0\n\x1b')
texts = st.text(characters, max_size=12)
numbers = (
    st.floats()
    | st.integers()
    | st.integers(min_value=2**62, max_value=2**65)
    | st.integers(min_value=-(2**65), max_value=-(2**62))
)
scalars = st.none() | st.booleans() | numbers | texts
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


class Held(msgspec.Struct, rename="camel"):
    some_value: Any = None
    inner: Any = None
    left_out: Any = msgspec.UNSET


class Pair(msgspec.Struct, array_like=True, tag=True):
    first: Any
    second: Any = None


hashable = st.none() | st.booleans() | numbers | texts | st.uuids() | st.dates()
exotic = st.recursive(
    scalars
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals()
    | st.binary(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.builds(Held, inner, inner)
        | st.builds(Pair, inner, inner)
    ),
    max_leaves=12,
)


def is_hostile(value: Any) -> bool:
    """Say whether plain JSON types hold a hostile value, without the code under test."""
    if isinstance(value, str):
        return any(char == "\0" or 0xD800 <= ord(char) <= 0xDFFF for char in value)
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, int):
        return not -(2**63) <= value < 2**63
    if isinstance(value, list):
        return any(map(is_hostile, value))
    if isinstance(value, dict):
        return any(is_hostile(part) for pair in value.items() for part in pair)
    return False


@given(exotic)
def test_a_record_is_never_refused_and_reads_back(value: Any) -> None:
    text = encode_record(value)
    decoded = msgspec.json.decode(text.encode())
    assert not is_hostile(decoded)
    assert encode_record(decoded) == text
    assert json.loads(text) == decoded  # another reader sees the same
    text.encode()  # nothing a driver could not send


@given(documents)
def test_an_ordinary_document_reads_back_as_itself_and_a_definition_is_refused_if_it_would_not(
    value: Any,
) -> None:
    if is_hostile(value):
        assert record(value) != value
        with pytest.raises(ValidationError):
            encode_definition(value, name="graph")
    else:
        assert record(value) == value
        assert encode_definition(value, name="graph") == encode_record(value)


@given(exotic)
def test_the_fast_path_writes_what_the_walk_writes(value: Any) -> None:
    fast = _encode_plain(value)
    if fast is not None:
        walked = _Walk("value", strict=True).value(value, (), 0)
        assert fast == msgspec.json.encode(walked)


def test_the_fast_path_takes_ordinary_documents() -> None:
    document = {
        "messages": [{"role": "user", "content": "größer\n"}],
        "score": 0.00123456789012345678,
        "none": None,
        "n": 2**53,
    }
    assert _encode_plain(document) is not None
    assert _encode_plain(Held(ID, Held(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), document)))


@given(documents)
def test_sqlite_takes_every_record(value: Any) -> None:
    connection = sqlite3.connect(":memory:")
    row = connection.execute("SELECT json_valid(?1), ?1", (encode_record(value),)).fetchone()
    connection.close()
    assert row == (1, encode_record(value))


class Colour(enum.Enum):
    RED = "red"
    DEEP = (1, math.nan)


class Level(enum.IntEnum):
    HIGH = 3


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


class Point(NamedTuple):
    x: int
    y: float


class Struct(msgspec.Struct, rename="camel", tag="thing", omit_defaults=True):
    long_name: Any
    same: int = 1
    items: list[int] = msgspec.field(default_factory=list)
    unset: int | msgspec.UnsetType = msgspec.UNSET


class Row(msgspec.Struct, array_like=True):
    a: Any
    b: int


@dataclasses.dataclass
class Data:
    a: Any
    b: Any = msgspec.UNSET


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    when: dt.datetime
    text: Any = None


NOON = dt.datetime.fromisoformat("2026-01-02T12:00:00.000006")
BERLIN = dt.timezone(dt.timedelta(hours=1))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\0b", r"a\u0000b"),
        ("\ud83d", r"\ud83d"),
        ({"\0": 1}, {r"\u0000": 1}),
        (math.nan, "NaN"),
        (math.inf, "Infinity"),
        ([-math.inf, None], ["-Infinity", None]),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (2**63, "9223372036854775808"),
        (-(2**63) - 1, "-9223372036854775809"),
        ([2**64 - 1], ["18446744073709551615"]),
        (2**70, "1180591620717411303424"),
        (10**600, "1" + "0" * 600),
        (1 << 40_000, hex(1 << 40_000)),
        ((1, (2,)), [1, [2]]),
        (Point(1, math.nan), [1, "NaN"]),
        ({3, 20, "b", "a"}, ["a", "b", 20, 3]),
        (frozenset({(1, 2)}), [[1, 2]]),
        (deque([1]), [1]),
        (MappingProxyType({"a": 1}), {"a": 1}),
        ({"a": 1}.keys(), ["a"]),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (Colour.RED, "red"),
        (Colour.DEEP, [1, "NaN"]),
        ([Level.HIGH], [3]),
        ([True, False, None], [True, False, None]),
        (Loud("a\0"), r"a\u0000"),
        (Loud("a"), "a"),
        (NOON, "2026-01-02T12:00:00.000006Z"),
        (NOON.replace(tzinfo=BERLIN), "2026-01-02T11:00:00.000006Z"),
        (NOON.replace(microsecond=0, tzinfo=dt.UTC), "2026-01-02T12:00:00Z"),
        (dt.datetime.min.replace(tzinfo=BERLIN), "0001-01-01T00:00:00+01:00"),
        (NOON.date(), "2026-01-02"),
        (NOON.time(), "12:00:00.000006"),
        (dt.timedelta(seconds=90), "PT90S"),
        (ID, str(ID)),
        (Decimal("1.10"), "1.10"),
        (Decimal("NaN"), "NaN"),
        (b"\xff\0", "/wA="),
        (bytearray(b"a"), "YQ=="),
        (memoryview(b"abcd")[::2], "YWM="),
        (Data({1}), {"a": [1]}),
        (Struct(NOON), {"type": "thing", "longName": "2026-01-02T12:00:00.000006Z"}),
        (Struct(1, 2, [3]), {"type": "thing", "longName": 1, "same": 2, "items": [3]}),
        (Row("\0", 2), [r"\u0000", 2]),
        (Model(when=NOON, text="x"), {"when": "2026-01-02T12:00:00.000006", "text": "x"}),
        (Model(when=NOON, text="\ud800"), {"when": NOON.isoformat(), "text": r"\ud800"}),
        (Model(when=NOON, text=b"\xff"), {"when": f"{NOON.isoformat()}Z", "text": "/w=="}),
        (
            Model(when=NOON, text=Model(when=NOON)),
            {"when": NOON.isoformat(), "text": {"when": NOON.isoformat(), "text": None}},
        ),
        ({1: "int", 1.5: "float"}, {"1": "int", "1.5": "float"}),
        ({True: 1}, {"true": 1}),
        ({None: 0, False: 1, 2**70: 2}, {"null": 0, "false": 1, str(2**70): 2}),
        (
            {math.inf: 1, ID: 2, NOON: 3},
            {"Infinity": 1, str(ID): 2, "2026-01-02T12:00:00.000006Z": 3},
        ),
        ({Colour.RED: 1, Level.HIGH: 2, b"a": 3}, {"red": 1, "3": 2, "YQ==": 3}),
        ({1: "first", "2": "x", "1": "last"}, {"1": "last", "2": "x"}),
        ({"\0": "first", r"\u0000": "last"}, {r"\u0000": "last"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_record_rules(value: Any, expected: Any) -> None:
    assert record(value) == expected
    assert record({"a": [value]}) == {"a": [expected]}


def test_key_order_and_number_texts_are_kept() -> None:
    assert encode_record({"b": 1.0, "a": -0.0, "c": 1e100}) == '{"b":1.0,"a":-0.0,"c":1e100}'


def test_json_that_is_encoded_already_is_passed_on() -> None:
    text = JsonText('{"a": 1 }')
    assert encode_record(text) is text
    assert encode_definition(text, name="graph") is text
    assert encode_record('{"a": 1 }') == r'"{\"a\": 1 }"'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"nodes": [0, {"label": "a\0"}]}, "graph.nodes[1].label: a NUL character at position 1"),
        ({"a": {"b\ud800": 1}}, r'graph.a."b\\ud800": a key with a lone surrogate (\ud800)'),
        ([math.nan], "graph[0]: NaN is not a JSON number"),
        ({"a.b": -math.inf}, 'graph."a.b": -Infinity is not a JSON number'),
        ({math.nan: 1}, "graph: NaN is not a JSON number"),
        (2**63, "graph: an integer beyond 64 bit"),
        ({"a": {1: 2, "1": 3}}, "graph.a: two keys that are both 1 in JSON"),
    ],
)
def test_a_definition_is_refused_with_the_path(value: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        encode_definition(value, name="graph")
    assert str(caught.value).startswith(message)
    encode_record(value)


def test_a_definition_is_converted_like_a_record() -> None:
    assert (
        encode_definition({1: (2, {3}), "id": ID}, name="graph") == f'{{"1":[2,[3]],"id":"{ID}"}}'
    )


class SelfDump:
    def model_dump(self, **_: Any) -> SelfDump:
        return self


@pytest.mark.parametrize(
    "encode", [encode_record, lambda value: encode_definition(value, name="document")]
)
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [object()]}, "document.a[0]: a value of type object has no JSON form"),
        ({"a": {(1, 2): 3}}, "document.a: a key of type tuple has no JSON form"),
        ({1 + 2j}, "document[0]: a value of type complex has no JSON form"),
        (Data, "document: a value of type type has no JSON form"),
        ({"f": print}, "document.f: a value of type builtin_function_or_method has no JSON form"),
    ],
)
def test_a_type_without_json_form_is_an_encoding_error(
    encode: Any, value: Any, message: str
) -> None:
    with pytest.raises(EncodingError) as caught:
        encode(value)
    assert str(caught.value) == message
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValidationError)


class BrokenModel:
    def model_dump(self, *, mode: str = "python") -> Any:
        raise ValueError(f"no {mode}")


def test_a_model_that_cannot_be_dumped_is_an_encoding_error() -> None:
    message = r"document\.m: BrokenModel.model_dump\(\) failed: no python"
    with pytest.raises(EncodingError, match=message):
        encode_record({"m": BrokenModel()})
    with pytest.raises(EncodingError, match=r"document\.m\.text: a value of type object"):
        encode_record({"m": Model(when=NOON, text=object())})


def test_a_definition_that_contains_itself_is_refused() -> None:
    array: list[Any] = []
    array.append(array)
    mapping: dict[str, Any] = {}
    mapping["self"] = {"x": mapping}
    data = Data(None)
    data.a = data
    model = Model(when=NOON)
    model.text = model
    for value in (array, mapping, data, model, SelfDump()):
        with pytest.raises(
            ValidationError, match="nested deeper than 200 levels, or contains itself"
        ):
            encode_definition(value, name="graph")


def test_of_a_record_what_is_too_deep_becomes_text() -> None:
    endless: list[Any] = []
    endless.append(endless)
    kept: Any = record({"x": endless})["x"]
    for _ in range(MAX_DEPTH - 1):
        [kept] = kept
    assert kept == "<nested too deeply>"
    kept = record([nested(MAX_DEPTH + 3, shape="list")])
    for _ in range(MAX_DEPTH):
        kept = next(
            item for item in kept if isinstance(item, list | str) and item not in ("]", "[")
        )
    assert msgspec.json.decode(kept) == nested(4, shape="list")
    bottomless: Any = 1
    for _ in range(100_000):
        bottomless = [bottomless]
    assert "<nested too deeply>" in encode_record(bottomless)
    while isinstance(bottomless, list):  # or its destructor overflows the stack
        [bottomless] = bottomless


def nested(levels: int, *, shape: str = "list") -> Any:
    value: Any = 0
    for level in range(levels):
        if shape == "list" or (shape == "mixed" and level % 2):
            value = [1, "]", value, "[", {}] if level else []
        else:
            value = {"a": "}", '"\\"': value} if level else {}
    return value


@pytest.mark.parametrize("shape", ["list", "dict", "mixed"])
def test_the_depth_limit_is_exact_on_both_paths(shape: str) -> None:
    for extra in (None, (1,)):  # a tuple sends the document to the walk
        deepest = nested(MAX_DEPTH - 1, shape=shape)
        assert record([deepest]) == [deepest]
        assert encode_record([deepest, extra])
        with pytest.raises(ValidationError, match=f"nested deeper than {MAX_DEPTH} levels"):
            encode_definition([[deepest], extra], name="graph")
    for levels in (1, MAX_DEPTH, MAX_DEPTH + 1, 400):
        assert _is_too_deep(msgspec.json.encode(nested(levels, shape=shape))) is (
            levels > MAX_DEPTH
        )


def test_a_wide_document_is_not_a_deep_one() -> None:
    wide = {"rows": [[{"a": [1]}] for _ in range(MAX_DEPTH)], "text": '\\"[[[[' * 100}
    assert _encode_plain(wide) is not None


@given(st.text(characters))
def test_clean_and_checked_texts(value: str) -> None:
    cleaned = clean_text(value)
    assert not is_hostile(cleaned)
    if is_hostile(value):
        assert cleaned != value
        with pytest.raises(ValidationError, match=r"^name: a (NUL character|lone surrogate)"):
            check_text(value, name="name")
    else:
        assert cleaned == value == check_text(value, name="name")


def test_check_text_refuses_what_is_not_text() -> None:
    with pytest.raises(ValidationError, match="name: must be text, not int"):
        check_text(5, name="name")  # type: ignore[arg-type]
    assert type(check_text(Loud("a"), name="name")) is str
    assert type(clean_text(Loud("a"))) is str


def test_path_text() -> None:
    assert (
        path_text(("a", 0, "b c", 'q"', "", "x" * 99)) == 'a[0]."b c"."q\\""."".' + f'"{"x" * 60}…"'
    )
    assert path_text((0, "a")) == "[0].a"
