from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.cli.conftest import Cli, child_environment, command, configure
from tests.fixtures.databases import postgres_settings

import orcheo_sql
from orcheo_sql import cli as package
from orcheo_sql.cli import _exits, _output
from orcheo_sql.cli._app import COMMANDS, app, run
from orcheo_sql.cli._docs import helps, render_cli_page

DOCS = Path(__file__).parents[2] / "docs"


def test_version(shell: Cli) -> None:
    done = shell("--version")
    assert (done.status, done.out) == (0, f"orcheo-sql {orcheo_sql.__version__}\n")


def test_help_imports_no_driver_and_no_command() -> None:
    program = (
        "import sys; from orcheo_sql.cli import main; code = main(['--help']);"
        "print(code, *sorted(sys.modules), file=sys.stderr)"
    )
    env = {k: v for k, v in child_environment().items() if not k.startswith("COV")}
    child = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert child.stderr.startswith("0 ")
    loaded = set(child.stderr.split())
    unwanted = {"aiosql", "aiosqlite", "psycopg", "psycopg_pool", "pydantic", "sqlite3", "rich"}
    assert loaded & unwanted == set()
    assert not any(f"orcheo_sql.cli.{name}" in loaded for name in COMMANDS)
    assert all(name in child.stdout for name in COMMANDS)


def test_every_command_has_help(cli: Cli) -> None:
    for name, text in helps(typer.main.get_command(app), "orcheo-sql"):
        lines = [line for line in text.splitlines() if line.strip()]
        assert lines[0].startswith("Usage: orcheo-sql")
        assert not lines[1].startswith("Options:"), f"{name} does not say what it does"
        done = cli(*name.split()[1:], "--help")
        assert done.status == 0
        assert lines[1].split()[:4] == done.out.split("\n\n")[1].split()[:4]
        assert "\x1b" not in done.out


def test_page_of_commands_is_current() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == render_cli_page()


@pytest.mark.parametrize(
    "args",
    [
        ["bogus"],
        ["demo", "--runs", "many"],
        ["demo", "--runs", "-1"],
        ["migrate", "down"],
        ["demo", "--bogus"],
    ],
)
def test_wrong_command_lines(cli: Cli, args: list[str]) -> None:
    done = cli(*args)
    assert done.status == 2
    assert done.out == ""
    assert "Error: " in done.err
    assert "--help" in done.err or "-h" in done.err
    assert done.is_quiet


def test_module_and_console_script_are_the_same(shell: Cli) -> None:
    assert "Usage: orcheo-sql" in shell("--help").out


