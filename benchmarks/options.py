"""Options of the benchmarks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("orcheo-sql benchmarks")
    group.addoption(
        "--scale", type=int, default=1000, metavar="RUNS",
        help="Workflow runs in the data set; all else in proportion (default 1000). It is cached.",
    )  # fmt: skip
    group.addoption(
        "--samples",
        type=int,
        default=200,
        metavar="N",
        help="Calls of each operation (default 200).",
    )
    group.addoption(
        "--no-gate", action="store_true", help="Report what misses its target, but do not fail."
    )
    group.addoption(
        "--growth",
        default="",
        metavar="SCALES",
        help="Compare reads at these scales, such as 1000,100000,1000000.",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("benchmark_only", False):
        # Fixtures give each test a home of its own, but data sets are to be found again.
        os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
