from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orcheo_sql._documents import MAX_DEPTH, encode_record
from orcheo_sql._errors import JsonFilterError
from orcheo_sql._filters import (
    MAX_CONDITIONS,
    OPERATORS,
    Condition,
    JsonFilter,
    as_filter,
    json_contains,
    json_meets,
    parse_path,
)


def meets(document: str, json_filter: JsonFilter) -> bool:
    """Evaluate a filter as the SQL on SQLite does."""
    contains, conditions = json_filter.to_parameters()
    results = [
        contains is None or json_contains(document, str(contains)),
        conditions is None or json_meets(document, str(conditions)),
    ]
    assert None not in results
    return all(results)


# --- Paths and validation ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("a", ("a",)),
        ("a.b[0].c", ("a", "b", 0, "c")),
        ("[0][12].a", (0, 12, "a")),
        ("a.0.-1", ("a", "0", "-1")),
        ('"a.b".c', ("a.b", "c")),
        (r'a."q\"\\[é\n"."".x', ("a", 'q"\\[é\n', "", "x")),
        (r'"\u00e9\ud83d\ude00"', ("é😀",)),
        ("größe.東京 都", ("größe", "東京 都")),
        (["a", 0, "b.c", ""], ("a", 0, "b.c", "")),
        ((), ()),
    ],
)
def test_paths(path: Any, steps: tuple[str | int, ...]) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "empty"),
        (".a", "malformed at position 0"),
        ("a.", "malformed at position 1"),
        ("a..b", "malformed at position 1"),
        ("a[0]b", "malformed at position 4"),
        ("a[0", "malformed at position 1"),
        ('a."b', "malformed at position 1"),
        ('a"b"', "malformed at position 1"),
        ("a]", "malformed at position 1"),
        ("a[x]", r"\[x\] is not a position"),
        ("a[]", r"\[\] is not a position"),
        ("a[-1]", r"\[-1\] is not a position: they count from 0"),
        (f"a[{2**31}]", "is not a position"),
        (r'"\x"', "is not a JSON text"),
        (r'"\ud800"', "is not a JSON text"),
        (r'"\u0000"', "a NUL character"),
        ("a\0b", "a NUL character"),
        (["\ud800"], r"a lone surrogate \(\\ud800\)"),
        ([True], "a key or a position, not bool"),
        ([-1], "is not a position"),
        ([1.0], "a key or a position, not float"),
        (5, "a text or a list of steps, not int"),
        (["a"] * 65, "at most 64 steps"),
    ],
)
def test_malformed_paths(path: Any, message: str) -> None:
    with pytest.raises(JsonFilterError, match=message):
        parse_path(path)
    with pytest.raises(JsonFilterError, match=rf"^where\[1\]: .*{message}"):
        JsonFilter(where=[("a", "exists"), (path, "exists")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"contains": {"a": ["\0"]}}, r"^contains\.a\[0\]: a NUL character"),
        ({"contains": math.nan}, "^contains: NaN is not a JSON number"),
        ({"contains": {"a": object()}}, r"^contains\.a: a value of type object"),
        ({"where": "a == 1"}, "^where: must be a list of conditions"),
        ({"where": {"a": 1}}, "^where: must be a list of conditions"),
        ({"where": None}, "^where: must be a list of conditions"),
        ({"where": ["a"]}, r"^where\[0\]: must be \(path, operator\)"),
        ({"where": [("a",)]}, r"^where\[0\]: must be \(path, operator\)"),
        (
            {"where": [("a", "=", 1)]},
            r"^where\[0\]: unknown operator '='; use one of == != < <= > >= in",
        ),
        ({"where": [("a", ["=="], 1)]}, r"^where\[0\]: unknown operator"),
        ({"where": [("a", "==")]}, r"^where\[0\]: == takes a value"),
        ({"where": [("a", "exists", 1)]}, r"^where\[0\]: exists takes no value"),
        ({"where": [("a", "<", True)]}, r"^where\[0\]: < compares with a number or a text"),
        ({"where": [("a", ">=", None)]}, r"^where\[0\]: >= compares with a number or a text"),
        ({"where": [("a", ">", [1])]}, r"^where\[0\]: > compares with a number or a text"),
        ({"where": [("a", "in", "abc")]}, r"^where\[0\]: in takes a list"),
        ({"where": [("a", "in", [[1]])]}, r"^where\[0\]: in takes a list of texts"),
        ({"where": [("a", "in", list(range(1001)))]}, r"^where\[0\]: in takes at most 1000"),
        ({"where": [("a", "==", {"b": math.inf})]}, r"^where\[0\]\.b: Infinity"),
        ({"where": [("a", "!=", 2**63)]}, r"^where\[0\]: an integer beyond 64 bit"),
        (
            {"where": [("a", "exists")] * (MAX_CONDITIONS + 1)},
            "^where: has more than 32 conditions",
        ),
    ],
)
def test_malformed_filters(arguments: Any, message: str) -> None:
    with pytest.raises(JsonFilterError, match=message):
        JsonFilter(**arguments)


