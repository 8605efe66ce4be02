from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orcheo_sql._errors import ConfigError, OrcheoSqlError, ValidationError
from orcheo_sql.check import postgres_process, postgres_programs
from orcheo_sql.check.postgres_process import ServerProcess
from orcheo_sql.check.postgres_programs import Installation, choose_installation
from orcheo_sql.check.scratch_postgres import ScratchPostgres, with_database


def ask(dsn: str, query: str) -> object:
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


def fake_installation(directory: Path, answer: str, *, exit_code: int = 0) -> Path:
    directory.mkdir(parents=True)
    program = directory / "postgres"
    program.write_text(f"#!/bin/sh\necho '{answer}'\nexit {exit_code}\n")
    program.chmod(0o755)
    (directory / "initdb").touch()
    return directory


class TestChoosing:
    @pytest.fixture(autouse=True)
    def isolate(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        monkeypatch.setattr(postgres_programs, "_INSTALLED", (f"{tmp_path}/postgresql/*/bin",))
        monkeypatch.setattr(postgres_programs, "WHEEL", "no-such-wheel")

    def test_newest_of_the_distribution_comes_first(self, tmp_path: Path) -> None:
        for version in ("9.6.24", "15.4 (Debian 15.4-1)", "16beta1"):
            directory = tmp_path / "postgresql" / version[:2] / "bin"
            fake_installation(directory, f"postgres (PostgreSQL) {version}")
        assert choose_installation().version == "16beta1"
        assert choose_installation(15).version == "15.4"

    def test_path_wins(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake_installation(tmp_path / "postgresql" / "17" / "bin", "postgres (PostgreSQL) 17.1")
        on_path = fake_installation(tmp_path / "mine", "postgres (PostgreSQL) 14.2")
        monkeypatch.setenv("PATH", str(on_path))
        assert choose_installation() == Installation(on_path, "14.2")

    def test_what_does_not_run_is_passed_over(self, tmp_path: Path) -> None:
        home = tmp_path / "postgresql"
        fake_installation(home / "18" / "bin", "postgres (PostgreSQL) 18.0", exit_code=127)
        fake_installation(home / "17" / "bin", "postgres, said nothing more")
        (fake_installation(home / "16" / "bin", "(PostgreSQL) 16.1") / "initdb").unlink()
        with pytest.raises(ConfigError, match="found: none"):
            choose_installation()

    def test_error_names_three_ways_and_what_was_found(self, tmp_path: Path) -> None:
        fake_installation(tmp_path / "postgresql" / "9.6" / "bin", "postgres (PostgreSQL) 9.6.24")
        with pytest.raises(ConfigError) as caught:
            choose_installation()
        text = str(caught.value)
        assert "PostgreSQL 14 or newer" in text
        assert "found: 9.6.24" in text
        for way in ("ORCHEO_TEST_POSTGRES_DSN", "apt install postgresql", "pip install"):
            assert way in text
        with pytest.raises(ConfigError, match="No PostgreSQL 77 "):
            choose_installation(77)

    def test_version_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORCHEO_TEST_POSTGRES_VERSION", "16")
        with pytest.raises(ConfigError, match="No PostgreSQL 16 "):
            ScratchPostgres(private=True).describe()
        monkeypatch.setenv("ORCHEO_TEST_POSTGRES_VERSION", "newest")
        with pytest.raises(ConfigError, match="ORCHEO_TEST_POSTGRES_VERSION is 'newest'"):
            ScratchPostgres(private=True).describe()


@pytest.mark.skipif(sys.platform != "linux", reason="the wheel is a test dependency on Linux only")
@pytest.mark.parametrize("version", [16, 18])
def test_wheel_carries_a_server(version: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_programs, "_INSTALLED", ())
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with ScratchPostgres(version=version, private=True) as server:
        assert server.version.startswith(f"{version}.")
        assert str(ask(server.dsn, "SHOW server_version")).startswith(f"{version}.")


def test_databases_are_utf8_separate_and_copied(private_postgres: ScratchPostgres) -> None:
    server = private_postgres
    first = server.create_database()
    assert ask(first, "SHOW server_encoding") == "UTF8"
    assert ask(first, "SHOW fsync") == "off"
    with psycopg.connect(first) as connection:
        connection.execute("CREATE TABLE things (id int)")
    copy, other = server.create_database(first), server.create_database()
    assert ask(copy, "SELECT to_regclass('things')::text") == "things"
    assert ask(other, "SELECT to_regclass('things')::text") is None
    server.drop_database(copy)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        ask(copy, "SELECT 1")
    with pytest.raises(ValidationError, match="was not made by create_database"):
        server.drop_database(server.dsn)


def test_password_is_needed(private_postgres: ScratchPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(make_conninfo(private_postgres.dsn, password="wrong"), "SELECT 1")
    assert "password" not in repr(private_postgres)


@pytest.mark.parametrize("immediate", [True, False])
def test_restart_keeps_address_and_data(private_postgres: ScratchPostgres, immediate: bool) -> None:
    server = private_postgres
    dsn = server.create_database()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE things AS SELECT 7 AS id")
        connection.execute("CHECKPOINT")
        server.restart(immediate=immediate)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert ask(dsn, "SELECT id FROM things") == 7
    server.stop()
    server.stop()
    with pytest.raises(psycopg.OperationalError):
        ask(dsn, "SELECT 1")
    server.start()
    assert ask(dsn, "SELECT id FROM things") == 7
    with pytest.raises(OrcheoSqlError, match="already running"):
        server.start()


def test_server_that_was_killed_can_be_started_again(private_postgres: ScratchPostgres) -> None:
    home = _home(private_postgres)
    pid = int((home / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    private_postgres.restart()
    assert ask(private_postgres.dsn, "SELECT 1") == 1


def test_nothing_is_left_behind() -> None:
    server = ScratchPostgres(private=True)
    with pytest.raises(OrcheoSqlError, match="not open"):
        _ = server.dsn
    with server:
        home, dsn = _home(server), server.dsn
        server.open()
        assert server.dsn == dsn
        assert home.exists()
    assert not home.exists()
    server.close()
    with pytest.raises(psycopg.OperationalError):
        ask(dsn, "SELECT 1")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_server_ends_with_its_parent(end: signal.Signals) -> None:
    program = (
        "import time\n"
        "from orcheo_sql.check.scratch_postgres import ScratchPostgres\n"
        "server = ScratchPostgres(private=True)\n"
        "server.open()\n"
        "print(server._server._home, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        home = Path(child.stdout.readline().strip())
        assert (home / "data").exists()
        child.send_signal(end)
    deadline = time.monotonic() + 10
    while home.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not home.exists()


def test_uncaught_exception_cleans_up_before_the_end() -> None:
    program = (
        "from orcheo_sql.check.scratch_postgres import ScratchPostgres\n"
        "server = ScratchPostgres(private=True)\n"
        "server.open()\n"
        "print(server._server._home, flush=True)\n"
        "raise SystemExit(3)\n"
    )
    child = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert child.returncode == 3, child.stderr
    assert not Path(child.stdout.strip()).exists()


def test_fork_leaves_the_server_to_its_parent(private_postgres: ScratchPostgres) -> None:
    server = private_postgres._server
    assert server is not None
    server._owner += 1
    try:
        server.remove()
        assert ask(private_postgres.dsn, "SELECT 1") == 1
    finally:
        server._owner -= 1


def test_taken_port_is_not_the_end(
    private_postgres: ScratchPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = int(conninfo_to_dict(private_postgres.dsn)["port"] or 0)
    free_port = postgres_process._free_port
    ports = [taken, taken, free_port()]
    monkeypatch.setattr(postgres_process, "_free_port", lambda: ports.pop(0))
    with ScratchPostgres(private=True) as second:
        assert ask(second.dsn, "SELECT 1") == 1
    assert not ports
    monkeypatch.setattr(postgres_process, "_free_port", lambda: taken)
    with pytest.raises(OrcheoSqlError, match="in use"):
        ScratchPostgres(private=True).open()


def test_failing_initdb_shows_its_reason_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes: list[Path] = []
    make_home = postgres_process._make_home

    def remember(account: pwd.struct_passwd | None) -> Path:
        homes.append(make_home(account))
        return homes[0]

    monkeypatch.setattr(postgres_process, "_make_home", remember)
    directory = fake_installation(tmp_path / "bin", "postgres (PostgreSQL) 16.1")
    (directory / "initdb").write_text("#!/bin/sh\necho 'no such luck' >&2\nexit 1\n")
    (directory / "initdb").chmod(0o755)
    with pytest.raises(OrcheoSqlError, match="no such luck"):
        ServerProcess(Installation(directory, "16.1")).create()
    assert [home.exists() for home in homes] == [False]


def test_slow_start_is_given_up(
    private_postgres: ScratchPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    private_postgres.stop()
    monkeypatch.setattr(postgres_process, "_START_TIMEOUT", 0)
    with pytest.raises(OrcheoSqlError, match="was not ready after 0 s"):
        private_postgres.start()
    monkeypatch.undo()
    private_postgres.start()
    assert ask(private_postgres.dsn, "SELECT 1") == 1


def test_slow_stop_is_cut_short(
    private_postgres: ScratchPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = int((_home(private_postgres) / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr(postgres_process, "_STOP_TIMEOUT", 0.1)
    private_postgres.restart()
    assert ask(private_postgres.dsn, "SELECT 1") == 1


def test_removed_server_does_not_start(private_postgres: ScratchPostgres) -> None:
    server = private_postgres._server
    assert server is not None
    server.remove()
    with pytest.raises(OrcheoSqlError, match="was removed"):
        server.launch()


def test_no_temporary_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent/one")
    monkeypatch.setattr(postgres_process, "_TEMPORARY", ("/nonexistent/two",))
    with pytest.raises(OrcheoSqlError, match="no temporary directory"):
        ScratchPostgres(private=True).open()


def test_locale_falls_back_to_c(monkeypatch: pytest.MonkeyPatch) -> None:
    run = postgres_process._run

    def run_without_locale(command: list[str], **options: object) -> None:
        run([part.replace("C.UTF-8", "xx_XX.UTF-8") for part in command], **options)

    monkeypatch.setattr(postgres_process, "_run", run_without_locale)
    with ScratchPostgres(private=True) as server:
        assert ask(server.create_database(), "SHOW server_encoding") == "UTF8"


def test_long_temporary_path_goes_without_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_process, "_SOCKET_PATH_MAX", 1)
    with ScratchPostgres(private=True) as server:
        assert ask(server.dsn, "SHOW unix_socket_directories") == ""


class TestGivenServer:
    def test_it_is_used_but_not_stopped(self, private_postgres: ScratchPostgres) -> None:
        with ScratchPostgres(private_postgres.dsn) as given:
            assert given.external
            assert given.version == private_postgres.version
            assert given.describe() == f"PostgreSQL {given.version}, given by DSN"
            database = given.create_database()
            kept = given.create_database(database)
            given.drop_database(database)
            for verb in (given.stop, given.start, given.restart):
                with pytest.raises(ConfigError, match="server given by DSN"):
                    verb()
        left = ask(private_postgres.dsn, "SELECT count(*) FROM pg_database WHERE datname ~ '^orch'")
        assert left == 0
        assert kept != database

    def test_variable_names_it(
        self, private_postgres: ScratchPostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORCHEO_TEST_POSTGRES_DSN", private_postgres.dsn)
        with ScratchPostgres() as given:
            assert given.dsn == private_postgres.dsn
        assert not ScratchPostgres(private=True).external

    def test_unreachable_one_is_named_without_its_password(self) -> None:
        with pytest.raises(ConfigError, match="port 1 failed") as caught:
            ScratchPostgres("postgresql://me:hush@127.0.0.1:1/x").open()
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://u:p%40@h:1/old?sslmode=off", "postgresql://u:p%40@h:1/n%20w?sslmode=off"),
        ("postgresql:///old?host=/tmp/x", "postgresql:///n%20w?host=/tmp/x"),
        ("postgresql://h", "postgresql://h/n%20w"),
        ("host=/tmp/x user=a password='p @'", None),
    ],
)
def test_with_database(dsn: str, expected: str | None) -> None:
    result = with_database(dsn, "n w")
    assert expected in (None, result)
    assert conninfo_to_dict(result) == {**conninfo_to_dict(dsn), "dbname": "n w"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
class TestRoot:
    def test_programs_out_of_reach_are_copied(self, monkeypatch: pytest.MonkeyPatch) -> None:
        account = postgres_process._unprivileged_account()
        assert account is not None
        source = choose_installation()
        home = postgres_process._make_home(account)
        run = postgres_process._run

        def refuse(command: list[str], **options: object) -> None:
            if command == [f"{source.bin}/initdb", "--version"]:
                raise PermissionError
            run(command, **options)

        monkeypatch.setattr(postgres_process, "_run", refuse)
        try:
            copied = postgres_process._reachable(source, home, account)
            assert copied.bin.is_relative_to(home)
            assert (copied.bin / "postgres").stat().st_uid == account.pw_uid
        finally:
            shutil.rmtree(home)

    def test_any_unprivileged_account_will_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = pwd.getpwnam

        def getpwnam(name: str) -> pwd.struct_passwd:
            if name == "postgres":
                raise KeyError(name)
            return known(name)

        monkeypatch.setattr(pwd, "getpwnam", getpwnam)
        with ScratchPostgres(private=True) as server:
            assert _home(server).owner() == "nobody"

    def test_no_unprivileged_account(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def getpwnam(name: str) -> pwd.struct_passwd:
            raise KeyError(name)

        monkeypatch.setattr(pwd, "getpwnam", getpwnam)
        with pytest.raises(OrcheoSqlError, match="root needs a user"):
            ScratchPostgres(private=True).open()

    def test_temporary_directory_out_of_reach(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        monkeypatch.setattr("tempfile.tempdir", str(closed))
        account = postgres_process._unprivileged_account()
        home = postgres_process._make_home(account)
        home.rmdir()
        assert not home.is_relative_to(closed)
        assert not list(closed.iterdir())


def _home(server: ScratchPostgres) -> Path:
    assert server._server is not None
    assert server._server._home is not None
    return server._server._home
