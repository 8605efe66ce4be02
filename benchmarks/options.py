"""Options of the benchmarks."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def _number(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ArgumentTypeError(f"{text!r} is not a number from {least} on")
        return int(text)

    return number


def _scales(text: str) -> list[int]:
    return sorted(_number(200)(part) for part in text.split(","))


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("orcheo-sql benchmarks")
    group.addoption(
        "--scale", type=_number(200), default=1000, metavar="RUNS",
        help="Workflow runs in the data set; all else in proportion (default 1000). It is cached.",
    )  # fmt: skip
    group.addoption(
        "--samples",
        type=_number(10),
        default=200,
        metavar="N",
        help="Calls of each operation (default 200).",
    )
    group.addoption(
        "--no-gate", action="store_true", help="Report what misses its target, but do not fail."
    )
    group.addoption(
        "--growth",
        type=_scales,
        default=[],
        metavar="SCALES",
        help="Compare reads at these scales, such as 1000,100000,1000000.",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("benchmark_only", False):
        # Fixtures give each test a home of its own, but data sets are to be found again.
        os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