def test_what_is_accepted_as_a_filter() -> None:
    json_filter = JsonFilter({"a": 1})
    assert as_filter(json_filter) is json_filter
    assert as_filter({"a": 1}) == json_filter
    with pytest.raises(JsonFilterError, match="a JsonFilter or a mapping, not list"):
        as_filter([("a", "==", 1)])  # type: ignore[arg-type]


def test_a_filter_does_not_follow_later_changes() -> None:
    tags = ["a"]
    json_filter = JsonFilter({"tags": tags}, where=[("tags", "==", tags)])
    tags.append("b")
    assert json_filter == JsonFilter({"tags": ["a"]}, where=[Condition(("tags",), "==", ["a"])])
    assert JsonFilter({"t": ("a", 1)}).contains == {"t": ["a", 1]}


# --- Parameters --------------------------------------------------------------------------------


def bound(path: str, op: str, *value: Any) -> list[dict[str, Any]]:
    return [{"path": f"strict {path}", "op": op, **({"value": value[0]} if value else {})}]


@pytest.mark.parametrize(
    ("json_filter", "contains", "conditions"),
    [
        (JsonFilter(), None, []),
        (JsonFilter(contains=None), None, None),
        (JsonFilter({"a": 1}), {"a": 1}, None),
        (JsonFilter(where=[("a.b", "==", 5)]), {"a": {"b": 5}}, None),
        (
            JsonFilter({"a": {"c": [1]}}, [("a.b", "==", 5), ("d", "==", None)]),
            {"a": {"c": [1], "b": 5}, "d": None},
            None,
        ),
        (JsonFilter({"a": {}}, [("a.b", "==", 5)]), {"a": {"b": 5}}, None),
        (JsonFilter(where=[("a", "==", 5), ("a", "==", 6)]), {"a": 5}, bound('$."a"', "eq", 6)),
        (JsonFilter({"a": [1]}, [("a.b", "==", 5)]), {"a": [1]}, bound('$."a"."b"', "eq", 5)),
        (JsonFilter([1], [("a", "==", 5)]), [1], bound('$."a"', "eq", 5)),
        (JsonFilter(where=[((), "==", 5)]), None, bound("$", "eq", 5)),
        (JsonFilter(where=[("a", "==", [5])]), None, bound('$."a"', "eq", [5])),
        (JsonFilter(where=[('a[0]."q\\""', "exists")]), None, bound(r'$."a"[0]."q\""', "exists")),
        (JsonFilter(where=[("a[0]", "==", None)]), None, bound('$."a"[0]', "eq", None)),
    ],
)
def test_parameters(json_filter: JsonFilter, contains: Any, conditions: Any) -> None:
    bound_contains, bound_conditions = json_filter.to_parameters()
    if bound_contains is not None or contains is not None:
        assert json.loads(bound_contains or "") == contains
    assert (bound_conditions and json.loads(bound_conditions)) == conditions


def test_null_is_something_to_contain() -> None:
    assert JsonFilter(contains=None).to_parameters() == ("null", None)


# --- Meaning -----------------------------------------------------------------------------------

