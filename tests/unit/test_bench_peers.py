"""The peers of the benchmarks do what ours do: the rows that they leave are the same, and they find each other's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import pytest
from benchmarks.peers import ACTOR, TRIGGER, MissingError, Peer, missing_packages, peers_of
from tests.repositories.factories import MISSING, new_run, new_version, new_workflow, rows

if TYPE_CHECKING:
    from orcheo_sql import Database, WorkflowVersion
    from orcheo_sql.codecs.rows import Dialect

pytestmark = [
    pytest.mark.skipif(
        bool(missing_packages()),
        reason=f"without {', '.join(missing_packages())}: pip install -e '.[bench]'",
    ),
    pytest.mark.parametrize(
        ("dialect", "name"),
        [
            ("sqlite", "SQLAlchemy ORM"),
            ("sqlite", "SQLAlchemy Core"),
            ("postgres", "SQLAlchemy ORM"),
            ("postgres", "SQLAlchemy Core"),
            ("postgres", "asyncpg"),
        ],
        indirect=["dialect"],
    ),
]

PAYLOAD: dict[str, Any] = {
    "question": "Wo ist Bestellung 4711?",
    "city": "東京",
    "nested": {"n": [1, 2.5, None, True]},
}
OUTPUT: dict[str, Any] = {"answer": "Unterwegs nach Zürich", "n": 42}
STEPS: list[dict[str, Any]] = [{"node": "ask"}, {"node": "answer", "text": "É", "n": 1.5}, {}]

# All that is stored, but for ids and times.
STORED = (
    """
    SELECT
        workflow_version_id, status, triggered_by, error, retry_policy, is_handed_off, schedule_id, scheduled_for,
        started_at >= created_at, completed_at >= started_at, updated_at = completed_at
    FROM workflow_runs
    ORDER BY created_at
    """,
    """
    SELECT i.input_payload, i.runnable_config, i.metadata, o.output_payload, s.search_text
    FROM workflow_runs AS r
    JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
    JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
    JOIN workflow_run_search AS s ON s.run_number = r.run_number
    ORDER BY r.created_at
    """,
    """
    SELECT h.status, h.step_count, h.trace_last_span_at = s.at
    FROM run_history AS h
    JOIN run_history_steps AS s ON s.execution_id = h.execution_id AND s.step_index = h.step_count - 1
    ORDER BY h.started_at
    """,
)


@pytest.fixture
async def peer(dialect: Dialect, name: str, settings_of: dict[str, Any]) -> AsyncIterator[Peer]:
    place = settings_of["database_path" if dialect == "sqlite" else "postgres_dsn"]
    made = peers_of(dialect)[name](place, 10)
    assert (made.name, made.dialect) == (name, dialect)
    await made.open()
    yield made
    await made.close()


async def version_with_config(db: Database) -> WorkflowVersion:
    """Return a version whose runs get a config and a retry policy."""
    workflow = await new_workflow(db)
    await db.workflows.configure_retry_policy(workflow.id, {"max_attempts": 2})
    return await new_version(
        db, workflow, runnable_config={"tags": ["gold"], "metadata": {"a": 1}, "run_name": "Lauf"}
    )


class Ours:
    """Our operations, called as a peer's."""

    def __init__(self, db: Database):
        self._db = db

    async def create_run(
        self, workflow_id: UUID, version_id: UUID, payload: dict[str, Any]
    ) -> UUID:
        run = await self._db.workflows.create_run(
            workflow_id,
            workflow_version_id=version_id,
            triggered_by=TRIGGER,
            input_payload=payload,
        )
        return run.id

    async def start_run(self, run_id: UUID) -> Any:
        return await self._db.workflows.mark_run_started(run_id, actor=ACTOR)

    async def succeed_run(self, run_id: UUID, output: dict[str, Any]) -> Any:
        return await self._db.workflows.mark_run_succeeded(run_id, actor=ACTOR, output=output)

    async def append_step(self, execution_id: str, step: dict[str, Any]) -> Any:
        return await self._db.history.append_step(execution_id, step)


async def lead(one: Ours | Peer, version: WorkflowVersion, execution: str) -> UUID:
    """Lead a new run through its states."""
    run_id = await one.create_run(version.workflow_id, version.id, PAYLOAD)
    started = await one.start_run(run_id)
    assert (started.id, started.status, started.output_payload) == (run_id, "running", None)
    for index, payload in enumerate(STEPS):
        step = await one.append_step(execution, payload)
        assert (step.index, step.payload) == (index, payload)
    done = await one.succeed_run(run_id, OUTPUT)
    assert (done.status, done.output_payload, len(done.audit_log)) == ("succeeded", OUTPUT, 3)
    return run_id


def comparable(run: Any) -> tuple[Any, ...]:
    """Return the fields of a run but for its id and times."""
    log = [(event.actor, event.action, event.metadata) for event in run.audit_log]
    return (
        run.workflow_version_id, run.status, run.triggered_by, run.input_payload, run.runnable_config,
        run.output_payload, run.error, log,
    )  # fmt: skip


