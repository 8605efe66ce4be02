"""Data sets for benchmarks: as many runs as are wanted with all that belongs to them, made once and then copied.

The rows are made by ``benchmarks/seed/<dialect>/*.sql``, the same on both. Entities of a kind are numbered from 1, and
their ids can be computed: `entity` and `Scale` have the formulas of the SQL.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from tests.fixtures.databases import postgres_settings

from orcheo_sql import Database
from orcheo_sql._catalog import sql_root
from orcheo_sql._database import SUBSYSTEMS
from orcheo_sql._migrate import numbered_statements
from orcheo_sql.check.scratch_postgres import with_database
from orcheo_sql.settings._location import HOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orcheo_sql.check.scratch_postgres import ScratchPostgres
    from orcheo_sql.codecs.rows import Dialect

SEEDS = Path(__file__).resolve().parent / "seed"
SMALLEST = 200
ROWS_PER_RUN = 5
"""How many rows there are for each run, about."""
WORTH_A_BAR = 50_000

DATABASE_PREFIX = "orcheo_bench_"
DRAFT = "_seeding"
# Of those who seed, or copy, on one server at once.
LOCK_KEY = 0x4F52_4348_4245_4E43  # "ORCHBENC"


class Kind(IntEnum):
    """What an entity is; a part of its id."""

    WORKFLOW = 1
    VERSION = 2
    RUN = 3
    EXECUTION = 4
    TOKEN = 5
    CHECKPOINT = 6
    SNAPSHOT = 7
    SCHEDULE = 8


def entity(kind: Kind, number: int) -> UUID:
    """Return the id of an entity, counted from 1; where ids are text, it is the text of this one.

    The first half of a UUID decides where it stands in an index. It is a multiple of 2654435761, the golden section of
    2**32, with its low 32 bits in front: so ids that follow each other lie far apart.
    """
    mixed = number * 2654435761 % 2**48
    head = f"{mixed & 0xFFFFFFFF:08x}-{mixed >> 32:04x}"
    return UUID(f"{head}-4{kind:03x}-8000-{number:012x}")


def token_text(number: int) -> str:
    """Return the service token with a number, as a client sends it."""
    return f"bench-token-{number:031d}"


@dataclass(frozen=True)
class Scale:
    """What there is at a number of runs, and what belongs together; all numbers count from 1."""

    runs: int

    def __post_init__(self) -> None:
        if self.runs < SMALLEST:
            raise ValueError(f"the smallest data set has {SMALLEST} runs, not {self.runs}")

    def count(self, kind: Kind) -> int:
        """Return how many entities of a kind there are, which are numbered 1 to this.

        Only schedules are numbered like their workflows: every tenth one has one.
        """
        workflows = max(20, self.runs // 200)
        return {
            Kind.WORKFLOW: workflows,
            Kind.VERSION: 2 * workflows,
            Kind.RUN: self.runs,
            Kind.EXECUTION: self.runs // 10,
            Kind.TOKEN: workflows,
            Kind.CHECKPOINT: self.runs // 10,
            Kind.SNAPSHOT: self.runs // 10,
            Kind.SCHEDULE: workflows // 10,
        }[kind]

    @property
    def customers(self) -> int:
        """How many customers the inputs of runs name; each is in about ten."""
        return max(20, self.runs // 10)

    @property
    def outbox(self) -> int:
        """How many runs are in the outbox: the newest ones that are pending."""
        return min(self.runs // 100, 1000)

    @property
    def trained_workflows(self) -> int:
        """How many workflows have checkpoints: the first ones."""
        return max(2, self.runs // 500)

    def workflow_of_run(self, number: int) -> int:
        """Return the number of a run's workflow."""
        return self._spread(number)

    def version_of_run(self, number: int) -> int:
        """Return the number of a run's version: every third run is of the first one of its workflow."""
        return 2 * self._spread(number) - (number % 3 == 0)

    def customer_of_run(self, number: int) -> int:
        """Return the number of the customer in a run's input: ``{"customer": {"id": ...}}``."""
        return 1 + number * 7919 % self.customers

    def workflow_of_execution(self, number: int) -> int:
        """Return the number of the workflow that a history is of."""
        return self._spread(number)

    def workflow_of_checkpoint(self, number: int) -> int:
        """Return the number of the workflow that a checkpoint is of."""
        return 1 + (number - 1) % self.trained_workflows

    def version_of_checkpoint(self, number: int) -> int:
        """Return the ``config_version`` of a checkpoint."""
        return 1 + (number - 1) // self.trained_workflows

    def latest_checkpoint(self, workflow: int) -> int:
        """Return the newest ``config_version`` of a trained workflow, which is also how many it has."""
        return 1 + (self.count(Kind.CHECKPOINT) - workflow) // self.trained_workflows

    def best_checkpoint(self, workflow: int) -> int:
        """Return the best ``config_version`` of a trained workflow."""
        return 1 + workflow * 7 % self.latest_checkpoint(workflow)

    def _spread(self, number: int) -> int:
        """Go round all workflows, each time in an order that is turned by 37."""
        workflows = self.count(Kind.WORKFLOW)
        turn, place = divmod(number - 1, workflows)
        return 1 + (place + turn * 37) % workflows