DOCUMENT = {
    "customer": {"tier": "gold", "a.b": 1, "": 0},
    "metrics": {"accuracy": 0.9, "n": 3, "big": 2**53 + 1, "zero": -0.0},
    "tags": ["a", "b", ["c"], {"d": 1}],
    "0": "key",
    "none": None,
    "yes": True,
    "text": "ab",
}


@pytest.mark.parametrize(
    ("path", "op", "value", "expected"),
    [
        ("customer.tier", "==", "gold", True),
        ('customer."a.b"', "==", 1, True),
        ('customer.""', "==", 0.0, True),
        ("metrics.accuracy", ">=", 0.9, True),
        ("metrics.accuracy", ">", 0.9, False),
        ("metrics.accuracy", "<", 1, True),
        ("metrics.n", "==", 3.0, True),
        ("metrics.n", "in", [1, 3.0], True),
        ("metrics.zero", "==", 0, True),
        ("metrics.zero", "<", 0, False),
        ("metrics.big", "==", 2**53 + 1, True),
        ("metrics.big", "==", float(2**53), False),
        ("metrics.big", ">", float(2**53), True),
        ("metrics.n", "==", "3", False),
        ("metrics.n", "!=", "3", True),
        ("metrics.n", "<", "4", False),
        ("yes", "==", True, True),
        ("yes", "==", 1, False),
        ("yes", "in", [1, "true"], False),
        ("none", "==", None, True),
        ("none", "!=", None, False),
        ("none", "exists", ..., True),
        ("none", "missing", ..., False),
        ("gone", "exists", ..., False),
        ("gone", "missing", ..., True),
        ("gone", "==", None, False),
        ("gone", "!=", 1, True),
        ("gone", "in", [None], False),
        ("gone", "<", 1, False),
        ("text", "<", "b", True),
        ("text", "<=", "a", False),
        ("text", "<", "é", True),
        ("text", ">", "Z", True),
        ("tags[0]", "==", "a", True),
        ("tags[3].d", "==", 1, True),
        ("tags[4]", "missing", ..., True),
        ("tags.0", "exists", ..., False),
        ("[0]", "exists", ..., False),
        ("0", "==", "key", True),
        ("tags", "==", ["a", "b", ["c"], {"d": 1.0}], True),
        ("tags", "==", ["a", "b", ["c"]], False),
        ("tags[2]", "in", ["c"], False),
        ("customer", "==", {"": 0, "a.b": 1.0, "tier": "gold"}, True),
        ("customer", "==", {"tier": "gold"}, False),
        ("metrics.n", "in", [], False),
        ((), "exists", ..., True),
        ((), "!=", {}, True),
    ],
)
def test_operators(path: Any, op: str, value: Any, expected: bool) -> None:
    condition = (path, op) if value is ... else (path, op, value)
    assert (
        meets(encode_record(DOCUMENT).encode().decode(), JsonFilter(where=[condition])) is expected
    )


def test_texts_are_ordered_by_code_point() -> None:
    # UTF-16 orders these two the other way round, and most collations order "B" behind "a".
    assert meets('"\ue000"', JsonFilter(where=[((), "<", "\U00010000")]))
    assert meets('"B"', JsonFilter(where=[((), "<", "a")]))


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ('{"a":1,"b":2}', '{"a":1.0}', True),
        ('{"a":1}', '{"a":1,"b":2}', False),
        ('{"a":{"b":[1,2]}}', '{"a":{"b":[2]}}', True),
        ('{"a":[1]}', '{"a":1}', False),
        ('{"a":null}', '{"a":null}', True),
        ("{}", '{"a":null}', False),
        ("[1,2]", "[2,2,1,1]", True),
        ("[1,[2,3]]", "[[3]]", True),
        ("[1,[2,3]]", "[3]", False),
        ('[{"a":1,"b":2},{"c":3}]', '[{"b":2}]', True),
        ('[{"a":1},{"b":2}]', '[{"a":1,"b":2}]', False),
        ("[1,2]", "2.0", True),
        ("[[2]]", "2", False),
        ("2", "2.00", True),
        ("2", "[2]", False),
        ("2", "[]", False),
        ("[]", "[]", True),
        ("{}", "[]", False),
        ("[]", "{}", False),
        ("true", "1", False),
        ('"a"', '"a"', True),
        ("0.1", "0.1000000000000000055511151231257827", False),
        ("9007199254740993", "9007199254740992.0", False),
        ("1e400", "10e399", True),
        ('{"a":1,"a":2}', '{"a":2}', True),
    ],
)
def test_containment(left: str, right: str, expected: bool) -> None:
    assert json_contains(left, right) is expected
    assert json_contains(left.encode(), right) is expected


