"""Group commit: writes that wait for SQLite's one writer share a transaction, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.engines.test_sqlite_engine import HOLD, create

from orcheo_sql import (
    Database,
    DatabaseBusyError,
    DatabaseClosedError,
    QueryTiming,
    StatementTimeoutError,
    StoreError,
    Subsystem,
    WorkflowHandleConflictError,
)
from orcheo_sql.engines.sqlite_group import MOST_TOGETHER, Write

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from orcheo_sql.engines.sqlite_connection import Connection

MANY = 100


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(database_path=tmp_path / "orcheo.sqlite") as database:
        yield database


def writer_of(db: Database) -> Connection:
    engine: Any = db.engine(Subsystem.WORKFLOWS)
    connection: Connection = engine._all[0]
    return connection


async def commits_of(db: Database) -> list[str]:
    """Return a list that each COMMIT of the writer is added to."""
    seen: list[str] = []
    await writer_of(db).submit(
        lambda raw: raw.set_trace_callback(lambda s: seen.append(s) if s == "COMMIT" else None)
    )
    return seen


def overridden(folder: Path, namespace: str, text: str) -> Path:
    """Write an override folder with one query."""
    place = folder / "mine" / "sqlite" / "queries" / namespace
    place.mkdir(parents=True)
    (place / "mine.sql").write_text(text)
    return folder / "mine"


async def names(db: Database) -> set[str]:
    return {w.name for w in await db.workflows.list_workflows()}


async def test_writes_that_wait_are_committed_together(db: Database) -> None:
    commits = await commits_of(db)
    made = await asyncio.gather(*(create(db, f"w{n}") for n in range(MANY)))
    assert await names(db) == {f"w{n}" for n in range(MANY)}
    assert [w.name for w in made] == [f"w{n}" for n in range(MANY)]
    assert len(commits) < MANY / 10


async def test_a_transaction_takes_only_so_many(db: Database) -> None:
    commits = await commits_of(db)
    await asyncio.gather(*(create(db, f"w{n}") for n in range(MOST_TOGETHER + 2)))
    assert len(commits) == 3


async def test_each_sees_what_was_written_before_it(db: Database) -> None:
    """In the order of the calls, although all of them are under way at once."""
    workflow = await create(db)
    version = await db.workflows.create_version(
        workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
    )
    run = await db.workflows.create_run(
        workflow.id, workflow_version_id=version.id, triggered_by="manual", input_payload={}
    )
    await db.history.start_run(workflow_id=str(workflow.id), execution_id="e")
    calls: list[Any] = [
        create(db, "keeps the writer busy"),
        db.workflows.mark_run_started(run.id, actor="ada"),
        db.workflows.mark_run_succeeded(run.id, actor="ada", output={"a": 1}),
        *(db.history.append_step("e", {"n": n}) for n in range(30)),
    ]
    _, started, done, *steps = await asyncio.gather(*calls)
    assert (started.status, done.status) == ("running", "succeeded")
    assert [(s.index, s.payload) for s in steps] == [(n, {"n": n}) for n in range(30)]


async def test_one_that_fails_fails_alone(db: Database) -> None:
    async def with_handle(n: int) -> str:
        made = await db.workflows.create_workflow(
            name=f"w{n}", slug=None, description=None, tags=None, draft_access="personal",
            actor="ada", handle="taken" if n % 4 == 0 else f"free-{n}",
        )  # fmt: skip
        return made.name

    outcomes = await asyncio.gather(*(with_handle(n) for n in range(40)), return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, BaseException)]
    assert len(refused) == 9
    assert all(isinstance(o, WorkflowHandleConflictError) for o in refused)
    assert await names(db) == {"w0", *(f"w{n}" for n in range(40) if n % 4)}


async def test_a_full_disk_hits_who_needs_the_room(db: Database) -> None:
    """SQLite undoes the whole transaction for it."""
    workflow = await create(db)
    version = await db.workflows.create_version(
        workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
    )

    def limit(raw: sqlite3.Connection) -> None:
        [pages] = raw.execute("PRAGMA page_count").fetchone()
        raw.execute(f"PRAGMA max_page_count = {pages + 200}")

    await writer_of(db).submit(limit)

    async def run(text: str) -> Any:
        return await db.workflows.create_run(
            workflow.id, workflow_version_id=version.id, triggered_by="m", input_payload={"t": text}
        )

    outcomes = await asyncio.gather(
        *(run("x" * 4_000_000 if n == 5 else "small") for n in range(20)), return_exceptions=True
    )
    assert isinstance(outcomes[5], StoreError)
    assert "no space is left" in str(outcomes[5])
    assert sum(isinstance(o, BaseException) for o in outcomes) == 1
    assert (await db.workflows.count_runs_by_status()).total == 19


async def test_a_broken_rule_at_the_commit_hits_who_broke_it(tmp_path: Path) -> None:
    """The rule is checked when the transaction ends, in which there are others."""
    text = (
        "-- name: mark_best_checkpoint(id)^\n-- Break it.\n-- Returns: AgentensorCheckpoint\n"
        "UPDATE agentensor_workflows SET best_version = 999 WHERE :id IS NOT NULL;\n\n"
        "SELECT c.id, c.workflow_id, c.config_version, c.runnable_config, c.metrics, c.metadata,\n"
        "    c.artifact_url, c.created_at, 1 AS is_best\nFROM agentensor_checkpoints AS c WHERE c.id = :id;\n"
    )
    async with Database(
        database_path=tmp_path / "o.sqlite",
        sql_override_dir=overridden(tmp_path, "agentensor", text),
    ) as db:
        found = await db.agentensor.record_checkpoint(
            workflow_id="w", runnable_config={}, metrics={}
        )
        outcomes = await asyncio.gather(
            *(create(db, f"w{n}") for n in range(10)),
            db.agentensor.mark_best_checkpoint(found.id),
            *(create(db, f"w{n}") for n in range(10, 20)),
            return_exceptions=True,
        )
        assert [n for n, o in enumerate(outcomes) if isinstance(o, BaseException)] == [10]
        assert await names(db) == {f"w{n}" for n in range(20)}


async def test_a_slow_one_is_ended_alone(tmp_path: Path) -> None:
    text = (
        "-- name: delete_histories()!\n-- Take long.\n"
        "DELETE FROM run_history WHERE (\n    WITH RECURSIVE n (i) AS (\n"
        "        SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000\n    )\n"
        "    SELECT max(i) FROM n\n) > 0;\n"
    )
    async with Database(
        database_path=tmp_path / "o.sqlite",
        statement_timeout_seconds=0.3,
        sql_override_dir=overridden(tmp_path, "history", text),
    ) as db:
        await db.history.start_run(workflow_id="w", execution_id="e")
        outcomes = await asyncio.gather(
            *(create(db, f"w{n}") for n in range(10)),
            db.history.clear(),
            *(create(db, f"w{n}") for n in range(10, 20)),
            return_exceptions=True,
        )
        [at] = [n for n, o in enumerate(outcomes) if isinstance(o, BaseException)]
        assert at == 10
        assert isinstance(outcomes[at], StatementTimeoutError)
        assert await names(db) == {f"w{n}" for n in range(20)}
        assert await db.history.get_history("e")


async def test_those_who_gave_up_leave_nothing_behind(db: Database, tmp_path: Path) -> None:
    """Their writes wait for another process, and have not begun."""
    holder = hold(tmp_path / "orcheo.sqlite")
    tasks = [asyncio.create_task(create(db, f"w{n}")) for n in range(MANY)]
    await asyncio.sleep(0.3)
    for task in tasks[1::2]:
        task.cancel()
    given_up = await asyncio.gather(*tasks[1::2], return_exceptions=True)
    assert all(isinstance(o, asyncio.CancelledError) for o in given_up)
    release(holder)
    await asyncio.gather(*tasks[::2])
    assert await names(db) == {f"w{n}" for n in range(0, MANY, 2)}


async def test_when_all_gave_up_the_next_is_served(db: Database, tmp_path: Path) -> None:
    holder = hold(tmp_path / "orcheo.sqlite")
    tasks = [asyncio.create_task(create(db, f"w{n}")) for n in range(10)]
    await asyncio.sleep(0.3)
    for task in tasks:
        task.cancel()
    assert all(await asyncio.gather(*(gone(task) for task in tasks)))
    release(holder)
    assert await create(db, "next")
    assert await names(db) == {"next"}


async def test_cancelling_in_the_middle_breaks_nothing(db: Database) -> None:
    for round_ in range(10):
        tasks = [asyncio.create_task(create(db, f"{round_}/{n}")) for n in range(MANY)]
        await asyncio.sleep(0.002 * round_)
        for task in tasks[::3]:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        kept = {o.name for o in outcomes if not isinstance(o, BaseException)}
        assert all(
            isinstance(o, asyncio.CancelledError) for o in outcomes if isinstance(o, BaseException)
        )
        assert {f"{round_}/{n}" for n in range(MANY) if n % 3} <= kept
        assert kept <= await names(db)
        # Whoever was cancelled has been waited for: nothing of it is written later.
        before = await names(db)
        await create(db, f"{round_}/after")
        assert await names(db) == before | {f"{round_}/after"}


async def test_a_unit_of_work_gets_its_turn(db: Database) -> None:
    """However many single writes keep coming."""
    stop = asyncio.Event()

    async def keep_writing(n: int) -> None:
        number = 0
        while not stop.is_set():
            await create(db, f"{n}/{number}")
            number += 1

    writers = [asyncio.create_task(keep_writing(n)) for n in range(50)]
    await asyncio.sleep(0.1)
    for n in range(5):
        async with asyncio.timeout(20), db.transaction() as unit:
            await create(unit, f"unit {n}")
            assert f"unit {n}" not in await names(db)
    stop.set()
    await asyncio.gather(*writers)
    assert {f"unit {n}" for n in range(5)} <= await names(db)


async def test_a_lock_that_is_kept_ends_the_wait_of_all(tmp_path: Path) -> None:
    path = tmp_path / "orcheo.sqlite"
    async with Database(database_path=path, sqlite_busy_timeout_seconds=0.5) as db:
        await create(db, "first")
        holder = hold(path)
        outcomes = await asyncio.gather(
            *(create(db, f"w{n}") for n in range(30)), return_exceptions=True
        )
        assert all(isinstance(o, DatabaseBusyError) for o in outcomes)
        release(holder)
        await create(db, "next")
        assert await names(db) == {"first", "next"}


async def test_closing_answers_everybody(tmp_path: Path) -> None:
    path = tmp_path / "orcheo.sqlite"
    db = await Database(database_path=path).open()
    tasks = [asyncio.create_task(create(db, f"w{n}")) for n in range(MANY * 5)]
    await asyncio.sleep(0.02)
    await db.close()
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [o for o in outcomes if isinstance(o, BaseException)]
    assert all(isinstance(o, DatabaseClosedError) for o in refused)
    with closing(sqlite3.connect(path)) as raw:
        [count] = raw.execute("SELECT count(*) FROM workflows").fetchone()
    assert count == len(outcomes) - len(refused)


async def test_a_result_is_told_when_it_is_on_disk(db: Database, tmp_path: Path) -> None:
    """Whoever hears of a write finds it, through another connection too."""
    with closing(sqlite3.connect(tmp_path / "orcheo.sqlite")) as other:

        async def write(n: int) -> bool:
            made = await create(db, f"w{n}")
            found = other.execute("SELECT 1 FROM workflows WHERE name = ?", [made.name])
            return found.fetchone() is not None

        assert all(await asyncio.gather(*(write(n) for n in range(MANY))))


async def test_observers_hear_of_each(tmp_path: Path) -> None:
    heard: list[QueryTiming] = []
    async with Database(database_path=tmp_path / "o.sqlite", observer=heard.append) as db:
        heard.clear()
        await asyncio.gather(*(create(db, f"w{n}") for n in range(20)))
    mine = [timing for timing in heard if timing.query == "workflows.insert_workflow"]
    assert len(mine) == 20
    assert all(0 <= timing.waited <= timing.seconds for timing in mine)
    assert max(timing.waited for timing in mine) > 0


def hold(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def release(holder: subprocess.Popen[str]) -> None:
    holder.communicate("go\n", timeout=30)


async def gone(task: asyncio.Task[Any]) -> bool:
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def test_each_waits_as_long_as_it_may(tmp_path: Path) -> None:
    """Those who come later are not sent away with those who came first."""
    async with Database(
        database_path=tmp_path / "orcheo.sqlite", sqlite_busy_timeout_seconds=3.0
    ) as db:

        async def write(name: str, delay: float) -> str:
            await asyncio.sleep(delay)
            try:
                await create(db, name)
            except DatabaseBusyError:
                return "refused"
            return "written"

        async def hold(seconds: float) -> None:
            async with db.transaction() as unit:
                await create(unit, "unit")
                await asyncio.sleep(seconds)

        holder = asyncio.create_task(hold(4.0))
        await asyncio.sleep(0.1)
        assert [*await asyncio.gather(write("early", 0.0), write("late", 2.0))] == [
            "refused",
            "written",
        ]
        await holder
        assert await names(db) == {"unit", "late"}


FAREWELL = """
import asyncio, sys
from orcheo_sql import Database

