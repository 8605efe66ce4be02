"""Lists are decoded column by column; what does not fit is told as for a single row."""

from __future__ import annotations

import datetime as dt
import enum
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fixtures.databases import postgres_settings

from orcheo_sql import Database, DecodeError
from orcheo_sql.bench.data import Data
from orcheo_sql.codecs import rows as codec

if TYPE_CHECKING:
    from orcheo_sql.check.scratch_postgres import ScratchPostgres


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
        ("document", ['{"x": 1},{"y": 2}', '{"x": 1', '"y": 2}']),
        ("document", ["{}],[{}", '{"a":"x', 'y"}']),
        ("document", ["{}],\n[{}", '{"a":"x', 'y"}']),
        ("document", ["{}],\n[{}", '{"a": [1', "2]}"]),
        ("maybe", ["{}, null"]),
        ("parts", ['[{"n": "x"}]']),
    ],
)
def test_what_does_not_fit_is_told_by_its_column(column: str, values: list[str]) -> None:
    decode = codec.rows_decoder(Thing, COLUMNS, "sqlite", "folder.query")
    given = [good() for _ in range(5)] + [good(**{column: v}) for v in values] + [good()]
    with pytest.raises(DecodeError, match=f"^folder.query: column {column} does not fit Thing: "):
        decode(given)


def test_documents_that_make_up_for_each_other_are_found() -> None:
    class Anything(msgspec.Struct):
        document: Any

    decode = codec.rows_decoder(Anything, ("document",), "sqlite", "q")
    for damaged in (
        ("[[1", "2]]", "3],[4", "5"),
        ("[1", "2]", "3],\n[4", "5"),
        ("1],[2", "[3", "4]", "5"),
    ):
        with pytest.raises(DecodeError):
            decode([(text,) for text in damaged])


def test_values_are_not_in_the_message() -> None:
    decode = codec.rows_decoder(Thing, COLUMNS, "sqlite", "q")
    with pytest.raises(DecodeError) as caught:
        decode([good(document='{"secret": "hunter2"') for _ in range(6)])
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_no_row_is_given_what_is_anothers(settings_of: dict[str, Any]) -> None:
    """In a damaged database one value may look like two, and two like one."""
    if "database_path" not in settings_of:
        pytest.skip("PostgreSQL takes no text that is not JSON")
    async with Database(**settings_of) as db:
        data = Data(db)
        version = await data.new_version()
        runs = [(await data.new_run(version, {"of": n})).id for n in range(6)]
        with closing(sqlite3.connect(settings_of["database_path"])) as raw:
            for n, text in ((5, '{"of":5},{"x":1}'), (1, '{"of":1'), (0, '"y":0}')):
                raw.execute(
                    "UPDATE workflow_run_inputs SET input_payload = ? "
                    "WHERE run_number = (SELECT run_number FROM workflow_runs WHERE id = ?)",
                    [text, str(runs[n])],
                )
            raw.commit()
        with pytest.raises(DecodeError, match="input_payload"):
            await db.workflows.page_runs()


async def test_postgres_hands_documents_over_so_that_they_are_read_together(
    postgres_server: ScratchPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> Any:
        def decode(_row: Any) -> Any:
            raise AssertionError("row by row")

        return decode

    dsn = postgres_server.create_database()
    async with Database(**postgres_settings(dsn)) as db:
        data = Data(db)
        version = await data.new_version()
        for _ in range(10):
            await data.new_run(version)
        plain = codec.row_decoder
        monkeypatch.setattr(codec, "row_decoder", refused)
        assert len((await db.workflows.page_runs()).items) == 10
        monkeypatch.setattr(codec, "row_decoder", plain)
    postgres_server.drop_database(dsn)


def test_what_is_missing_is_missing_in_a_list_too() -> None:
    one = codec.row_decoder(Thing, COLUMNS, "sqlite", "q")
    many = codec.rows_decoder(Thing, COLUMNS, "sqlite", "q")
    for column in ("id", "at", "is_on", "document"):
        given = [*(good() for _ in range(5)), good(**{column: None})]
        assert many(given) == [one(row) for row in given]
    mixed = [*(good() for _ in range(5)), good(maybe="null"), good(maybe=None)]
    with pytest.raises(DecodeError, match="column maybe"):
        many(mixed)


def test_a_time_is_the_same_alone_and_in_a_list() -> None:
    one = codec.row_decoder(Thing, COLUMNS, "sqlite", "q")
    many = codec.rows_decoder(Thing, COLUMNS, "sqlite", "q")
    for text in (
        "2026-01-02T03:04:05.9999999Z",
        "2026-01-02t03:04:05z",
        "2026-01-02T03:04:05.0000005Z",
    ):
        given = [good(at=text) for _ in range(5)]
        assert many(given) == [one(row) for row in given]