def test_no_document_meets_nothing() -> None:
    assert json_contains(None, "{}") is None
    assert json_contains("{}", None) is None
    assert json_meets(None, "[]") is None
    assert json_meets("{}", None) is None
    assert json_meets("null", "[]") is True


def test_the_deepest_document() -> None:
    document = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json_contains(document, document) is True
    assert json_contains(document[1:-1], document) is False
    assert meets(document, JsonFilter(where=[((), "==", json.loads(document))])) is True
    objects = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert json_contains(objects, objects) is True


# Few keys and scalars, so that filters and documents meet.
keys = st.sampled_from(["a", "b", "0", ""])
scalars = st.sampled_from([None, True, False, 0, 1, 1.0, -0.0, 0.1, 1e2, 100, "", "a", "1", "é"])
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
paths = st.lists(keys | st.integers(0, 2), max_size=3)


def conditions_with(value_paths: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    comparable = st.sampled_from([0, 1, 1.0, 0.1, 100, "", "a", "1", "é"])
    return (
        st.tuples(value_paths, st.sampled_from(["exists", "missing"]))
        | st.tuples(value_paths, st.just("=="), scalars)
        | st.tuples(value_paths, st.sampled_from(["==", "!="]), values)
        | st.tuples(value_paths, st.sampled_from(["<", "<=", ">", ">="]), comparable)
        | st.tuples(value_paths, st.just("in"), st.lists(scalars, max_size=3))
    )


filters = st.builds(
    JsonFilter,
    st.just(msgspec.UNSET) | values,
    st.lists(conditions_with(paths), max_size=3),
)


def typed(value: Any) -> Any:
    """Return a value in a form whose ``==`` is equality of JSON (for the reference below)."""
    if isinstance(value, dict):
        return ("object", {key: typed(item) for key, item in value.items()})
    if isinstance(value, list):
        return ("array", [typed(item) for item in value])
    if isinstance(value, bool) or value is None:
        return (type(value), value)
    return ("text", value) if isinstance(value, str) else ("number", Decimal(repr(value)))


def reference(document: Any, condition: Condition) -> bool:
    """Evaluate one condition straight from its description."""
    found, is_there = document, True
    for step in condition.path:
        if isinstance(step, str):
            is_there = isinstance(found, dict) and step in found
        else:
            is_there = isinstance(found, list) and step < len(found)
        if not is_there:
            break
        found = found[step]
    left, right = (
        typed(found),
        typed(condition.value) if condition.value is not msgspec.UNSET else None,
    )
    match condition.op:
        case "exists":
            return is_there
        case "missing":
            return not is_there
        case "==":
            return is_there and left == right
        case "!=":
            return not (is_there and left == right)
        case "in":
            return is_there and left in [typed(item) for item in condition.value]
    if not is_there or right is None or left[0] != right[0]:
        return False
    order = (left[1] > right[1]) - (left[1] < right[1])
    orders = {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}
    return bool(orders[condition.op])


@given(values, filters)
@example({"a": [5]}, JsonFilter(where=[("a", "==", 5)]))
@example([5], JsonFilter(where=[((), "==", 5)]))
def test_conditions_mean_the_same_wherever_they_are_evaluated(
    document: Any, given: JsonFilter
) -> None:
    """Moving equalities into containment, or evaluating them one by one, makes no difference."""
    text = encode_record(document).encode().decode()
    contains = JsonFilter(given.contains)
    expected = meets(text, contains) and all(reference(document, each) for each in given.conditions)
    assert meets(text, given) is expected


def test_each_operator_is_tried() -> None:
    tried = {"==", "!=", "<", "<=", ">", ">=", "in", "exists", "missing"}
    assert set(OPERATORS) == tried
