"""Differences between graphs."""

from typing import Any

import pytest

from orcheo_sql.rules import diff_graphs


def test_the_example_of_the_specification() -> None:
    assert diff_graphs({}, {"a": [1], "b": 2}, 1, 4) == [
        "--- v1",
        "+++ v4",
        "@@ -1 +1,6 @@",
        "-{}",
        "+{",
        '+  "a": [',
        "+    1",
        "+  ],",
        '+  "b": 2',
        "+}",
    ]


@pytest.mark.parametrize(
    ("base", "target"),
    [({}, {}), ({"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1})],
)
def test_equal_graphs_give_nothing(base: dict[str, Any], target: dict[str, Any]) -> None:
    assert diff_graphs(base, target, 1, 2) == []


def test_changes_come_with_three_lines_of_context() -> None:
    base = {f"k{i}": i for i in range(9)}
    assert diff_graphs(base, base | {"k4": 40}, 10, 11) == [
        "--- v10",
        "+++ v11",
        "@@ -3,7 +3,7 @@",
        '   "k1": 1,',
        '   "k2": 2,',
        '   "k3": 3,',
        '-  "k4": 4,',
        '+  "k4": 40,',
        '   "k5": 5,',
        '   "k6": 6,',
        '   "k7": 7,',
    ]


@pytest.mark.parametrize(("base", "target"), [(1, 1.0), (1, True), (0.0, -0.0)])
def test_numbers_are_compared_as_they_are_written(base: Any, target: Any) -> None:
    assert len(diff_graphs({"n": base}, {"n": target}, 1, 2)) == 7


def test_line_separators_inside_texts_stay_inside() -> None:
    lines = diff_graphs({"t": "a\u2028b\nc\x85d"}, {"t": ""}, 1, 2)
    assert '-  "t": "a\\u2028b\\nc\\u0085d"' in lines
