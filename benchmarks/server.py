"""PostgreSQL for benchmarks: durable as in production, and with the data sets of earlier runs."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from benchmarks.datasets import cache_folder

from orcheo_sql import OrcheoSqlError
from orcheo_sql.check.postgres_process import KeptData
from orcheo_sql.check.postgres_programs import choose_installation, version_from_environment
from orcheo_sql.check.scratch_postgres import DATABASE_PREFIX, ScratchPostgres, with_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOTS_CACHE = Path("/var/cache/orcheo-sql-bench")
"""Below root the server runs as another user, who can't get to root's home."""


@contextmanager
def benchmark_server(say: Callable[[str], object]) -> Iterator[ScratchPostgres]:
    """Start the server whose data are kept, one for each major version of PostgreSQL.

    While another run has it, a server with nothing on it is started: to wait could take hours.
    """
    major = choose_installation(version_from_environment()).major
    home = (cache_folder() if os.geteuid() else ROOTS_CACHE) / f"postgres-{major}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{home} is in use by another run: its data sets are not, they are made anew")
            server = ScratchPostgres(private=True, durable=True)
            server.open()
        else:
            server = _open_kept(KeptData(home / "data", lock.fileno()), say)
        with server:
            yield server


def _open_kept(kept: KeptData, say: Callable[[str], object]) -> ScratchPostgres:
    server = ScratchPostgres(private=True, durable=True, kept=kept)
    was_there = kept.path.exists()
    try:
        server.open()
        _drop_left_over(server)
    except (OrcheoSqlError, psycopg.Error, OSError) as error:
        server.close()
        if not was_there:
            raise
        say(f"{kept.path} can't be used and is made anew: {error}")
        shutil.rmtree(kept.path)
        server.open()
    return server


def _drop_left_over(server: ScratchPostgres) -> None:
    """Drop the copies of a run that was killed."""
    with psycopg.connect(server.dsn) as admin:
        names = [name for (name,) in admin.execute("SELECT datname FROM pg_database")]
    for name in names:
        if name.startswith(DATABASE_PREFIX):
            server.drop_database(with_database(server.dsn, name))
