from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.cli.conftest import Cli, configure
from tests.cli.databases import EDITED, FOREIGN, NEWER, run_sql, tables

from orcheo_sql._migrate import load_migrations
from orcheo_sql.cli._places import Place
from orcheo_sql.settings import Location

LATEST = len(load_migrations("sqlite"))


def test_looking_changes_nothing(cli: Cli, unmigrated: dict[str, Any], tmp_path: Path) -> None:
    for args in (["status"], ["status", "--json"], ["up", "--dry-run"], ["sql"]):
        assert cli("migrate", *args).status == 0, args
    assert cli("migrate", "verify").status == 3
    assert cli("health").status == 1
    assert tables(unmigrated) == set()
    assert list(tmp_path.glob("*.sqlite*")) == []


def test_status_before_and_after_up(cli: Cli, unmigrated: dict[str, Any]) -> None:
    before = cli("migrate", "status")
    assert before.out.count("pending") == LATEST
    [document] = cli("migrate", "status", "--json").json
    assert document["pending"] == LATEST
    assert document["migrations"][0] == {"version": 1, "name": "workflows", "applied_at": None}

    planned = cli("migrate", "up", "--dry-run")
    assert "would apply" in planned.out
    assert "0001 workflows" in planned.out
    applied = cli("migrate", "up", "--json").json
    assert [m["version"] for m in applied[0]["applied"]] == list(range(1, LATEST + 1))
    assert "orcheo_migrations" in tables(unmigrated)

    after = cli("migrate", "status")
    assert after.status == 0
    assert "pending" not in after.out
    assert "UTC" in after.out
    [document] = cli("migrate", "status", "--json").json
    assert (document["pending"], document["exists"]) == (0, True)


def test_up_when_up_to_date(cli: Cli, configured: dict[str, Any]) -> None:
    done = cli("migrate", "up")
    assert done.status == 0
    assert "nothing to apply" in done.out


def test_verify(cli: Cli, configured: dict[str, Any]) -> None:
    done = cli("migrate", "verify")
    assert done.status == 0
    assert f"schema version {LATEST}" in done.out
    [document] = cli("migrate", "verify", "--json").json
    assert (document["version"], document["problem"]) == (LATEST, None)


def test_verify_says_what_is_pending(cli: Cli, unmigrated: dict[str, Any]) -> None:
    done = cli("migrate", "verify")
    assert (done.status, done.out) == (3, "")
    assert "orcheo-sql migrate up" in done.err
    asked = cli("migrate", "verify", "--json")
    assert asked.status == 3
    assert "migrate up" in asked.json[0]["problem"]


def test_script_does_what_up_does(cli: Cli, unmigrated: dict[str, Any]) -> None:
    script = cli("migrate", "sql")
    assert "BEGIN" in script.out
    run_sql(unmigrated, script.out)
    verified = cli("migrate", "verify")
    assert verified.status == 0, verified.err
    assert cli("migrate", "up").out.endswith("nothing to apply\n")
    assert cli("health").status == 0
    assert cli("demo", "--runs", "1").status == 0


def test_script_when_up_to_date(cli: Cli, configured: dict[str, Any]) -> None:
    done = cli("migrate", "sql")
    assert done.status == 0
    assert done.out.startswith("-- Up to date")


def test_script_for_a_dialect_asks_no_database(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, dialect: str
) -> None:
    monkeypatch.setenv("ORCHEO_POSTGRES_DSN", "not a DSN at all")
    done = cli("migrate", "sql", "--dialect", dialect)
    assert done.status == 0
    assert done.out.count("INSERT INTO orcheo_migrations") == LATEST
    assert load_migrations(dialect)[0].checksum in done.out


def test_script_from_a_number(cli: Cli, configured: dict[str, Any]) -> None:
    again = cli("migrate", "sql", "--from", "1")
    assert again.out.count("INSERT INTO orcheo_migrations") == LATEST
    done = cli("migrate", "sql", "--from", str(LATEST + 1))
    assert (done.status, done.out.startswith("-- Up to date")) == (0, True)
    beyond = cli("migrate", "sql", "--from", str(LATEST + 2))
    assert beyond.status == 2
    assert beyond.is_quiet


