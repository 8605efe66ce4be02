"""Draw the chart of docs/performance.md from the results of a run.

pytest --benchmark-only --scale 100000 --benchmark-json results.json
python -m benchmarks.chart results.json docs/performance.svg
"""

from __future__ import annotations

import json
import re
import sys
from html import escape
from pathlib import Path
from typing import Any

WIDTH = 1000
LABEL = 270
ROW = 24
BAR = 9
PANEL = (WIDTH - LABEL) // 2
COLOURS = {"ours": "#2563eb", "raw": "#94a3b8", "peer": "#cbd5e1"}
TITLES = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
_TEST = re.compile(r"test_operation\[(?P<dialect>sqlite|postgres)-(?P<name>.+)-(?P<who>\w+)\]$")
_MIX = re.compile(r"test_mix\[(?P<dialect>sqlite|postgres)(?:-(?P<clients>\d+))?-(?P<who>\w+)\]$")


def read(path: Path) -> tuple[dict[Any, float], dict[Any, float]]:
    """Return medians by (dialect, operation, who), and writes per second by (dialect, who)."""
    medians, mixes = {}, {}
    for test in json.loads(path.read_text(encoding="utf-8"))["benchmarks"]:
        if "test_operations" in test["fullname"] and (found := _TEST.search(test["name"])):
            medians[found["dialect"], found["name"], found["who"]] = test["stats"]["median"]
        elif (found := _MIX.search(test["name"])) and found["clients"] in (None, "100"):
            mixes[found["dialect"], found["who"]] = test["extra_info"]["writes_per_second"]
    return medians, mixes


def text(
    x: float, y: float, words: str, *, anchor: str = "start", size: int = 12, bold: bool = False
) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:.0f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{weight}>{escape(words)}</text>'


def bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{BAR}" rx="1" fill="{colour}"/>'


def duration(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.1f} ms"


def draw(medians: dict[Any, float], mixes: dict[Any, float]) -> str:
    """Return the chart: two bars for each operation, then the write mix."""
    raw_name = {"sqlite": "aiosqlite", "postgres": "psycopg"}
    names = list(dict.fromkeys(name for _, name, _ in medians))
    parts = []
    y = 30.0
    for panel, dialect in enumerate(TITLES):
        x = LABEL + panel * PANEL
        parts.append(text(x, y - 8, f"{TITLES[dialect]}: median of a call", bold=True, size=13))
    for name in names:
        y += ROW
        parts.append(text(LABEL - 12, y - 4, name, anchor="end"))
        for panel, dialect in enumerate(TITLES):
            ours = medians.get((dialect, name, "ours"))
            raw = medians.get((dialect, name, raw_name[dialect]))
            if ours is None or raw is None:
                continue
            x = LABEL + panel * PANEL
            room = PANEL - 130
            # Each operation has a scale of its own: what counts is the ratio.
            unit = room / max(ours, raw)
            parts.append(bar(x, y - 15, ours * unit, COLOURS["ours"]))
            parts.append(bar(x, y - 5, raw * unit, COLOURS["raw"]))
            parts.append(
                text(
                    x + max(ours, raw) * unit + 8,
                    y - 4,
                    f"{duration(ours)}, {ours / raw:.2f} x",
                    size=11,
                )
            )
    y += 50
    for panel, dialect in enumerate(TITLES):
        x = LABEL + panel * PANEL
        parts.append(
            text(
                x, y - 12, f"{TITLES[dialect]}: writes per second, 100 clients", bold=True, size=13
            )
        )
    order = {
        "ours": "orcheo-sql", "aiosqlite": "aiosqlite, one hop", "sqlite3": "sqlite3, no event loop", "psycopg": "psycopg pool",
        "asyncpg": "asyncpg", "Core": "SQLAlchemy Core", "ORM": "SQLAlchemy ORM",
    }  # fmt: skip
    for panel, dialect in enumerate(TITLES):
        top = y
        found = [(who, mixes[dialect, who]) for who in order if (dialect, who) in mixes]
        largest = max((rate for _, rate in found), default=1.0)
        x = LABEL + panel * PANEL
        for who, rate in found:
            kind = (
                "ours" if who == "ours" else "peer" if who in ("asyncpg", "Core", "ORM") else "raw"
            )
            parts.append(bar(x, top - 5, rate / largest * (PANEL - 230), COLOURS[kind]))
            parts.append(
                text(
                    x + rate / largest * (PANEL - 230) + 8,
                    top + 4,
                    f"{order[who]} {rate:,.0f}",
                    size=11,
                )
            )
            top += 20
    y += 20 * 6 + 20
    legend = (
        ("ours", "orcheo-sql"),
        ("raw", "the same SQL through the driver alone"),
        ("peer", "peers"),
    )
    x = LABEL
    for kind, words in legend:
        parts.append(bar(x, y - 9, 20, COLOURS[kind]))
        parts.append(text(x + 28, y, words))
        x += 60 + 7 * len(words)
    height = y + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'font-family="system-ui, sans-serif" fill="#0f172a">\n'
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(draw(*read(Path(sys.argv[1]))), encoding="utf-8")


if __name__ == "__main__":
    main()
