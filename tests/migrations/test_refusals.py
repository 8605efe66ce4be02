"""Databases that are not to be touched: pending, edited, newer, or the older product's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.migrations.support import (
    add_migration,
    contents,
    copy_of_tree,
    execute,
    fingerprints,
    migrator,
    number_of_migrations,
)
from tests.races.jobs import new_workflow

from orcheo_sql import (
    ChecksumMismatchError,
    ConfigError,
    Database,
    ForeignSchemaError,
    NewerSchemaError,
    PendingMigrationsError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from orcheo_sql._migrate import Migrator

LEGACY = Path(__file__).parents[3] / "shared" / "data" / "legacy"
LATEST = number_of_migrations()

# As the older product makes them, shortened.
OLDER = {
    "sqlite": """
CREATE TABLE workflows (id TEXT PRIMARY KEY, handle TEXT, is_archived INTEGER NOT NULL DEFAULT 0,
    payload TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE workflow_runs (id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, status TEXT NOT NULL,
    payload TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE INDEX idx_workflows_handle ON workflows(handle);
INSERT INTO workflows VALUES ('5', NULL, 0, '{}', '2026-01-02', '2026-01-02');
""",
    "postgres": """
CREATE TABLE workflows (id TEXT PRIMARY KEY, handle TEXT, is_archived BOOLEAN NOT NULL DEFAULT FALSE,
    payload JSONB NOT NULL, created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL);
CREATE TABLE workflow_runs (id TEXT PRIMARY KEY, workflow_id TEXT NOT NULL, status TEXT NOT NULL,
    payload JSONB NOT NULL, created_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL);
INSERT INTO workflows VALUES ('5', NULL, FALSE, '{}', '2026-01-02', '2026-01-02');
""",
}

WAYS: dict[str, Callable[[Migrator], Awaitable[Any]]] = {
    "up": lambda migrations: migrations.up(),
    "verify": lambda migrations: migrations.verify(),
    "status": lambda migrations: migrations.status(),
}


async def open_it(settings: dict[str, Any]) -> None:
    async with Database(**settings):
        pass


@pytest.mark.parametrize("way", WAYS)
async def test_an_edited_migration(
    way: str, settings_of: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    before = contents(settings_of)
    root = copy_of_tree(tmp_path / "edited")
    [path] = (root / dialect / "migrations").glob("0001_*.sql")
    path.write_text(path.read_text() + "\n-- one more line\n")
    async with migrator(settings_of, root) as migrations:
        with pytest.raises(ChecksumMismatchError) as caught:
            await WAYS[way](migrations)
    assert str(caught.value).startswith(f"{path}: migration 0001_")
    assert "new migration" in str(caught.value)
    assert contents(settings_of) == before


async def test_other_line_ends_are_no_edit(
    settings_of: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    root = copy_of_tree(tmp_path / "checked-out-elsewhere")
    for path in (root / dialect / "migrations").glob("*.sql"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    async with migrator(settings_of, root) as migrations:
        assert await migrations.verify() == LATEST


@pytest.mark.parametrize("auto_migrate", [True, False])
async def test_a_newer_database(
    auto_migrate: bool, empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    newer = copy_of_tree(tmp_path / "newer")
    add_migration(newer, dialect, "from_tomorrow", "CREATE TABLE tomorrow (id INTEGER NOT NULL);")
    async with migrator(empty_settings, newer) as migrations:
        await migrations.up()
    before = contents(empty_settings)
    with pytest.raises(NewerSchemaError, match=r"from_tomorrow.*pip install --upgrade orcheo-sql"):
        await open_it({**empty_settings, "auto_migrate": auto_migrate})
    assert contents(empty_settings) == before


@pytest.mark.parametrize("auto_migrate", [True, False])
async def test_a_database_of_the_older_product(
    auto_migrate: bool, empty_settings: dict[str, Any], dialect: str
) -> None:
    execute(empty_settings, OLDER[dialect])
    before = contents(empty_settings)
    expected = "workflow_runs, workflows are in the layout.*ORCHEO_DATABASE_PATH"
    with pytest.raises(ForeignSchemaError, match=expected):
        await open_it({**empty_settings, "auto_migrate": auto_migrate})
    assert contents(empty_settings) == before
    assert sorted(before) == ["workflow_runs", "workflows"]


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
async def test_a_file_of_the_older_product_stays_as_it_is(journal: str, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    folder.mkdir()
    settings = {"database_path": folder / "workflows.sqlite"}
    execute(settings, f"PRAGMA journal_mode = {journal};{OLDER['sqlite']}")
    before = fingerprints(folder)
    for auto_migrate in (True, False):
        with pytest.raises(ForeignSchemaError):
            await open_it({**settings, "auto_migrate": auto_migrate})
        assert fingerprints(folder) == before
    for way in WAYS.values():
        for look_only in (True, False):
            async with migrator(settings, look_only=look_only) as migrations:
                with pytest.raises(ForeignSchemaError):
                    await way(migrations)
            assert fingerprints(folder) == before


@pytest.mark.skipif(not LEGACY.is_dir(), reason="the files of the older product are not here")
@pytest.mark.parametrize("name", ["workflows", "chatkit", "service_tokens", "vault"])
async def test_real_files_of_the_older_product_stay_as_they_are(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    folder.mkdir()
    shutil.copyfile(LEGACY / f"{name}.sqlite", folder / f"{name}.sqlite")
    before = fingerprints(folder)
    with pytest.raises(ForeignSchemaError, match="ORCHEO_DATABASE_PATH"):
        await open_it({"database_path": folder / f"{name}.sqlite"})
    assert fingerprints(folder) == before


async def test_without_auto_migrate_a_pending_schema_is_refused(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    careful = {**empty_settings, "auto_migrate": False}
    with pytest.raises(PendingMigrationsError, match=r"orcheo-sql migrate up"):
        await open_it(careful)
    assert contents(empty_settings) == {}
    if dialect == "sqlite":
        assert not empty_settings["database_path"].exists()

    await open_it(empty_settings)
    async with Database(**careful) as db:
        await new_workflow(db, "w")

    more = copy_of_tree(tmp_path / "more")
    add_migration(more, dialect, "and_more", "CREATE TABLE more (id INTEGER NOT NULL);")
    async with migrator(empty_settings, more) as migrations:
        with pytest.raises(PendingMigrationsError, match=f"1 migration.*next {LATEST + 1:04d}_"):
            await migrations.verify()
    assert "more" not in contents(empty_settings)


async def test_looking_writes_nothing(
    empty_settings: dict[str, Any], dialect: str, tmp_path: Path
) -> None:
    if dialect == "sqlite":
        execute(empty_settings, "PRAGMA user_version = 0")
    folder = tmp_path if dialect == "sqlite" else None
    before = folder and fingerprints(folder)
    async with migrator(empty_settings, look_only=True) as migrations:
        states = await migrations.status()
        assert [state.applied_at for state in states] == [None] * LATEST
        with pytest.raises(PendingMigrationsError):
            await migrations.verify()
    assert contents(empty_settings) == {}
    assert (folder and fingerprints(folder)) == before

    await open_it(empty_settings)
    with_schema = contents(empty_settings)
    before = folder and fingerprints(folder)
    async with migrator(empty_settings, look_only=True) as migrations:
        assert await migrations.verify() == LATEST
        assert all(state.applied_at for state in await migrations.status())
    assert contents(empty_settings) == with_schema
    assert (folder and fingerprints(folder)) == before


async def test_looking_creates_no_file(tmp_path: Path) -> None:
    absent = tmp_path / "absent" / "orcheo.sqlite"
    with pytest.raises(ConfigError, match="can't open the database"):
        async with migrator({"database_path": absent}, look_only=True):
            pass
    assert not absent.parent.exists()
