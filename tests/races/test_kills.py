"""Processes killed with SIGKILL in the middle of their writes: what was committed stays, nothing is half there."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
from tests.races.jobs import new_workflow

from orcheo_sql import Database

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess
    from uuid import UUID

PARTS = 3
WRITERS = 4
ROUNDS = 3


def write_forever(
    settings: dict[str, Any], name: str, workflow: UUID, version: UUID, pipe: Connection
) -> None:
    """Write units of several runs, and say which are committed."""

    async def run() -> None:
        async with Database(**settings) as db:
            for number in range(1_000_000):
                trigger = f"{name}/{number}"
                async with db.transaction() as unit:
                    for _ in range(PARTS):
                        made = await unit.workflows.create_run(
                            workflow, workflow_version_id=version, triggered_by=trigger,
                            input_payload={"text": "alpha " * 200},
                        )  # fmt: skip
                        await unit.workflows.mark_run_started(made.id, actor=name)
                pipe.send(trigger)

    asyncio.run(run())


class Writer:
    """A process that writes until it is killed."""

    def __init__(self, settings: dict[str, Any], name: str, workflow: UUID, version: UUID):
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe(duplex=False)
        self.process: SpawnProcess = context.Process(
            target=write_forever, args=(settings, name, workflow, version, theirs), daemon=True
        )
        self.process.start()
        theirs.close()
        self.told: list[str] = []

    def hear(self, commits: int) -> None:
        """Wait until it has said so often that it committed something."""
        for _ in range(commits):
            assert self._pipe.poll(60), "the writer says nothing"
            self.told.append(self._pipe.recv())

    def kill(self) -> None:
        assert self.process.is_alive(), "the writer failed by itself"
        self.process.kill()
        self.process.join()
        try:
            while True:
                self.told.append(self._pipe.recv())
        except EOFError:
            self._pipe.close()
        self.process.close()


def check_sqlite(settings: dict[str, Any]) -> None:
    with closing(sqlite3.connect(settings["database_path"], isolation_level=None)) as raw:
        assert raw.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert raw.execute("PRAGMA foreign_key_check").fetchall() == []
        for index in ("workflow_search_index", "workflow_run_search_index"):
            raw.execute(f"INSERT INTO {index} ({index}, rank) VALUES ('integrity-check', 1)")


def count_companions(settings: dict[str, Any]) -> set[int]:
    """Return how many rows each table has that has one for every run."""
    tables = ("workflow_runs", "workflow_run_inputs", "workflow_run_search")
    sql = " UNION ALL ".join(f"SELECT count(*) FROM {table}" for table in tables)
    if "database_path" in settings:
        with closing(sqlite3.connect(settings["database_path"])) as raw:
            return {n for (n,) in raw.execute(sql)}
    with psycopg.connect(settings["postgres_dsn"]) as connection:
        return {n for (n,) in connection.execute(sql)}


async def test_what_was_committed_survives(settings_of: dict[str, Any]) -> None:
    chance = random.Random(7)
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db, "w")
        version = await db.workflows.create_version(
            workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
        )
        writers = [Writer(settings_of, f"{n}", workflow.id, version.id) for n in range(WRITERS)]
        told: list[str] = []
        for writer in writers:
            # Those that are left go on, and so does this process.
            writer.hear(5)
            await new_workflow(db, "beside")
            time.sleep(chance.random() / 50)
            writer.kill()
            told += writer.told
            await new_workflow(db, "afterwards")
        runs = []
        cursor: str | None = ""
        while cursor is not None:
            page = await db.workflows.page_runs(limit=1000, cursor=cursor or None)
            runs += page.items
            cursor = page.next_cursor
        stored = Counter(run.triggered_by for run in runs)
        assert set(told) <= set(stored), "a committed unit is missing"
        assert len(set(stored) - set(told)) <= WRITERS, "a unit was kept that was not the last"
        assert set(stored.values()) == {PARTS}, "half of a unit was kept"
        assert all(run.status == "running" for run in runs)
        assert len(await db.workflows.list_workflows()) == 1 + 2 * WRITERS
        assert len(count_companions(settings_of)) == 1, "a run lacks its input or its search row"
    if "database_path" in settings_of:
        check_sqlite(settings_of)


async def test_a_dead_writer_locks_nobody_out(settings_of: dict[str, Any]) -> None:
    """One after the other is killed while it holds the lock; the next has it at once."""
    async with Database(**settings_of) as db:
        workflow = await new_workflow(db, "w")
        version = await db.workflows.create_version(
            workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
        )
        for number in range(ROUNDS):
            writer = Writer(settings_of, f"{number}", workflow.id, version.id)
            writer.hear(1)
            writer.kill()
            begun = time.monotonic()
            await new_workflow(db, "next")
            assert time.monotonic() - begun < 5