def workflow_of_version(number: int) -> int:
    """Return the number of a version's workflow; odd versions are the first of theirs, even ones the second."""
    return (number + 1) // 2


def status_of_run(number: int) -> str:
    """Return the status of a run."""
    place = number * 37 % 100
    for status, end in (("succeeded", 85), ("failed", 93), ("cancelled", 97), ("running", 99)):
        if place < end:
            return status
    return "pending"


def sqlite_dataset(scale: int, folder: Path) -> Path:
    """Return a copy of a seeded SQLite file, new in a folder and for the caller alone."""
    Scale(scale)
    cache = cache_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seeded = cache / f"{fingerprint('sqlite')}-{scale}.sqlite"
    with _alone(cache / "lock"):
        if not seeded.exists():
            _make_sqlite(seeded, scale)
        copy = folder / f"bench-{scale}-{secrets.token_hex(4)}.sqlite"
        shutil.copy(seeded, copy)
    return copy


def postgres_dataset(scale: int, server: ScratchPostgres) -> str:
    """Return the DSN of a new database, a copy of a seeded one that stays on the server.

    The copy is one of the server's own: `drop_database` takes it, and it goes when the server is closed.
    """
    Scale(scale)
    seeded = f"{DATABASE_PREFIX}{fingerprint('postgres')}_{scale}"
    with psycopg.connect(server.dsn, autocommit=True) as admin:
        admin.execute("SELECT pg_advisory_lock(%s)", [LOCK_KEY])
        if seeded not in _databases(admin):
            _make_postgres(admin, server.dsn, seeded, scale)
        return server.create_database(with_database(server.dsn, seeded))


