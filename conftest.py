"""Plugins of the tests and of the benchmarks; `pytest --benchmark-only` runs the benchmarks and nothing else."""

from __future__ import annotations

import pytest

pytest_plugins = ["tests.fixtures.postgres", "tests.fixtures.databases", "benchmarks.options"]


def pytest_configure(config: pytest.Config) -> None:
    """Look for benchmarks where nothing was named."""
    if config.getoption("benchmark_only", False) and (
        config.args_source is pytest.Config.ArgsSource.TESTPATHS
    ):
        config.args = [str(config.rootpath / "benchmarks")]
