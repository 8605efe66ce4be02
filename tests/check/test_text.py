"""What is read off SQL as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orcheo_sql._catalog import Query, load_catalog, read_file
from orcheo_sql.check.analysis import (
    assigned,
    coalesced,
    null_tested,
    nullable_parameters,
    result_items,
)
from orcheo_sql.check.query_types import known_annotations, known_signatures, render, signature_of
from orcheo_sql.check.samples import Samples, as_argument, load_samples
from orcheo_sql.check.schema import Column, Schema, Table
from orcheo_sql.check.sqltext import code, code_line, tag_line, tokens, word_line
from orcheo_sql.check.twins import common_form

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = Schema(
    "postgres",
    {
        "notes": Table(
            "notes",
            {
                "id": Column("id", "uuid", nullable=False),
                "body": Column("body", "text", nullable=True),
            },
        )
    },
)


def test_tokens_know_their_kind_and_line() -> None:
    sql = "SELECT 'it''s' AS a, -- why\n  b::text, \"c\", :d @> 1.5e3\nFROM $$ x $$"
    found = [(t.kind, t.text, t.line) for t in tokens(sql) if t.kind != "operator"]
    assert ("string", "'it''s'", 1) in found
    assert ("comment", "-- why", 1) in found
    assert ("parameter", ":d", 2) in found
    assert ("quoted", '"c"', 2) in found
    assert ("number", "1.5e3", 2) in found
    assert found[-2:] == [("word", "FROM", 3), ("word", "x", 3)]


@pytest.mark.parametrize(
    ("sqlite", "postgres"),
    [
        ("a = :a", "a = :a::text"),
        ("json_insert(log, '$[#]', json(:event))", "log || :event::jsonb"),
        ("json_set(:e, '$.a.b', 1)", "jsonb_set(:e::jsonb, '{a,b}', 1)"),
        ("json_array(json(:e))", "jsonb_build_array(:e::jsonb)"),
        ("json(iif(x, 'true', 'false'))", "to_jsonb(x)"),
        ("json_contains(a, :b)", "a::jsonb @> :b::jsonb"),
        ("id IN (SELECT value FROM json_each(:ids))", "id = ANY(:ids::uuid[])"),
        ("a IS NOT :b", "a IS DISTINCT FROM :b"),
        ("a IS :b", "a IS NOT DISTINCT FROM :b"),
        ("x = 1 AND +status = 2", "x = TRUE AND status = 2;"),
    ],
)
def test_what_dialects_always_write_differently_is_no_difference(
    sqlite: str, postgres: str
) -> None:
    assert common_form(sqlite) == common_form(postgres)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a = :a", "a = :b"),
        ("a IS NOT NULL", "a IS NULL"),
        ("json_insert(a, '$.x', 1)", "a || 1"),
        ("json_contains(a)", "a @> b"),
        ("json()", "json(x)"),
        ("max(a, b)", "max(a)"),
    ],
)
def test_other_differences_show(one: str, other: str) -> None:
    assert common_form(one) != common_form(other)


def test_parameters_that_may_be_null() -> None:
    found = code("SELECT 1 WHERE (:a::uuid[] IS NULL OR x = :a) AND y = coalesce(:b, :c, z) AND :d")
    assert null_tested(found) == {"a"}
    assert coalesced(found) == {"b", "c"}
    insert = "INSERT INTO notes (id, body) VALUES (:id, :body::text)"
    assert list(assigned(code(insert))) == [("notes", "id", "id"), ("notes", "body", "body")]
    assert nullable_parameters(insert, SCHEMA) == {"body"}
    select = "INSERT INTO notes (id, body) SELECT :id, lower(:body) FROM other WHERE x = :x"
    assert nullable_parameters(select, SCHEMA, ["x"]) == {"x"}
    update = "UPDATE notes SET body = :body, id = :now WHERE id = :now RETURNING id"
    assert nullable_parameters(update, SCHEMA) == {"body"}
    both = "UPDATE notes SET body = :now, id = :now"
    assert nullable_parameters(both, SCHEMA) == set()
    assert list(assigned(code("INSERT INTO notes (id) DEFAULT VALUES"))) == []


def test_result_columns_and_their_tables() -> None:
    items = result_items(
        "WITH q AS (SELECT 1) SELECT a.id, b.body, NULL::json AS c, count(*) AS n "
        "FROM notes AS a LEFT JOIN notes AS b ON b.id = a.id CROSS JOIN q ORDER BY 1"
    )
    assert [(i.table, i.column, i.outer) for i in items] == [
        ("notes", "id", False),
        ("notes", "body", True),
        (None, None, False),
        (None, None, False),
    ]
    assert items[2].is_null
    [item] = result_items("SELECT id FROM notes WHERE id = 1")
    assert (item.table, item.column) == ("notes", "id")
    [item] = result_items("UPDATE notes SET body = 1 WHERE id IN (SELECT id FROM x) RETURNING id")
    assert item.table == "notes"
    [item] = result_items("DELETE FROM notes RETURNING id")
    assert item.table == "notes"
    [one, _] = result_items("SELECT a.id, b.id FROM notes AS a RIGHT JOIN notes AS b ON TRUE")
    assert one.outer
    assert result_items("DELETE FROM notes") == []
    assert result_items("SELECT 1")[0].table is None


FILE = """\
-- Notes.