async def create(db, name):
    await db.workflows.create_workflow(
        name=name, slug=None, description=None, tags=None, draft_access="personal", actor="ada"
    )

async def write(db, n):
    try:
        while True:
            await create(db, "busy")
    finally:
        await create(db, f"farewell {n}")
        print("said")

async def main():
    db = await Database(database_path=sys.argv[1]).open()
    tasks = [asyncio.create_task(write(db, n)) for n in range(20)]
    await asyncio.sleep(0.05)

asyncio.run(main())
"""


def test_a_program_that_ends_can_still_write(tmp_path: Path) -> None:
    """When all tasks are cancelled, no task that others depend on may be among them."""
    done = subprocess.run(
        [sys.executable, "-c", FAREWELL, str(tmp_path / "o.sqlite")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.count("said") == 20, done.stderr


async def test_cancelling_everything_stops_nobody_who_comes_later(db: Database) -> None:
    for pauses in range(4):
        tasks = [asyncio.create_task(create(db, f"{pauses} {n}")) for n in range(5)]
        for _ in range(pauses):
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with asyncio.timeout(10):
            await asyncio.gather(*(create(db, f"after {pauses} {n}") for n in range(5)))
    assert {f"after {p} {n}" for p in range(4) for n in range(5)} <= await names(db)


SLOW = (
    "-- name: delete_histories()!\n-- Take long.\nDELETE FROM run_history WHERE (\n"
    "    WITH RECURSIVE n (i) AS (\n        SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}\n    )\n"
    "    SELECT max(i) FROM n\n) > 0;\n"
)


async def test_closing_ends_what_has_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orcheo_sql.engines.sqlite.CLOSE_SECONDS", 0.2)
    db = await Database(
        database_path=tmp_path / "o.sqlite",
        sql_override_dir=overridden(tmp_path, "history", SLOW.format(rows=2_000_000_000)),
    ).open()
    await db.history.start_run(workflow_id="w", execution_id="e")
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(db.history.clear()) for _ in range(5)]
    tasks += [asyncio.create_task(create(db, f"w{n}")) for n in range(5)]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(20):
        await db.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(o, StoreError | DatabaseClosedError) for o in outcomes)


async def test_innocents_wait_for_other_processes_as_ever(tmp_path: Path) -> None:
    """Also after one in their group was ended for taking too long."""
    async with Database(
        database_path=tmp_path / "o.sqlite",
        statement_timeout_seconds=0.3,
        sql_override_dir=overridden(tmp_path, "history", SLOW.format(rows=1_000_000_000)),
    ) as db:
        await db.history.start_run(workflow_id="w", execution_id="e")
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(create(db, "w0"))]
        tasks.append(asyncio.create_task(db.history.clear()))
        tasks += [asyncio.create_task(create(db, f"w{n}")) for n in range(1, 10)]
        await asyncio.sleep(0.2)
        holder = await asyncio.to_thread(hold, tmp_path / "o.sqlite")
        await asyncio.sleep(0.5)
        release(holder)
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(o) for o in outcomes if isinstance(o, BaseException)] == [
            StatementTimeoutError
        ]
        assert await names(db) == {f"w{n}" for n in range(10)}


async def test_a_text_that_can_not_be_read_is_nobody_elses_trouble(db: Database) -> None:
    broken = await create(db, "broken")
    await writer_of(db).submit(
        lambda raw: raw.execute(
            "UPDATE workflows SET description = CAST(X'ff' AS TEXT) WHERE id = ?", [str(broken.id)]
        )
    )
    outcomes = await asyncio.gather(
        *(create(db, f"w{n}") for n in range(5)),
        db.workflows.publish_workflow(broken.id, require_login=True, actor="ada"),
        *(create(db, f"w{n}") for n in range(5, 10)),
        return_exceptions=True,
    )
    assert [n for n, o in enumerate(outcomes) if isinstance(o, BaseException)] == [5]
    # While the error is alive, and with it all that it refers to:
    assert await create(db, "next")
    with closing(sqlite3.connect(str(db.settings.database_path))) as raw:
        [(published,)] = raw.execute("SELECT is_public FROM workflows WHERE name = 'broken'")
    assert not published, "its caller was told that it failed"


async def test_what_was_written_together_is_not_kept_in_memory(db: Database) -> None:
    version = await db.workflows.create_version(
        (await create(db)).id, graph={}, metadata={}, notes=None, created_by="ada"
    )
    await asyncio.gather(
        *(
            db.workflows.create_run(
                version.workflow_id,
                workflow_version_id=version.id,
                triggered_by="m",
                input_payload={"text": "x" * 100_000},
            )
            for _ in range(50)
        )
    )
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Write)]