CHANGES = {"newer": NEWER, "edited": EDITED}
ADVICE = {"newer": "upgrade the library", "edited": "restore the file"}
COMMANDS = [["demo"], ["migrate", "status"], ["migrate", "up"], ["migrate", "verify"]]


@pytest.mark.parametrize("kind", CHANGES)
def test_schema_that_is_not_ours(cli: Cli, unmigrated: dict[str, Any], kind: str) -> None:
    cli("migrate", "up")
    run_sql(unmigrated, CHANGES[kind])
    for args in (*COMMANDS, ["migrate", "sql"], ["migrate", "up", "--dry-run"]):
        done = cli(*args)
        assert done.status == 3, args
        assert ADVICE[kind] in done.err
        assert done.is_quiet
    health = cli("health")
    assert health.status == 1
    assert ADVICE[kind] in " ".join(health.out.split())


def test_file_of_the_older_product_is_left_alone(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "workflows.sqlite"
    run_sql({"database_path": path}, FOREIGN)
    content = path.read_bytes()
    configure(monkeypatch, {"database_path": path})
    for args in COMMANDS:
        done = cli(*args)
        assert done.status == 3, args
        assert "older product" in done.err
        assert "open a new database" in done.err
        assert done.is_quiet
    assert cli("health").status == 1
    assert path.read_bytes() == content
    assert list(tmp_path.glob("workflows.sqlite?*")) == []


def test_database_of_the_older_product(cli: Cli, unmigrated: dict[str, Any]) -> None:
    run_sql(unmigrated, FOREIGN)
    done = cli("migrate", "up")
    assert done.status == 3
    assert "older product" in done.err
    assert "orcheo_migrations" not in tables(unmigrated)


def test_without_auto_migrate(
    cli: Cli, unmigrated: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHEO_AUTO_MIGRATE", "false")
    done = cli("demo")
    assert done.status == 3
    assert "orcheo-sql migrate up" in done.err
    assert tables(unmigrated) == set()
    assert cli("migrate", "up").status == 0
    assert cli("demo", "--runs", "1").status == 0


def test_behind_a_pooler_migrations_go_direct(
    cli: Cli, postgres_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn = postgres_server.create_database()
    try:
        configure(
            monkeypatch,
            {
                "repository_backend": "postgres",
                "postgres_dsn": dsn,
                "postgres_pooler": "transaction",
                "postgres_migration_dsn": "postgresql://ada:hunter2@127.0.0.1:1/orcheo",
            },
        )
        done = cli("migrate", "up")
        assert done.status == 1
        assert "ORCHEO_POSTGRES_MIGRATION_DSN" in done.err
        assert "hunter2" not in done.err
        assert done.is_quiet
        monkeypatch.setenv("ORCHEO_POSTGRES_MIGRATION_DSN", dsn)
        assert cli("migrate", "up").status == 0
        assert cli("migrate", "verify").status == 0
        assert cli("demo", "--runs", "1").status == 0
    finally:
        postgres_server.drop_database(dsn)


def test_in_memory_nothing_is_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEO_DATABASE_PATH", ":memory:")
    assert cli("migrate", "status").status == 0
    assert cli("migrate", "verify").status == 3
    assert cli("migrate", "up").status == 0


def test_script_for_databases_of_both_dialects(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Place(Location("sqlite", path=Path("x.sqlite")), ["workflows"]),
        Place(Location("postgres", dsn=SecretStr("postgresql://x")), ["vault"]),
    ]
    monkeypatch.setattr("orcheo_sql.cli._places.places", lambda _: found)
    done = cli("migrate", "sql")
    assert (done.status, done.out) == (2, "")
    assert "--dialect" in done.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_file_that_may_not_be_read(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "orcheo.sqlite"
    configure(monkeypatch, {"database_path": path})
    cli("migrate", "up")
    path.chmod(0)
    done = cli("migrate", "status")
    assert done.status == 2
    assert done.is_quiet