def whole(run: Any) -> tuple[Any, ...]:
    """Return all fields of a run, whoever has read it."""
    log = [
        event if isinstance(event, dict) else (event.actor, event.action) for event in run.audit_log
    ]
    log = [(event["actor"], event["action"]) if isinstance(event, dict) else event for event in log]
    times = (run.created_at, run.updated_at, run.started_at, run.completed_at)
    assert all(at is None or at.utcoffset() is not None for at in times)
    return (
        run.id, run.workflow_version_id, run.status, run.triggered_by, run.input_payload, run.runnable_config,
        run.output_payload, run.error, times, log,
    )  # fmt: skip


async def test_what_a_peer_leaves_is_what_ours_leave(
    db: Database, peer: Peer, settings_of: dict[str, Any]
) -> None:
    version = await version_with_config(db)
    for execution in ("ours", "theirs"):
        await db.history.start_run(workflow_id="w", execution_id=execution)
    ours = await db.workflows.get_run(await lead(Ours(db), version, "ours"))
    theirs = await db.workflows.get_run(await lead(peer, version, "theirs"))

    assert comparable(theirs) == comparable(ours)
    assert theirs.runnable_config["run_name"] == "Lauf"
    assert theirs.created_at <= cast("Any", theirs.started_at) <= cast("Any", theirs.completed_at)
    assert [event.at for event in theirs.audit_log] == [
        theirs.created_at,
        theirs.started_at,
        theirs.completed_at,
    ]

    found = [await db.history.get_history(execution) for execution in ("ours", "theirs")]
    assert [[(s.index, s.payload) for s in history.steps] for history in found] == [
        list(enumerate(STEPS))
    ] * 2
    assert found[1].trace_last_span_at == found[1].steps[-1].at

    for stored in STORED:
        [one, other] = await rows(settings_of, stored)
        assert other == one


async def test_runs_of_a_peer_are_found(db: Database, peer: Peer) -> None:
    version = await version_with_config(db)
    await db.history.start_run(workflow_id="w", execution_id="theirs")
    run_id = await lead(peer, version, "theirs")
    for text in ("bestellung", "東京", "zurich", "gold", "manual"):
        page = await db.workflows.search_runs(text)
        assert [run.id for run in page.items] == [run_id], text


async def test_peers_read_what_ours_have_written(db: Database, peer: Peer) -> None:
    version = await version_with_config(db)
    runs = [await new_run(db, version, {"number": number}) for number in range(60)]
    await db.workflows.mark_run_started(runs[-1].id, actor="worker")
    await db.workflows.mark_run_succeeded(runs[-1].id, actor="worker", output=OUTPUT)
    await new_run(db, await new_version(db, await new_workflow(db)))

    for run in runs[-2:]:
        assert whole(await peer.get_run(run.id)) == whole(await db.workflows.get_run(run.id))
    page = await db.workflows.page_runs(workflow_id=version.workflow_id, limit=50)
    theirs = await peer.page_runs(version.workflow_id)
    assert [whole(run) for run in theirs] == [whole(run) for run in page.items]
    assert theirs[0].id == runs[-1].id


async def test_refused_changes_leave_nothing(db: Database, peer: Peer) -> None:
    version = await version_with_config(db)
    other = await version_with_config(db)
    run = await new_run(db, version)

    async def refused(call: Callable[[], Awaitable[Any]]) -> None:
        with pytest.raises(MissingError):
            await call()

    await refused(lambda: peer.get_run(MISSING))
    await refused(lambda: peer.start_run(MISSING))
    await refused(lambda: peer.succeed_run(run.id, OUTPUT))
    await peer.start_run(run.id)
    await refused(lambda: peer.start_run(run.id))
    await refused(lambda: peer.append_step("none", {}))
    await refused(lambda: peer.create_run(version.workflow_id, other.id, PAYLOAD))
    await db.workflows.archive_workflow(version.workflow_id, actor="ada")
    await refused(lambda: peer.create_run(version.workflow_id, version.id, PAYLOAD))

    assert (await db.workflows.count_runs_by_status()).total == 1
    assert len((await db.workflows.get_run(run.id)).audit_log) == 2


async def test_steps_at_the_same_time_get_indexes_without_gaps(db: Database, peer: Peer) -> None:
    await db.history.start_run(workflow_id="w", execution_id="busy")
    steps = await asyncio.gather(*(peer.append_step("busy", {"n": n}) for n in range(20)))
    assert sorted(step.index for step in steps) == list(range(20))
    stored = await db.history.list_steps("busy")
    assert [step.index for step in stored] == list(range(20))
    assert {step.payload["n"] for step in stored} == set(range(20))
    assert (await db.history.append_step("busy", {})).index == 20
