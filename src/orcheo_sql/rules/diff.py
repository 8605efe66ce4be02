"""The difference between the graphs of two versions, as text."""

from __future__ import annotations

import json
from difflib import unified_diff
from typing import Any


def diff_graphs(
    base: dict[str, Any], target: dict[str, Any], base_number: int, target_number: int
) -> list[str]:
    """Return the lines of a unified diff of both graphs; equal graphs give none."""
    return list(
        unified_diff(
            _lines(base),
            _lines(target),
            fromfile=f"v{base_number}",
            tofile=f"v{target_number}",
            lineterm="",
        )
    )


def _lines(graph: dict[str, Any]) -> list[str]:
    # ASCII escapes keep a line separator inside a string from splitting its line.
    return json.dumps(graph, indent=2, sort_keys=True).splitlines()
