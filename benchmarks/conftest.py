"""One event loop, one data set and one set of connections for all benchmarks of a dialect."""

from __future__ import annotations

import asyncio
import platform
import sqlite3
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from benchmarks.server import benchmark_server
from benchmarks.stage import Stage, Verdicts
from tests.fixtures.postgres import SERVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

VERDICTS = pytest.StashKey[Verdicts]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[VERDICTS] = Verdicts(gate=not config.getoption("--no-gate"))


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as one:
        yield one


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> ScratchPostgres:
    """Return the server that was given, else the one whose data are kept: not that of the tests, which waits for no disk."""
    given = request.config.stash[SERVER]
    if given.external:
        given.open()
        return given
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    stack = ExitStack()
    # Not with the other fixtures: stages are set later than this one, or earlier, and need it at their end.
    request.config.add_cleanup(stack.close)
    return stack.enter_context(benchmark_server(reporter.write_line))


@pytest.fixture(scope="session")
def stage(
    request: pytest.FixtureRequest,
    runner: asyncio.Runner,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Stage]]:
    """Return what sets the stage for a dialect, once."""
    stages: dict[tuple[str, str], Stage] = {}

    def of(dialect: str, purpose: str = "operations") -> Stage:
        """Return the stage for a purpose: what writes much has a data set of its own."""
        if (dialect, purpose) not in stages:
            server: ScratchPostgres | None = None
            if dialect == "postgres":
                server = request.getfixturevalue("postgres_server")
            stages[dialect, purpose] = Stage(
                runner,
                dialect,
                scale=request.config.getoption("--scale"),
                samples=request.config.getoption("--samples"),
                folder=tmp_path_factory.mktemp(dialect),
                server=server,
            )
        return stages[dialect, purpose]

    yield of
    for one in stages.values():
        one.close()


@pytest.fixture
def verdicts(request: pytest.FixtureRequest) -> Verdicts:
    return request.config.stash[VERDICTS]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    verdicts = config.stash[VERDICTS]
    if verdicts.rows:
        terminalreporter.section("targets")
        terminalreporter.write_line(verdicts.table())


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    machine_info["sqlite"] = sqlite3.sqlite_version
    machine_info["python_full"] = platform.python_version()
