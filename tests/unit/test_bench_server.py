"""The PostgreSQL server of the benchmarks: what it was seeded with is there the next time, whatever happened."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from benchmarks import datasets, server
from benchmarks.datasets import postgres_dataset
from benchmarks.server import benchmark_server

from orcheo_sql.check.postgres_programs import choose_installation, version_from_environment
from orcheo_sql.check.scratch_postgres import DATABASE_PREFIX

SCALE = 200
ROOT = str(Path(__file__).parents[2])
COPIES = f"SELECT count(*) FROM pg_database WHERE datname ~ '^{DATABASE_PREFIX}'"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep data where the server's user can get to, also below root."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.setattr(server, "ROOTS_CACHE", folder / "orcheo-sql-bench")
    major = choose_installation(version_from_environment()).major
    yield folder / "orcheo-sql-bench" / f"postgres-{major}"
    shutil.rmtree(folder)


@pytest.fixture
def only_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes another seeding fail."""
    return lambda: monkeypatch.setattr(datasets, "_seed", None)


def ask(dsn: str, query: str) -> Any:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def runs(dsn: str) -> Any:
    return ask(dsn, "SELECT count(*) FROM workflow_runs")


def say_nothing(text: str) -> None:
    pytest.fail(text)


def test_the_second_run_finds_what_the_first_has_seeded(
    kept: Path, only_once: Callable[[], None]
) -> None:
    with benchmark_server(say_nothing) as first:
        assert runs(postgres_dataset(SCALE, first)) == SCALE
    assert not (kept / "data" / "postmaster.pid").exists()
    only_once()
    with benchmark_server(say_nothing) as second:
        assert runs(postgres_dataset(SCALE, second)) == SCALE
        # Copies are not kept.
        assert ask(second.dsn, COPIES) == 1
        assert (kept / "data").stat().st_mode & 0o777 == 0o700
        assert (kept / "data" / "password").stat().st_mode & 0o777 == 0o600


def test_it_is_durable_as_in_production(kept: Path) -> None:
    with benchmark_server(say_nothing) as one:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            assert ask(one.dsn, f"SHOW {setting}") == "on"


@pytest.mark.parametrize("crash", [False, True], ids=["run killed", "server killed too"])
def test_a_run_that_was_killed_leaves_what_it_had_seeded(
    kept: Path, only_once: Callable[[], None], crash: bool
) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from benchmarks import server\n"
        "from benchmarks.datasets import postgres_dataset\n"
        f"server.ROOTS_CACHE = Path({str(kept.parent)!r})\n"
        "with server.benchmark_server(print) as one:\n"
        f"    postgres_dataset({SCALE}, one)\n"
        "    print('seeded', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([ROOT, *sys.path])},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "seeded\n"
        pidfile = kept / "data" / "postmaster.pid"
        if crash:
            os.kill(int(pidfile.read_text().split()[0]), signal.SIGKILL)
        child.kill()
    _wait_until_nobody_has_it(kept)
    assert pidfile.exists() == crash
    only_once()
    with benchmark_server(say_nothing) as one:
        assert runs(postgres_dataset(SCALE, one)) == SCALE
        assert ask(one.dsn, COPIES) == 1


def _wait_until_nobody_has_it(kept: Path) -> None:
    """Wait for the server of a killed run to end, which has the lock until then."""
    deadline = time.monotonic() + 30
    with (kept / "lock").open() as lock:
        while time.monotonic() < deadline:
            try:
                return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.05)
    pytest.fail("the server of the killed run goes on")


def test_two_at_once_have_a_server_each(kept: Path) -> None:
    said: list[str] = []
    with benchmark_server(say_nothing) as first:
        with benchmark_server(said.append) as second:
            assert len(said) == 1
            assert "in use by another run" in said[0]
            assert first.dsn != second.dsn
            assert ask(second.dsn, "SHOW fsync") == "on"
            with psycopg.connect(second.dsn) as connection:
                connection.execute("CREATE TABLE of_the_second ()")
        assert ask(first.dsn, "SELECT to_regclass('of_the_second')") is None


@pytest.mark.parametrize("damage", ["global/pg_control", "password", "base"])
def test_what_is_damaged_is_made_anew(kept: Path, damage: str) -> None:
    with benchmark_server(say_nothing):
        path = kept / "data" / damage
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    said: list[str] = []
    with benchmark_server(said.append) as second:
        assert ask(second.dsn, "SELECT 1") == 1
    assert len(said) == 1
    assert "made anew" in said[0]
