"""What an operator learns of a database's speed, and that it is left as it was."""

from __future__ import annotations

import asyncio
import pkgutil
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.cli.conftest import configure
from tests.cli.test_operators import prepare
from tests.fixtures.databases import postgres_settings

from orcheo_sql import Database
from orcheo_sql.bench.data import Data
from orcheo_sql.bench.operations import OPERATIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Cli

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

TABLES = (
    "workflows", "workflow_versions", "workflow_search", "workflow_runs", "workflow_run_search", "run_history",
    "run_history_steps", "run_history_search", "agentensor_checkpoints", "service_tokens", "run_snapshots",
    "run_snapshot_search", "listeners", "cron_triggers", "webhook_triggers", "workflow_run_retries", "run_outbox",
)  # fmt: skip


def counts(configured: dict[str, Any]) -> dict[str, int]:
    found = {}
    for table in TABLES:
        statement = f"SELECT count(*) FROM {table}"
        if "database_path" in configured:
            with closing(sqlite3.connect(configured["database_path"])) as raw:
                [found[table]] = raw.execute(statement).fetchone()
        else:
            with psycopg.connect(configured["postgres_dsn"]) as connection:
                [found[table]] = connection.execute(statement).fetchone() or (0,)
    return found


async def store_something(db: Database) -> None:
    data = Data(db)
    version = await data.new_version()
    for _ in range(3):
        await data.new_run(version, hand_off=True)
    await data.new_executions(2)
    await data.new_token()
    await data.snapshots(1)


def test_it_measures_and_leaves_nothing_behind(cli: Cli, configured: dict[str, Any]) -> None:
    prepare(configured, store_something)
    before = counts(configured)
    found = cli("bench", "--samples", "10", "--clients", "3", "--json")
    assert found.status == 0
    measured = {row["operation"]: row for row in found.json["operations"]}
    assert set(measured) == {o.name for o in OPERATIONS if not o.takes_from_others}
    assert all(
        0 < r["p50_seconds"] <= r["p95_seconds"] <= r["p99_seconds"] for r in measured.values()
    )
    assert all(r["ratio"] > 0 for r in measured.values())
    # The rows of a list are compared with typed ones too, where the driver has no types.
    both = [r for r in measured.values() if len(r["raw"]) == 2]
    assert bool(both) is ("database_path" in configured)
    assert all(any("typed" in name for name in r["raw"]) for r in both)
    ours, raw = found.json["write_mix"]
    assert (ours["through"], ours["clients"], ours["errors"], raw["errors"]) == (
        "orcheo-sql",
        3,
        0,
        0,
    )
    assert ours["writes_per_second"] > 0
    assert counts(configured) == before


def test_it_shows_a_verdict_for_each(cli: Cli, configured: dict[str, Any]) -> None:
    prepare(configured, store_something)
    found = cli("bench", "--samples", "10", "--clients", "0", "--only", "workflows.get_")
    assert found.status == 0
    assert "workflows.get_run" in found.out
    assert "workflows.create_run" not in found.out
    assert "verdict" in found.out
    assert "Write mix" not in found.out
    assert "hunter2" not in found.out


def test_a_miss_ends_with_1_when_asked_to(
    cli: Cli, configured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(configured, store_something)
    monkeypatch.setattr("orcheo_sql.bench.measure.SIMPLE_P95_SECONDS", 0.0)
    arguments = ("bench", "--samples", "10", "--clients", "0", "--only", "get_run")
    assert cli(*arguments).status == 0
    missed = cli(*arguments, "--gate")
    assert missed.status == 1
    assert "p95 is" in missed.out


def test_what_there_is_not_can_not_be_measured(cli: Cli, configured: dict[str, Any]) -> None:
    found = cli("bench", "--only", "nothing like it")
    assert found.status == 2
    assert "nothing like it" in found.err


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_one_that_is_told_to_end_cleans_up_too(
    cli: Cli,
    configured: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    status: int,
) -> None:
    prepare(configured, store_something)
    before = counts(configured)

    async def ended(*_: Any, **__: Any) -> None:
        signal.raise_signal(number)
        await asyncio.sleep(60)

    monkeypatch.setattr("orcheo_sql.bench.measure.in_turns", ended)
    # A worker of pytest-xdist ignores Ctrl-C.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert cli("bench", "--samples", "10", "--only", "workflows.get_run").status == status
    finally:
        signal.signal(signal.SIGINT, handler)
    assert counts(configured) == before


def test_a_database_in_memory_has_nobody_beside(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEO_DATABASE_PATH", ":memory:")
    found = cli("bench", "--samples", "10", "--clients", "2", "--only", "get_run", "--json")
    assert found.status == 0
    [row] = found.json["operations"]
    assert row["ratio"] is None
    assert [mix["through"] for mix in found.json["write_mix"]] == ["orcheo-sql"]


def test_a_mix_that_fails_is_a_miss(
    cli: Cli, configured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(configured, store_something)

    async def broken(*_: Any) -> None:
        raise ValueError("out of order")

    monkeypatch.setattr("orcheo_sql.bench.mix.OursMix.round", broken)
    arguments = ("bench", "--samples", "10", "--clients", "2", "--only", "get_run", "--gate")
    found = cli(*arguments, "--json")
    assert found.status == 1
    assert "ValueError: out of order" in found.json["write_mix"][0]["misses"][-1]
    assert "ValueError" in cli(*arguments).out


def test_what_does_not_exist_is_not_made(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORCHEO_DATABASE_PATH", str(tmp_path / "new" / "orcheo.sqlite"))
    found = cli("bench", "--samples", "10")
    assert found.status == 3
    assert "orcheo-sql migrate up" in found.err
    assert not (tmp_path / "new").exists()


def test_what_a_killed_one_left_is_deleted(cli: Cli, configured: dict[str, Any]) -> None:
    prepare(configured, store_something)
    assert cli("bench", "--clean").out.startswith("Deleted 6")
    assert cli("bench", "--clean", "--json").json == {"deleted": 0}
    assert not any(counts(configured).values())


@pytest.mark.parametrize(
    "moment",
    [
        "session.raw_for",
        "measure.in_turns",
        "raw.RawPsycopg.run",
        "mix.OursMix.round",
        "data.Data.clean_up",
    ],
)
def test_a_server_that_goes_away_ends_it(
    cli: Cli, private_postgres: ScratchPostgres, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    settings = postgres_settings(private_postgres.create_database())
    # As good as for ever.
    configure(monkeypatch, settings | {"postgres_pool_timeout": 3600})
    prepare(settings, store_something)
    place = f"orcheo_sql.bench.{moment}"
    work: Any = pkgutil.resolve_name(place)

    def stop_and_work(*args: Any, **more: Any) -> Any:
        private_postgres.stop()
        return work(*args, **more)

    monkeypatch.setattr(place, stop_and_work)
    found = cli("bench", "--samples", "10", "--clients", "20", "--only", "get_run")
    assert found.status == 1
    assert found.is_quiet
    assert "PostgreSQL went away" in found.err
    assert "orcheo-sql bench --clean" in found.err
    assert found.out == ""
    monkeypatch.undo()
    configure(monkeypatch, settings)
    private_postgres.start()
    assert cli("bench", "--clean").status == 0
