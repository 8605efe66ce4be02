"""Trees of migrations to break, and a look at what a database holds."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import psycopg

from orcheo_sql import Subsystem, load_settings
from orcheo_sql._catalog import sql_root
from orcheo_sql._database import make_engine
from orcheo_sql._migrate import Migrator
from orcheo_sql.engines.base import Observation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

Contents = dict[str, list[tuple[Any, ...]]]


@asynccontextmanager
async def migrator(
    settings: dict[str, Any], root: Path | None = None, *, look_only: bool = False
) -> AsyncIterator[Migrator]:
    """Open an engine without touching its schema, and yield what migrates it."""
    loaded = load_settings(**settings)
    location = loaded.location(Subsystem.WORKFLOWS)
    engine = make_engine(loaded, location, Observation(float("inf")), look_only=look_only)
    await engine.open()
    try:
        yield Migrator(engine, root=root)
    finally:
        await engine.close()


def copy_of_tree(folder: Path) -> Path:
    """Copy the migrations of both dialects."""
    for dialect in ("sqlite", "postgres"):
        shutil.copytree(sql_root() / dialect / "migrations", folder / dialect / "migrations")
    return folder


def number_of_migrations() -> int:
    return len(list((sql_root() / "sqlite" / "migrations").glob("*.sql")))


def add_migration(root: Path, dialect: str, name: str, sql: str) -> Path:
    folder = root / dialect / "migrations"
    path = folder / f"{len(list(folder.glob('*.sql'))) + 1:04d}_{name}.sql"
    path.write_text(sql, encoding="utf-8")
    return path


def contents(settings: dict[str, Any]) -> Contents:
    """Return every table with its rows; a file that is not there has none."""
    if "database_path" in settings:
        path: Path = settings["database_path"]
        if not path.exists():
            return {}
        with closing(sqlite3.connect(path)) as raw:
            sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '%search_index%'"
            names = [name for (name,) in raw.execute(sql)]
            return {name: raw.execute(f"SELECT * FROM {name}").fetchall() for name in names}
    with psycopg.connect(settings["postgres_dsn"]) as connection:
        sql = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        names = [name for (name,) in connection.execute(sql)]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


def fingerprints(folder: Path) -> dict[str, str]:
    """Return a digest of each file: also of what SQLite may leave beside its own."""
    return {
        p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.is_file()
    }


def execute(settings: dict[str, Any], script: str) -> None:
    if "database_path" in settings:
        with closing(sqlite3.connect(settings["database_path"])) as raw:
            raw.executescript(script)
    else:
        with psycopg.connect(settings["postgres_dsn"], autocommit=True) as connection:
            connection.execute(script)
