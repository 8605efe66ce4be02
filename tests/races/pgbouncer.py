"""PgBouncer in transaction mode, in front of the test server."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

START_SECONDS = 20.0
# Few, so that every client gets to use every one of them.
SERVER_CONNECTIONS = 5

_CONFIG = """
[databases]
* = {server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
# Named prepared statements fail here unless the client knows better: newer ones would hide that.
{prepared}
"""


def program() -> str | None:
    """Return where PgBouncer is installed; a distribution puts it where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """A process of it, for as long as the ``with`` block."""

    def __init__(self, dsn: str):
        self._server: dict[str, Any] = {
            key: value for key, value in conninfo_to_dict(dsn).items() if value is not None
        }
        self.port = _free_port()

    def dsn(self, direct: str) -> str:
        """Return the way to the same database, through the pooler."""
        database = str(conninfo_to_dict(direct)["dbname"])
        user = self._server.get("user") or "postgres"
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> PgBouncer:
        self._folder = Path(tempfile.mkdtemp(prefix="orcheo-pgbouncer-"))
        # It won't run as root, so another user must get at the file.
        self._folder.chmod(0o755)
        executable = program() or "pgbouncer"
        said = subprocess.run([executable, "--version"], capture_output=True, text=True, check=True)
        version = tuple(map(int, said.stdout.split()[1].split(".")[:2]))
        known = ("host", "hostaddr", "port", "user", "password")
        server = " ".join(f"{k}={_quoted(self._server[k])}" for k in known if k in self._server)
        config = self._folder / "pgbouncer.ini"
        config.write_text(
            _CONFIG.format(
                server=server,
                port=self.port,
                pool=SERVER_CONNECTIONS,
                prepared="max_prepared_statements = 0" if version >= (1, 21) else "",
            )
        )
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [executable, "-q", *as_user, str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        dsn = make_conninfo(self.dsn("dbname=postgres"), connect_timeout=5)
        while True:
            try:
                psycopg.connect(dsn).close()
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self._folder / "log").read_text()
                    raise AssertionError(f"PgBouncer does not answer: {error}\n{log}") from None
                time.sleep(0.05)
            else:
                return

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder)


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
