"""Start and remove one PostgreSQL server of our own."""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orcheo_sql._errors import OrcheoSqlError
from orcheo_sql.check.postgres_programs import Installation

_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 30.0
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - mkdtemp is safe in these
_SOCKET_PATH_MAX = 100  # the kernel allows 108 bytes, some systems 104

_OPTIONS = {"max_connections": "200", "timezone": "UTC", "lc_messages": "C"}
# Nothing of a test outlives it, so nothing needs to survive a crash of the machine.
_QUICK = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "deadlock_timeout": "200ms",
    "jit": "off",
}

# Runs beside us and cleans up however we end, since its standard input closes then. It waits for
# postmaster.pid to go: removing that is PostgreSQL's last act.
_JANITOR = """
read -r _
pidfile="$2/postmaster.pid"
[ -f "$pidfile" ] && kill -QUIT "$(head -n 1 "$pidfile")"
n=0
while [ -f "$pidfile" ] && [ "$n" -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
rm -rf "$1"
"""


@dataclass(frozen=True)
class KeptData:
    """A data directory that stays when its server goes, for the next one to start from."""

    path: Path
    lock: int
    """A file that is locked (flock). The server inherits it, so who has the lock is alone with the data."""


class ServerProcess:
    """The files and the process of one server of our own."""

    def __init__(
        self, installation: Installation, *, durable: bool = False, kept: KeptData | None = None
    ) -> None:
        """Describe a server; `durable` is one with the defaults of PostgreSQL, as in production."""
        self._installation = installation
        self._options = _OPTIONS if durable else _OPTIONS | _QUICK
        self._kept = kept
        # characters that a URL must escape, so that every user of the DSN is tested for it
        self._password = secrets.token_hex(12) + "@/:%"
        self._account = _unprivileged_account()
        self._owner = os.getpid()
        self._port = 0
        self._home: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._janitor: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Return the URL of the maintenance database."""
        password = quote(self._password, safe="")
        return f"postgresql://postgres:{password}@127.0.0.1:{self._port}/postgres"

    def create(self) -> None:
        """Make the files and start the server; on failure nothing is left behind."""
        try:
            self._home = _make_home(self._account)
            atexit.register(self.remove)
            if self._kept is not None:
                # Left by one that was killed. Before the janitor sees it: the number may be anybody's now.
                (self._data / "postmaster.pid").unlink(missing_ok=True)
            self._janitor = _start_janitor(self._home, self._data)
            self._installation = _reachable(self._installation, self._home, self._account)
            self._find_or_make_data()
            self._first_launch()
        except BaseException:
            self.remove()
            raise

    def launch(self) -> None:
        """Start the server process and wait until it accepts connections."""
        if self._process is not None:
            raise OrcheoSqlError("the scratch server is already running")
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            try:
                return self._launch_once()
            except OrcheoSqlError as error:
                # the helpers of a server that was killed hold its shared memory a moment longer
                if "still in use" not in str(error) or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def _launch_once(self) -> None:
        home = self._directory
        options = [f"--{name.replace('_', '-')}={value}" for name, value in self._options.items()]
        sockets = str(home) if len(str(home)) + len("/.s.PGSQL.65535") < _SOCKET_PATH_MAX else ""
        command = [f"{self._installation.bin}/postgres", "-D", str(self._data), "-h", "127.0.0.1"]
        with (home / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own programs and arguments
                [*command, "-p", str(self._port), "-k", sockets, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt from the keyboard is for the tests alone
                pass_fds=[self._kept.lock] if self._kept else [],
                **_process_options(home, self._account),
            )
        self._wait_until_ready(self._process)

    def stop(self, *, immediate: bool) -> None:
        """End the server process; one that is not running is left alone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGQUIT if immediate else signal.SIGINT)
        try:
            process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # A killed server leaves it behind, and its number may soon be that of another process.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def remove(self) -> None:
        """Stop the server and delete its files; a forked child leaves its parent's server alone."""
        if self._home is None or os.getpid() != self._owner:
            return
        self.stop(immediate=self._kept is None)
        if self._janitor is not None and self._janitor.stdin is not None:
            self._janitor.stdin.close()
            self._janitor.wait()
        shutil.rmtree(self._home, ignore_errors=True)
        self._home = None
        atexit.unregister(self.remove)

    @property
    def _directory(self) -> Path:
        if self._home is None:
            raise OrcheoSqlError("the scratch server was removed")
        return self._home

    @property
    def _data(self) -> Path:
        return self._directory / "data" if self._kept is None else self._kept.path

    def _find_or_make_data(self) -> None:
        if self._kept is None:
            return self._initdb()
        secret = self._kept.path / "password"  # written last: with it, all is there
        if secret.exists():
            self._password = secret.read_text()
            return None
        self._kept.path.mkdir(mode=0o700, exist_ok=True)
        _give(self._kept.path, self._account)
        self._initdb()
        secret.touch(mode=0o600)
        _give(secret, self._account)
        secret.write_text(self._password)
        return None

    def _initdb(self) -> None:
        home = self._directory
        secret = home / "password"
        secret.touch(mode=0o600)
        secret.write_text(self._password)
        _give(secret, self._account)
        command = [
            *(f"{self._installation.bin}/initdb", "-D", str(self._data), "-U", "postgres"),
            *("-E", "UTF8", "-A", "scram-sha-256", "--no-sync", f"--pwfile={secret}"),
        ]
        options = _process_options(home, self._account)
        try:
            try:
                _run([*command, "--locale=C.UTF-8"], **options)
            except subprocess.CalledProcessError as error:
                if "locale" not in error.stderr:
                    raise
                _run([*command, "--locale=C"], **options)
        except subprocess.CalledProcessError as error:
            raise OrcheoSqlError(f"{command[0]} failed: {error.stderr.strip()}") from error
        finally:
            secret.unlink()

    def _first_launch(self) -> None:
        """Start on a free port; try others when someone takes it first."""
        for attempt in range(5):
            self._port = _free_port()
            try:
                self.launch()
            except OrcheoSqlError as error:
                if attempt == 4 or "already in use" not in str(error):
                    raise
            else:
                return

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        pidfile = self._data / "postmaster.pid"
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if process.poll() is not None:
                self._process = None
                raise OrcheoSqlError(f"PostgreSQL did not start: {self._log_tail()}")
            lines: list[str] = []
            with contextlib.suppress(FileNotFoundError):
                lines = pidfile.read_text().splitlines()
            # the eighth line is the state; pg_ctl reads it, too
            if len(lines) > 7 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                return
            time.sleep(0.02)
        self.stop(immediate=True)
        raise OrcheoSqlError(
            f"PostgreSQL was not ready after {_START_TIMEOUT:.0f} s: {self._log_tail()}"
        )

    def _log_tail(self) -> str:
        text = (self._directory / "log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-20:]).strip() or "its log is empty"


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Return who runs the server when we are root, since PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise OrcheoSqlError("root needs a user `postgres` or `nobody` to start PostgreSQL as")


def _process_options(cwd: Path, account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return what every child gets: a clean environment and, below root, another user."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))}
    options: dict[str, Any] = {"cwd": cwd, "env": {**kept, "LC_ALL": "C"}}
    if account is not None:
        options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    return options


def _run(command: list[str], **options: Any) -> None:
    subprocess.run(  # noqa: S603 - our own programs and arguments
        command,
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_START_TIMEOUT,
        encoding="utf-8",
        errors="replace",
        **options,
    )


def _make_home(account: pwd.struct_passwd | None) -> Path:
    """Make a directory that the server's user owns and can get to."""
    for parent in dict.fromkeys([tempfile.gettempdir(), *_TEMPORARY]):
        try:
            home = Path(tempfile.mkdtemp(prefix="orcheo-pg-", dir=parent))
        except OSError:
            continue
        _give(home, account)
        try:
            # not by its working directory: a child changes to that while it is still root
            _run(
                ["/bin/sh", "-c", f"test -w {shlex.quote(str(home))}"],
                **_process_options(Path("/"), account),
            )
        except (OSError, subprocess.SubprocessError):
            home.rmdir()
        else:
            return home
    raise OrcheoSqlError(
        f"no temporary directory is open to user {account.pw_name if account else os.geteuid()}"
    )


def _give(path: Path, account: pwd.struct_passwd | None) -> None:
    if account is not None:
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _reachable(
    installation: Installation, home: Path, account: pwd.struct_passwd | None
) -> Installation:
    """Return the installation, or a copy below `home` if it lies where the server's user can't go.

    Such as in a virtual environment in root's home, which is not ours to open up.
    """
    try:
        _run([f"{installation.bin}/initdb", "--version"], **_process_options(home, account))
    except (OSError, subprocess.SubprocessError):
        prefix = installation.bin.parent
        copy = home / "copy" / prefix.parent.name / prefix.name
        unused = shutil.ignore_patterns("include", "*.a")
        shutil.copytree(prefix, copy, symlinks=True, ignore=unused)
        # the wheel's programs load libraries from this neighbour of their package
        libraries = prefix.parent.with_name(f"{prefix.parent.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy.parent.with_name(libraries.name))
        for path in (home / "copy", *(home / "copy").rglob("*")):
            _give(path, account)
        return Installation(copy / "bin", installation.version)
    return installation


def _start_janitor(home: Path, data: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own programs and arguments
        ["/bin/sh", "-c", _JANITOR, "orcheo-pg-janitor", home, data],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
