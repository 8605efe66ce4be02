"""The SQLite engine: what every connection is set to, what runs in one hop, who waits for whom."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orcheo_sql import Database, DatabaseBusyError, Subsystem
from orcheo_sql.engines.sqlite_connection import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from orcheo_sql import Workflow


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
"""
"""Another process that keeps the file's write lock until it is told to let go."""


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(database_path=tmp_path / "orcheo.sqlite", sqlite_readers=3) as database:
        yield database


@pytest.fixture
def hops(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every trip to a connection's thread, by the function that it runs."""
    taken: list[str] = []
    submit = Connection.submit

    def counted(self: Connection, function: Any, *args: Any) -> Any:
        taken.append(getattr(function, "__name__", "?"))
        return submit(self, function, *args)

    monkeypatch.setattr(Connection, "submit", counted)
    return taken


async def create(db: Any, name: str = "Flow") -> Workflow:
    workflow: Workflow = await db.workflows.create_workflow(
        name=name, slug=None, description=None, tags=None, draft_access="personal", actor="ada"
    )
    return workflow


async def test_every_connection_has_its_settings(db: Database) -> None:
    workflow = await create(db)
    await asyncio.gather(*(db.workflows.get_workflow(workflow.id) for _ in range(50)))
    engine: Any = db.engine(Subsystem.WORKFLOWS)
    assert len(engine._all) == 4, "one writes, three read"
    for connection in engine._all:
        for pragma, value in (
            ("journal_mode", "wal"),
            ("foreign_keys", 1),
            ("synchronous", 2),
        ):
            statement = f"PRAGMA {pragma}"
            row = await connection.submit(lambda raw, s=statement: raw.execute(s).fetchone())
            assert row == (value,), pragma


async def test_readers_cannot_write(db: Database) -> None:
    await create(db)
    await db.workflows.list_workflows()
    engine: Any = db.engine(Subsystem.WORKFLOWS)
    reader = engine._reading.free[0]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        await reader.submit(lambda raw: raw.execute("DELETE FROM workflows"))


async def test_a_query_is_one_hop_whatever_it_consists_of(db: Database, hops: list[str]) -> None:
    workflow = await create(db)
    await db.workflows.list_workflows()  # the reader is open now
    for work in (
        create(db),  # two statements
        db.workflows.create_version(
            workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
        ),  # three
        db.workflows.get_workflow(workflow.id),
        db.workflows.list_workflows(),
    ):
        hops.clear()
        await work
        assert len(hops) == 1, hops


async def test_a_unit_of_work_takes_one_hop_more_than_it_has_queries(
    db: Database, hops: list[str]
) -> None:
    await create(db)
    hops.clear()
    async with db.transaction() as unit:
        first = await create(unit)
        async with unit.transaction():
            await create(unit)
        await unit.workflows.get_workflow(first.id)
    assert len(hops) == 4, hops
    hops.clear()
    async with db.transaction():
        pass
    assert hops == []


async def test_readers_never_wait_for_a_writer(db: Database) -> None:
    workflow = await create(db)
    async with db.transaction() as unit:
        await create(unit, "not yet seen")
        async with asyncio.timeout(5):
            found = await asyncio.gather(
                *(db.workflows.get_workflow(workflow.id) for _ in range(100))
            )
            assert {w.id for w in found} == {workflow.id}
            assert len(await db.workflows.list_workflows()) == 1
    assert len(await db.workflows.list_workflows()) == 2


async def test_writers_of_one_process_take_turns_in_the_order_they_came(db: Database) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with db.transaction() as unit:
            await create(unit, "first")
            begun.set()
            await over.wait()

    waiting: list[asyncio.Task[Any]] = [asyncio.create_task(hold())]
    await begun.wait()
    for n in range(20):
        waiting.append(asyncio.create_task(create(db, f"{n:02}")))
        await asyncio.sleep(0)
    over.set()
    await asyncio.gather(*waiting)
    names = [w.name for w in await db.workflows.list_workflows()]
    assert names == ["first", *(f"{n:02}" for n in range(20))]


async def test_a_writer_waits_for_another_process_and_then_says_so(tmp_path: Path) -> None:
    path = tmp_path / "orcheo.sqlite"
    async with Database(database_path=path, sqlite_busy_timeout_seconds=0.4) as db:
        workflow = await create(db)
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert await asyncio.to_thread(holder.stdout.readline) == "held\n"
        with pytest.raises(DatabaseBusyError, match=r"workflows\.insert_workflow"):
            await create(db)
        assert (await db.workflows.get_workflow(workflow.id)).id == workflow.id
        async with Database(database_path=path, sqlite_busy_timeout_seconds=30) as patient:
            writing = asyncio.create_task(create(patient, "patient"))
            await asyncio.sleep(0.2)
            assert not writing.done()
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert (await writing).name == "patient"
        holder.communicate(timeout=10)
        assert (await create(db, "afterwards")).name == "afterwards"


async def test_two_databases_in_memory_are_two(tmp_path: Path) -> None:
    async with (
        Database(repository_backend="inmemory") as one,
        Database(repository_backend="inmemory") as other,
    ):
        await asyncio.gather(*(create(one, f"{n}") for n in range(20)))
        assert len(await one.workflows.list_workflows()) == 20
        assert await other.workflows.list_workflows() == []
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]
