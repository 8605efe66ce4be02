"""Lists are decoded column by column; what does not fit is told as for a single row."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql import DecodeError
from orcheo_sql.codecs import rows as codec


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(msgspec.Struct, frozen=True):
    n: int
    at: dt.datetime | None = None


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    other: UUID | None
    at: dt.datetime
    until: dt.datetime | None
    colour: Colour
    shade: Colour | None
    is_on: bool
    was_on: bool | None
    count: int
    share: float | None
    name: str
    document: dict[str, Any]
    maybe: dict[str, Any] | None
    parts: list[Part]


COLUMNS = tuple(field.name for field in msgspec.structs.fields(Thing))
instants = st.datetimes(timezones=st.just(dt.UTC)).map(
    lambda at: f"{at.isoformat(timespec='microseconds')[:26]}Z"
)
uuids = st.uuids().map(str)
documents = st.dictionaries(
    st.text(), st.none() | st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans()
).map(lambda d: msgspec.json.encode(d).decode())
rows = st.tuples(
    uuids, st.none() | uuids, instants, st.none() | instants, st.sampled_from(list(Colour)).map(str),
    st.none() | st.sampled_from(list(Colour)).map(str), st.integers(0, 1), st.none() | st.integers(0, 1),
    st.integers(), st.none() | st.floats(allow_nan=False), st.text(), documents, st.none() | documents,
    st.lists(st.builds(Part, n=st.integers(0, 9))).map(lambda p: msgspec.json.encode(p).decode()),
)  # fmt: skip


def good(**changes: Any) -> tuple[Any, ...]:
    row: dict[str, Any] = {
        "id": str(uuid4()), "other": None, "at": "2026-01-02T03:04:05.000006Z", "until": None, "colour": "red",
        "shade": None, "is_on": 1, "was_on": None, "count": 1, "share": None, "name": "n", "document": "{}",
        "maybe": None, "parts": '[{"n": 1}]',
    }  # fmt: skip
    return tuple({**row, **changes}.values())


@given(st.lists(rows, max_size=12))
def test_a_list_is_what_its_rows_are(given: list[tuple[Any, ...]]) -> None:
    one = codec.row_decoder(Thing, COLUMNS, "sqlite", "q")
    assert codec.rows_decoder(Thing, COLUMNS, "sqlite", "q")(given) == [one(row) for row in given]


def test_no_row_is_decoded_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be right, and slow."""

    def refused(*_: Any) -> Any:
        def decode(_row: Any) -> Any:
            raise AssertionError("row by row")

        return decode

    monkeypatch.setattr(codec, "row_decoder", refused)
    found = codec.rows_decoder(Thing, COLUMNS, "sqlite", "q")([good(count=n) for n in range(50)])
    assert [thing.count for thing in found] == list(range(50))


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("id", ["not one"]),
        ("id", [f'{uuid4()}","{uuid4()}']),
        ("at", ["yesterday"]),
        ("at", ['2026-01-02T03:04:05.000006Z","2026-01-02T03:04:05.000006Z']),
        ("colour", ["green"]),
        ("document", ["[1]"]),
        ("document", ["{},{}"]),
        ("document", ["{"]),
        ("document", ['{"a": [{}', "{}]}"]),
        ("document", ["{},{}", ""]),
        ("maybe", ["{}, null"]),
        ("parts", ['[{"n": "x"}]']),
    ],
)
def test_what_does_not_fit_is_told_by_its_column(column: str, values: list[str]) -> None:
    decode = codec.rows_decoder(Thing, COLUMNS, "sqlite", "folder.query")
    given = [good() for _ in range(5)] + [good(**{column: v}) for v in values] + [good()]
    with pytest.raises(DecodeError, match=f"^folder.query: column {column} does not fit Thing: "):
        decode(given)


def test_values_are_not_in_the_message() -> None:
    decode = codec.rows_decoder(Thing, COLUMNS, "sqlite", "q")
    with pytest.raises(DecodeError) as caught:
        decode([good(document='{"secret": "hunter2"') for _ in range(6)])
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
