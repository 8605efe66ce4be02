"""JSON filters and searches give the same answers on PostgreSQL as from our Python functions."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orcheo_sql._errors import SearchQueryError
from orcheo_sql._filters import OPERATORS, JsonFilter, json_contains, json_meets
from orcheo_sql._search import parse_search, search_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

MIGRATIONS = Path(__file__).parents[2] / "sql" / "postgres" / "migrations"

# Each example is a batch of about a hundred cases, for one query.
batches = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def function_text() -> str:
    """Return the SQL of json_meets as the migrations create it."""
    pattern = re.compile(r"^CREATE FUNCTION json_meets.*?\$\$;", re.MULTILINE | re.DOTALL)
    texts = [path.read_text() for path in sorted(MIGRATIONS.glob("*.sql"))]
    found = [function for text in texts for function in pattern.findall(text)]
    assert len(found) == 1, "the migrations create json_meets once"
    return str(found[0])


@pytest.fixture(scope="module")
def postgres(postgres_server: ScratchPostgres) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server.dsn, autocommit=True) as connection:
        function = function_text().replace("FUNCTION json_meets", "FUNCTION pg_temp.json_meets")
        connection.execute(function.encode())
        yield connection


# Numbers as JSON can write them, not only as our encoder does; few keys and texts, so that filters
# and documents meet.
numbers = st.sampled_from(
    re.split(
        " ",
        "0 -0 -0.0 1 1.0 1e0 10E-1 0.1 0.10 100 1e2 -1 -1.5 1e308 5e-324 1e400"
        " 9007199254740993 9007199254740992.0 0.1000000000000000055511151231257827"
        " 9223372036854775807 18446744073709551616 123456789012345678901234567890",
    )
).map(lambda text: msgspec.Raw(text.encode()))
texts = st.sampled_from(
    ["", "a", "A", "b", "ab", "é", "e\u0301", "ß", "\ue000", "\U00010000", "1", "0", '"\\', "\x01"]
)
keys = texts | st.sampled_from(["a.b", "-1", " 0", "+0", "$", "*", "x'y", "\n", "/", "\x7f", "@"])
scalars = st.none() | st.booleans() | numbers | texts


def documents_of(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
        max_leaves=8,
    )


documents = documents_of(scalars)
paths = st.lists(keys | st.integers(0, 3), max_size=4)


def encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def path_into(document: Any, draw: st.DrawFn) -> list[str | int]:
    """Return a path that leads somewhere in a document, more often than not."""
    steps: list[str | int] = []
    while isinstance(document, dict | list) and document and draw(st.integers(0, 4)):
        places = list(document) if isinstance(document, dict) else range(len(document))
        step: Any = draw(st.sampled_from(places))
        steps.append(step)
        document = document[step]
    return steps if draw(st.integers(0, 4)) else [*steps, *draw(paths)]


def part_of(document: Any, others: st.SearchStrategy[Any], draw: st.DrawFn) -> Any:
    """Return something that a document contains, or nearly so."""
    kept = draw(st.integers(0, 7))  # a bit for each of the first items
    if isinstance(document, dict):
        items = [item for n, item in enumerate(document.items()) if kept >> n & 1]
        return {key: part_of(item, others, draw) for key, item in items}
    if isinstance(document, list):
        return [part_of(item, others, draw) for n, item in enumerate(document) if kept >> n & 1]
    return document if kept else draw(others)


@st.composite
def containments(draw: st.DrawFn) -> tuple[str, str]:
    document = draw(documents)
    choice = draw(st.integers(0, 5))
    if choice < 3:
        contained = part_of(document, scalars, draw)
    elif choice == 3 and isinstance(document, list) and document:
        contained = document[0]
    else:
        contained = draw(documents)
    text = encoded(document)
    if choice == 4 and isinstance(document, dict) and document:  # a key twice: the last one counts
        text = f"{text[:-1]},{encoded(next(iter(document)))}:{encoded(contained)}}}"
    return text, encoded(contained)


@st.composite
def conditions(draw: st.DrawFn, document: Any) -> dict[str, Any]:
    """Return a condition as it is bound, whose numbers are written as no Python number would be."""
    path = path_into(document, draw)
    op = draw(st.sampled_from(sorted(OPERATORS)))
    where = JsonFilter(where=[(path, "exists")]).to_parameters()[1]
    condition = {"path": json.loads(str(where))[0]["path"], "op": OPERATORS[op]}
    if op in ("exists", "missing"):
        return condition
    found = document
    for step in path:
        try:
            found = found[step]
        except (LookupError, TypeError):
            break
    value = found if draw(st.booleans()) else draw(documents)
    if op == "in":
        candidates = [*draw(st.lists(scalars, max_size=2)), value]
        value = [each for each in candidates if not isinstance(each, dict | list)]
    elif op not in ("==", "!=") and not isinstance(value, msgspec.Raw | str):
        value = draw(numbers | texts)
    return {**condition, "value": value}


@st.composite
def meetings(draw: st.DrawFn) -> tuple[str, str]:
    document = draw(documents)
    bound = draw(st.lists(conditions(document), min_size=1, max_size=2))
    return encoded(document), encoded(bound)


def answers(
    postgres: psycopg.Connection[Any], expression: str, *columns: list[str | None]
) -> list[bool | None]:
    """Compute an expression over parallel lists of parameters in one query."""
    lists = ", ".join(["%s::text[]"] * len(columns))
    names = ", ".join("abc"[: len(columns)])
    query = f"SELECT {expression} FROM unnest({lists}) WITH ORDINALITY AS t ({names}, n) ORDER BY n"
    return [answer for (answer,) in postgres.execute(query.encode(), columns).fetchall()]


@batches
@given(batch=st.lists(containments(), min_size=80, max_size=160))
def test_json_contains_is_the_containment_of_postgres(
    postgres: psycopg.Connection[Any], batch: list[tuple[str, str]]
) -> None:
    left, right = map(list, zip(*batch, strict=True))
    found = answers(postgres, "a::json::jsonb @> b::jsonb", left, right)
    assert found == [json_contains(*each) for each in batch]


@batches
@given(batch=st.lists(meetings(), min_size=60, max_size=120))
def test_json_meets_is_the_function_of_postgres(
    postgres: psycopg.Connection[Any], batch: list[tuple[str, str]]
) -> None:
    left, right = map(list, zip(*batch, strict=True))
    found = answers(postgres, "pg_temp.json_meets(a::json::jsonb, b::jsonb)", left, right)
    assert found == [json_meets(*each) for each in batch]


plain_scalars = st.sampled_from([None, True, False, 0, 1, 1.0, -0.0, 0.1, 2**53 + 1, 1e300])
plain_documents = documents_of(plain_scalars | texts)


@st.composite
def filtered(draw: st.DrawFn) -> tuple[Any, JsonFilter]:
    document = draw(plain_documents)
    contains = part_of(document, plain_documents, draw) if draw(st.booleans()) else msgspec.UNSET
    where = []
    for _ in range(draw(st.integers(0, 3))):
        value = draw(st.sampled_from([0, 1, True, None, "", "a"]))
        where.append((path_into(document, draw), draw(st.sampled_from(["==", "!="])), value))
    return document, JsonFilter(contains, where)


@batches
@given(batch=st.lists(filtered(), min_size=40, max_size=80))
def test_whole_filters_as_they_are_bound(
    postgres: psycopg.Connection[Any], batch: list[tuple[Any, JsonFilter]]
) -> None:
    cases = [(encoded(document), *given.to_parameters()) for document, given in batch]
    found = answers(
        postgres,
        """(b IS NULL OR a::jsonb @> b::jsonb)
        AND (c IS NULL OR pg_temp.json_meets(a::jsonb, c::jsonb))""",
        *(
            [None if each is None else str(each) for each in column]
            for column in zip(*cases, strict=True)
        ),
    )
    expected = [
        (b is None or json_contains(a, str(b))) and (c is None or json_meets(a, str(c)))
        for a, b, c in cases
    ]
    assert found == expected


def test_null_and_order_of_texts(postgres: psycopg.Connection[Any]) -> None:
    below = str(JsonFilter(where=[((), "<", "\U00010000")]).to_parameters()[1])
    found = answers(
        postgres,
        "pg_temp.json_meets(a::jsonb, b::jsonb)",
        [None, "{}", '"\ue000"', '"B"'],
        ["[]", None, below, below.replace("\U00010000", "a")],
    )
    assert found == [None, None, True, True]


def test_the_longest_filter_runs(postgres: psycopg.Connection[Any]) -> None:
    path = ["a" * 50, 2**31 - 1] * 32
    candidates = [f"x{number}" for number in range(1000)]
    longest = JsonFilter(where=[(path, "in", candidates)] * 31 + [(path, "missing")])
    conditions = str(longest.to_parameters()[1])
    assert answers(postgres, "pg_temp.json_meets(a::jsonb, b::jsonb)", ["{}"], [conditions]) == [
        False
    ]
    assert json_meets("{}", conditions) is False


letters = st.sampled_from("abAéß東京カー1 *-\"'()^:&|!<>\\\0\ud800_")
words = st.sampled_from(["a", "ab", "a*", "-b", '"a b"', '-"a b"', "東京", "京都府", "-京", "1"])
phrases = st.text(letters, max_size=14) | st.lists(words, max_size=5).map(" ".join)

# How the queries of sql/postgres/queries use the rendered search.
FOUND = """array_to_tsvector(string_to_array(b, ' ')) @@ (a::jsonb ->> 'match')::tsquery
    AND NOT EXISTS (
        SELECT 1 FROM jsonb_array_elements_text(a::jsonb -> 'phrases') AS p
        WHERE strpos(' ' || b || ' ', p) = 0
    )
    AND NOT EXISTS (
        SELECT 1 FROM jsonb_array_elements_text(a::jsonb -> 'excluded') AS p
        WHERE strpos(' ' || b || ' ', p) > 0
    )"""


@batches
@given(batch=st.lists(st.tuples(phrases, st.lists(phrases, max_size=3)), min_size=50, max_size=100))
def test_postgres_finds_what_the_reference_finds(
    postgres: psycopg.Connection[Any], batch: list[tuple[str, list[str]]]
) -> None:
    cases = []
    for text, document in batch:
        try:
            cases.append((parse_search(text), search_text(*document)))
        except SearchQueryError:
            continue
    queries: list[str | None] = [query.render("postgres") for query, _ in cases]
    streams: list[str | None] = [stream for _, stream in cases]
    found = answers(postgres, FOUND, queries, streams)
    assert found == [query.matches(stream) for query, stream in cases]