def test_settings_masks_secrets(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(
        monkeypatch,
        {
            "repository_backend": "postgres",
            "postgres_dsn": "postgresql://ada:hunter2@db.example/orcheo",
            "vault_encryption_key": "hunter2-hunter2-hunter2-hunter2-hunter2",
        },
    )
    for args in (["settings"], ["settings", "--json"]):
        done = cli(*args)
        assert done.status == 0
        assert "hunter2" not in done.out + done.err
        assert "postgresql://ada:***@db.example/orcheo" in done.out


COMMANDS_ON_A_DATABASE = [
    ["demo"],
    ["health"],
    ["migrate", "status"],
    ["migrate", "up"],
    ["migrate", "verify"],
    ["migrate", "sql"],
]


@pytest.mark.parametrize("args", COMMANDS_ON_A_DATABASE, ids=" ".join)
def test_wrong_dsn_is_a_wrong_setting(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    configure(
        monkeypatch,
        postgres_settings("mysql://ada:hunter2@db.example/x"),
    )
    done = cli(*args)
    assert done.status == 2
    assert "ORCHEO_POSTGRES_DSN" in done.err
    assert "hunter2" not in done.out + done.err
    assert done.is_quiet


@pytest.mark.parametrize("args", COMMANDS_ON_A_DATABASE, ids=" ".join)
def test_unreachable_server(cli: Cli, monkeypatch: pytest.MonkeyPatch, args: list[str]) -> None:
    configure(
        monkeypatch,
        {
            **postgres_settings("postgresql://ada:hunter2@127.0.0.1:1/orcheo"),
            "postgres_connect_timeout_seconds": 0.2,
        },
    )
    done = cli(*args, *(["--timeout", "0.2"] if args == ["health"] else []))
    assert done.status == 1
    text = done.out + done.err
    assert "postgresql://ada:***@127.0.0.1:1/orcheo" in text
    assert "hunter2" not in text
    assert done.is_quiet


def test_database_path_that_is_a_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(monkeypatch, {"database_path": tmp_path})
    for args in COMMANDS_ON_A_DATABASE:
        done = cli(*args)
        assert done.status == (1 if args == ["health"] else 2), args
        assert done.is_quiet
        # A table folds a long path.
        assert str(tmp_path) in "".join((done.out + done.err).split())


def test_file_that_is_no_database(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notes.sqlite"
    path.write_text("Buy milk. " * 1000)
    configure(monkeypatch, {"database_path": path})
    for args in COMMANDS_ON_A_DATABASE:
        done = cli(*args)
        assert done.status == (1 if args == ["health"] else 2), args
        assert done.is_quiet
        assert "not a database" in " ".join((done.out + done.err).split())
    assert path.read_text() == "Buy milk. " * 1000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    configure(monkeypatch, {"database_path": folder / "orcheo.sqlite"})
    done = cli("demo")
    assert done.status == 2
    assert "ORCHEO_DATABASE_PATH" in done.err
    assert done.is_quiet


@pytest.mark.parametrize(
    "args",
    [["demo"], ["demo", "--json"], ["settings"], ["settings", "--json"], ["migrate", "sql"]],
    ids=" ".join,
)
def test_reader_that_has_left(args: list[str], tmp_path: Path) -> None:
    child = subprocess.Popen(
        command(*args), env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    child.stdout.close()
    errors = child.stderr.read().decode()
    child.stderr.close()
    assert child.wait() in (0, 1)
    assert [line for line in errors.splitlines() if not line.startswith(("Storing", "--"))] == []


def test_ctrl_c_is_quiet_and_leaves_a_sound_database(
    shell: Cli, configured: dict[str, Any]
) -> None:
    child = subprocess.Popen(
        command("demo", "--runs", "10000"),
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # As from a terminal: a shell without job control lets its background children ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert child.stderr is not None
    first = child.stderr.readline().decode()
    assert first.startswith("Storing")
    time.sleep(0.7)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, b"", b"")
    assert shell("health").status == 0


def on_terminal(*args: str, **more: str) -> str:
    """Run a command on a terminal and return all that it shows there."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        command(*args),
        env={**child_environment(TERM="xterm-256color", COLUMNS="100"), **more},
        stdout=theirs,
        stderr=theirs,
        stdin=theirs,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:  # the last one has closed its end
            break
        if not block:
            break
        shown += block
    os.close(ours)
    assert child.wait() == 0
    return shown.decode()


def test_styled_on_a_terminal_unless_no_color() -> None:
    assert "\x1b[1m" in on_terminal("migrate", "status")
    assert "\x1b" not in on_terminal("migrate", "status", NO_COLOR="1")


def test_progress_on_a_terminal() -> None:
    shown = on_terminal("demo")
    assert "6/6" in shown
    assert "Stored in SQLite" in shown


def test_output_that_is_not_a_terminal_has_no_escapes(cli: Cli, configured: dict[str, Any]) -> None:
    for args in (["demo"], ["health"], ["migrate", "status"], ["settings"]):
        done = cli(*args)
        assert "\x1b" not in done.out + done.err


def test_terminal_that_knows_ascii_only() -> None:
    child = subprocess.run(
        command("demo", "--database-path", ":memory:"),
        env=child_environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0
    assert "Stored in SQLite in memory" in child.stdout
    assert child.stdout.isascii()
    data = subprocess.run(
        command("demo", "--database-path", ":memory:", "--json"),
        env=child_environment(PYTHONIOENCODING="ascii", PYTHONUTF8="0"),
        capture_output=True,
    )
    assert "合同" in {s["asked"] for s in json.loads(data.stdout)["workflow_searches"]}


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("orcheo_sql.cli._places.places", fail)


def test_unexpected_error_is_no_traceback(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyError("surprise"))
    done = cli("health")
    assert done.status == 1
    assert "KeyError: 'surprise'" in done.err
    assert "ORCHEO_DEBUG=1" in done.err
    assert "Traceback" not in done.err


def test_unexpected_error_with_a_secret(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, RuntimeError("postgresql://ada:hunter2@db"))
    done = cli("health")
    assert "RuntimeError" in done.err
    assert "hunter2" not in done.err


def test_traceback_on_demand(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEO_DEBUG", "1")
    fail_with(monkeypatch, KeyError("surprise"))
    assert "Traceback" in cli("health").err


def test_interrupt_outside_of_asyncio(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    assert cli("health").status == 130


def test_interrupt_while_a_command_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("typer.main.get_command", fail)
    assert run(["health"]) == 130


def test_arguments_come_from_the_command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["orcheo-sql", "--version"])
    assert package.main() == 0
    assert "orcheo-sql" in capsys.readouterr().out


def test_statuses_of_errors() -> None:
    assert _exits.status_of(orcheo_sql.ConfigError("x")) == 2
    assert _exits.status_of(orcheo_sql.PendingMigrationsError("x")) == 3
    assert _exits.status_of(orcheo_sql.MigrationFailedError("x")) == 1
    assert _exits.status_of(orcheo_sql.ConnectionLostError("x")) == 1


def test_messages_say_what_to_do() -> None:
    assert "orcheo-sql settings" in _exits.describe(orcheo_sql.ConnectionLostError("gone"))
    assert _exits.describe(orcheo_sql.DatabaseBusyError("busy")).count("\n") == 1
    # One that says so itself is left alone.
    assert _exits.describe(orcheo_sql.PendingMigrationsError("run: orcheo-sql migrate up")) == (
        "run: orcheo-sql migrate up"
    )


def test_names_can_not_command_a_terminal() -> None:
    assert _output.printable("a\x1b[31mb\x9bc\x00d\x7f\r") == "a�[31mb�c�d��"
    assert _output.cell("x" * 1000).endswith("x…")
    assert [_output.cell(value) for value in (None, True, False, 3)] == ["-", "yes", "no", "3"]