-- name: get_note(id)^
-- Get a note.
-- Returns: int
-- Differs: because
--     of that.

SELECT
    -- the body
    body
FROM notes
WHERE id = :id;
"""


def read(path: Path, text: str = FILE) -> Query:
    path.write_text(text)
    [(query, _)] = read_file(path, "notes", "postgres")
    return query


def test_a_comment_among_the_sql_is_no_tag(tmp_path: Path) -> None:
    query = read(tmp_path / "notes.sql")
    assert query.doc == "Get a note."
    assert query.tags == {"Returns": "int", "Differs": "because of that."}


def test_lines_of_a_query(tmp_path: Path) -> None:
    query = read(tmp_path / "notes.sql")
    assert [code_line(query, n) for n in range(5)] == [9, 11, 12, 13, 3]
    assert (tag_line(query, "Returns"), tag_line(query, "Index")) == (5, 3)
    assert (word_line(query, "NOTES"), word_line(query, "nothing")) == (12, 3)


def test_types_can_be_read_back(tmp_path: Path) -> None:
    query = read(
        tmp_path / "notes.sql",
        FILE.replace("= :id", "= :id AND :kind IS NULL").replace("(id)", "(id, kind)"),
    )
    text = render([query], {"notes.get_note": {"id": "uuid", "kind": "money"}}, SCHEMA)
    assert "class Notes(Protocol):" in text
    assert "async def get_note(self, *, id: UUID, kind: Any) -> int | None:" in text
    assert "from .structs" not in text
    assert known_annotations(text) == {"notes.get_note": {"id": "UUID", "kind": "Any"}}
    assert known_signatures("not Python (") == {}


def test_the_real_types_know_every_query() -> None:
    from orcheo_sql.check.query_types import path_of_types

    known = known_signatures(path_of_types().read_text())
    assert known == {q.qualified_name: signature_of(q) for q in load_catalog("postgres")}


def test_samples(tmp_path: Path) -> None:
    query = read(tmp_path / "any.sql")
    seeds = tmp_path / "notes.sql"
    seeds.write_text('-- sample: id = "a"\n-- sample: get_note.id = null\nSELECT 1;\n')
    assert load_samples([seeds]).of(query, "id").value is None
    assert load_samples([seeds]).arguments(query, {"id": "uuid"}) == {"id": None}
    topic = tmp_path / "notes_topic.sql"
    topic.write_text('-- sample: kind = "b"\n-- sample: get_note.id = "c"\n')
    other = tmp_path / "note_books.sql"
    other.write_text('-- sample: get_note.kind = "d"\n')
    samples = load_samples([seeds, topic, other])
    assert samples.of(query, "kind").value == "b"
    assert samples.of(query, "id").value is None
    assert Samples({}).of(query, "before_at").value == "9999-01-01T00:00:00.000000Z"
    assert as_argument("x", {"a": 1}, "") == '{"a":1}'
    assert as_argument("x", 1, "") == 1
