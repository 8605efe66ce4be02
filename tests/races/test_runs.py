"""Eight processes at one database: the life of runs, and many tasks beside them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from tests.races.crew import attempt
from tests.races.jobs import live_one_run, new_workflow

from orcheo_sql import Database, WorkflowRun, WorkflowRunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from tests.races.crew import Crew

LEGAL_PATHS = [
    ["run_created"],
    *(
        ["run_created", *started, *ended]
        for started in ([], ["run_started"])
        for ended in (["run_failed"], ["run_cancelled"])
    ),
    ["run_created", "run_started"],
    ["run_created", "run_started", "run_succeeded"],
]
STATUS_AFTER = {
    "run_created": WorkflowRunStatus.PENDING,
    "run_started": WorkflowRunStatus.RUNNING,
    "run_succeeded": WorkflowRunStatus.SUCCEEDED,
    "run_failed": WorkflowRunStatus.FAILED,
    "run_cancelled": WorkflowRunStatus.CANCELLED,
}


async def new_runs(db: Database, count: int) -> tuple[UUID, UUID, list[UUID]]:
    workflow = await new_workflow(db, "w")
    version = await db.workflows.create_version(
        workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
    )
    runs = [
        await db.workflows.create_run(
            workflow.id, workflow_version_id=version.id, triggered_by="manual", input_payload={}
        )
        for _ in range(count)
    ]
    return workflow.id, version.id, [run.id for run in runs]


def assert_consistent(run: WorkflowRun) -> None:
    path = [record.action for record in run.audit_log]
    assert path in LEGAL_PATHS
    assert run.status == STATUS_AFTER[path[-1]]
    assert (run.started_at is not None) == ("run_started" in path)
    assert (run.completed_at is not None) == run.status.is_terminal
    assert (run.output_payload is not None) == (run.status == "succeeded")
    # What an ending brings along is of the one that won.
    if run.status == "succeeded":
        assert run.output_payload == {"by": run.audit_log[-1].actor}
    elif run.status.is_terminal:
        assert run.error == run.audit_log[-1].actor


async def test_exactly_one_start_wins(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        _, _, runs = await new_runs(db, 25)
        results = crew.run(settings_of, "start_runs", runs)
        for run_id, outcomes in zip(runs, zip(*results, strict=True), strict=True):
            assert Counter(outcomes) == {"ok": 1, "RunTransitionError": 7}
            run = await db.workflows.get_run(run_id)
            assert [r.action for r in run.audit_log] == ["run_created", "run_started"]
            assert run.audit_log[1].actor == str(outcomes.index("ok"))


async def test_histories_are_legal_whoever_wins(settings_of: dict[str, Any], crew: Crew) -> None:
    async with Database(**settings_of) as db:
        _, _, runs = await new_runs(db, 25)
        accepted = crew.run(settings_of, "move_runs", runs)
        endings = set()
        for number, run_id in enumerate(runs):
            run = await db.workflows.get_run(run_id)
            assert_consistent(run)
            assert run.status.is_terminal
            told = Counter(action for member in accepted for action in member[number])
            assert told == Counter(record.action for record in run.audit_log[1:])
            endings.add(run.status)
        counts = await db.workflows.count_runs_by_status()
        assert counts.total == len(runs)


@contextmanager
def long_reader(settings: dict[str, Any]) -> Iterator[None]:
    """Keep a read transaction open, as a backup or a report does."""
    if "database_path" in settings:
        with closing(sqlite3.connect(settings["database_path"], isolation_level=None)) as raw:
            raw.execute("BEGIN")
            before = raw.execute("SELECT count(*) FROM workflow_runs").fetchone()
            yield
            assert raw.execute("SELECT count(*) FROM workflow_runs").fetchone() == before
        return
    with psycopg.connect(settings["postgres_dsn"]) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        before = connection.execute("SELECT count(*) FROM workflow_runs").fetchone()
        yield
        assert connection.execute("SELECT count(*) FROM workflow_runs").fetchone() == before


async def test_tasks_processes_and_long_readers_get_along(
    settings_of: dict[str, Any], crew: Crew
) -> None:
    """Two hundred tasks here, eight times eight there; nobody is ever told that the database is busy."""
    async with Database(**settings_of) as db:
        workflow, version, _ = await new_runs(db, 0)
        with long_reader(settings_of):
            crew.begin(settings_of, "write_from_tasks", workflow, version, 8)
            here = await asyncio.gather(
                *(attempt(live_one_run(db, workflow, version, f"here {n}")) for n in range(200))
            )
            there = await asyncio.to_thread(crew.results)
        assert set(here) | {outcome for result in there for outcome in result} == {"ok"}
        counts = await db.workflows.count_runs_by_status(workflow_id=workflow)
        assert (counts.succeeded, counts.total) == (264, 264)
        found = await db.workflows.search_runs("alpha beta", limit=1000)
        assert len(found.items) == 264