def cache_folder() -> Path:
    """Return the folder of seeded files, which is its owner's only."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(root) / "orcheo-sql-bench"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    return folder


def fingerprint(dialect: Dialect) -> str:
    """Return a short hash of all that decides what a seeded database of a dialect holds."""
    digest = hashlib.sha256()
    for folder in (sql_root() / dialect / "migrations", SEEDS / dialect):
        for path in sorted(folder.glob("*.sql")):
            text = path.read_bytes()
            digest.update(f"{path.name} {len(text)}\n".encode() + text)
    return digest.hexdigest()[:12]


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep out other processes; the operating system lets go of the lock of one that dies."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_sqlite(seeded: Path, scale: int) -> None:
    for path in seeded.parent.iterdir():
        # Another hash, or left behind by one who was stopped: we have the lock, so nobody is at it.
        is_current = path.name.startswith(fingerprint("sqlite")) and path.suffix == seeded.suffix
        if path.is_file() and path.name != "lock" and not is_current:
            path.unlink()
    draft = seeded.with_suffix(".part")
    _migrate({**_everywhere("sqlite"), **dict.fromkeys(_files(), draft)})
    with closing(sqlite3.connect(draft, isolation_level=None)) as raw:
        raw.create_function("sha256_hex", 1, _sha256_hex, deterministic=True)
        # A draft that fails is thrown away, so it needs no journal. 512 MiB of cache: ids come in no order.
        for name, value in {
            "journal_mode": "OFF", "synchronous": "OFF", "cache_size": -524_288, "foreign_keys": "ON",
        }.items():  # fmt: skip
            raw.execute(f"PRAGMA {name} = {value}")
        raw.execute("BEGIN")
        _seed("sqlite", scale, lambda text: raw.execute(text, {"scale": scale}))
        raw.execute("COMMIT")
        # As the library leaves it, which never runs ANALYZE; nothing is in a WAL file, so the file alone is the database.
        raw.execute("PRAGMA journal_mode = WAL")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.rename(seeded)


def _make_postgres(admin: psycopg.Connection[Any], dsn: str, seeded: str, scale: int) -> None:
    for name in _databases(admin):
        # As above.
        if name.endswith(DRAFT) or not name.startswith(seeded.rpartition("_")[0]):
            _administer(admin, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    draft = seeded + DRAFT
    _administer(admin, "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'", draft)
    draft_dsn = with_database(dsn, draft)
    _migrate(postgres_settings(draft_dsn))
    with psycopg.connect(draft_dsn, cursor_factory=psycopg.RawCursor) as connection:
        connection.execute(b"SET synchronous_commit = off")
        connection.execute(b"SET work_mem = '256MB'")
        connection.execute(b"SET maintenance_work_mem = '512MB'")
        _seed("postgres", scale, lambda text: connection.execute(*_numbered(text, scale)))
    with psycopg.connect(draft_dsn, autocommit=True) as connection:
        # VACUUM marks pages as visible to all only when the commit that filled them is on disk.
        connection.execute("SET synchronous_commit = on")
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("VACUUM (ANALYZE)")
    _administer(admin, "ALTER DATABASE {} RENAME TO {}", draft, seeded)
    # A database that somebody is connected to can't be copied.
    _administer(admin, "ALTER DATABASE {} ALLOW_CONNECTIONS false", seeded)


def _databases(admin: psycopg.Connection[Any]) -> list[str]:
    """Return the seeded databases of a server, drafts included."""
    rows = admin.execute("SELECT datname FROM pg_database ORDER BY datname").fetchall()
    return [name for (name,) in rows if name.startswith(DATABASE_PREFIX)]


def _administer(admin: psycopg.Connection[Any], statement: LiteralString, *names: str) -> None:
    admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _everywhere(backend: str) -> dict[str, Any]:
    return dict.fromkeys({HOMES[subsystem][0] for subsystem in SUBSYSTEMS}, backend)


def _files() -> set[str]:
    return {HOMES[subsystem][1] for subsystem in SUBSYSTEMS}


def _migrate(settings: dict[str, Any]) -> None:
    async def run() -> None:
        async with Database(**settings):
            pass

    asyncio.run(run())


def _sha256_hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _numbered(text: str, scale: int) -> tuple[bytes, list[int]]:
    """Return a statement with ``$1`` in the place of ``:scale``, and its arguments."""
    code, found = re.subn(r"(?<!:):scale\b", "$1", re.sub(r"^ *--.*", "", text, flags=re.MULTILINE))
    return code.encode(), [scale] if found else []


def _seed(dialect: Dialect, scale: int, run: Callable[[str], object]) -> None:
    """Run all statements of a dialect's files, with a bar on stderr when that takes a while."""
    statements = [
        (path, line, statement)
        for path in sorted((SEEDS / dialect).glob("*.sql"))
        for line, statement in numbered_statements(path.read_text(encoding="utf-8"))
    ]
    with Progress(
        TextColumn(f"Seeding {dialect}, {scale:,} runs"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=scale * ROWS_PER_RUN <= WORTH_A_BAR,
    ) as progress:
        bar = progress.add_task("", total=len(statements))
        for path, line, statement in statements:
            table = re.search(r"^(?:INSERT INTO|[A-Z ]+) (\w+)", statement, re.MULTILINE)
            progress.update(bar, description=table[1] if table else path.stem)
            try:
                run(statement)
            except (sqlite3.Error, psycopg.Error) as error:
                error.add_note(f"{path}:{line}")
                raise
            progress.advance(bar)
