"""The data sets of the benchmarks: the right amounts, the same on both, and as the repositories would have written them."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from benchmarks import datasets
from benchmarks.datasets import (
    Kind,
    Scale,
    entity,
    postgres_dataset,
    sqlite_dataset,
    status_of_run,
    token_text,
    workflow_of_version,
)
from msgspec.structs import replace
from tests.fixtures.databases import DIALECTS, postgres_settings

from orcheo_sql import Database
from orcheo_sql.check.scratch_postgres import ScratchPostgres, with_database
from orcheo_sql.structs import WorkflowRun

SCALE = 400
AT = Scale(SCALE)
COUNTS = {
    "workflows": 20,
    "workflow_versions": 40,
    "workflow_search": 20,
    "cron_triggers": 2,
    "workflow_runs": 400,
    "workflow_run_inputs": 400,
    "workflow_run_outputs": 340,
    "workflow_run_search": 400,
    "run_outbox": 4,
    "run_history": 40,
    "run_history_inputs": 40,
    "run_history_steps": 400,
    "run_history_search": 0,
    "service_tokens": 20,
    "service_token_audit": 41,
    "agentensor_workflows": 2,
    "agentensor_checkpoints": 40,
    "run_snapshots": 40,
    "run_snapshot_states": 40,
    "run_snapshot_search": 40,
}
# The tables whose rows tell by a number to which run they belong.
PARTS = ("workflow_run_inputs", "workflow_run_outputs", "workflow_run_search")
Settings = dict[str, Any]


@pytest.fixture(scope="module")
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, _cache: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(_cache))
    return _cache / "orcheo-sql-bench"


@pytest.fixture
def seeded_of(
    cache: Path, postgres_server: ScratchPostgres, tmp_path: Path
) -> Iterator[Callable[[str], Settings]]:
    """Return what makes the settings of a seeded database of a dialect."""
    made: list[str] = []

    def settings(dialect: str) -> Settings:
        if dialect == "sqlite":
            return {"database_path": sqlite_dataset(SCALE, tmp_path)}
        made.append(postgres_dataset(SCALE, postgres_server))
        return postgres_settings(made[-1])

    yield settings
    for dsn in made:
        postgres_server.drop_database(dsn)


@pytest.fixture
def seeded_on_both(seeded_of: Callable[[str], Settings]) -> list[Settings]:
    return [seeded_of(dialect) for dialect in DIALECTS]


@pytest.fixture
def seeded_settings(seeded_of: Callable[[str], Settings], dialect: str) -> Settings:
    return seeded_of(dialect)


@pytest.fixture
async def seeded(seeded_settings: Settings) -> AsyncIterator[Database]:
    async with Database(**seeded_settings) as database:
        yield database


def raw_rows(settings: Settings, table: str) -> list[str]:
    """Return the rows of a table as the database has them, but for numbers that it draws itself."""
    drawn = {"run_number", "search_id"} | ({"id"} if table == "service_token_audit" else set())
    source, columns = f"{table} AS t", []
    if table in PARTS:
        source += " INNER JOIN workflow_runs AS r ON r.run_number = t.run_number"
        columns.append("r.id")
    if "postgres_dsn" in settings:
        with psycopg.connect(settings["postgres_dsn"]) as connection:
            about = connection.execute(f"SELECT * FROM {table} LIMIT 0".encode()).description or ()
            columns += [f't."{c.name}"' for c in about if c.name not in drawn]
            query = f"SELECT ROW({', '.join(columns)})::text FROM {source}"
            return sorted(row for (row,) in connection.execute(query.encode()))
    with closing(sqlite3.connect(settings["database_path"])) as raw:
        names = [name for name, *_ in raw.execute(f"SELECT * FROM {table} LIMIT 0").description]
        columns += [f't."{name}"' for name in names if name not in drawn]
        return sorted(map(repr, raw.execute(f"SELECT {', '.join(columns)} FROM {source}")))


def counts(settings: Settings) -> dict[str, int]:
    """Count the rows of all tables that have some."""
    query = " UNION ALL ".join(f"SELECT '{t}', count(*) FROM {t}" for t in COUNTS)
    if "postgres_dsn" in settings:
        with psycopg.connect(settings["postgres_dsn"]) as connection:
            return dict(connection.execute(query.encode()).fetchall())
    with closing(sqlite3.connect(settings["database_path"])) as raw:
        return dict(raw.execute(query).fetchall())


class TestNumbers:
    def test_ids_are_distinct_and_in_no_order(self) -> None:
        ids = [entity(Kind.RUN, number) for number in range(1, 10_001)]
        assert len(set(ids)) == len(ids)
        assert {each.version for each in ids} == {4}
        ascents = sum(a < b for a, b in itertools.pairwise(ids))
        assert 3000 < ascents < 7000
        assert len({each.int >> 120 for each in ids[:1000]}) == 256

    def test_an_id_tells_kind_and_number(self) -> None:
        assert str(entity(Kind.SNAPSHOT, 4711))[14:] == "4007-8000-000000001267"
        assert entity(Kind.RUN, 10**7) != entity(Kind.VERSION, 10**7)

    @pytest.mark.parametrize("runs", [200, 1234, 4000, 100_000, 1_000_000])
    def test_runs_are_spread_over_all_workflows(self, runs: int) -> None:
        scale = Scale(runs)
        some = range(1, scale.count(Kind.WORKFLOW) + 1)
        assert {scale.workflow_of_run(n) for n in some} == set(some)
        # None of them has runs in one status only.
        first = [n for n in range(1, min(runs, 200_000) + 1) if scale.workflow_of_run(n) == 1]
        assert len({status_of_run(n) for n in first[:100]}) > 1

    def test_amounts(self) -> None:
        large = Scale(1_000_000)
        assert [large.count(kind) for kind in Kind] == [
            5000, 10_000, 1_000_000, 100_000, 5000, 100_000, 100_000, 500,
        ]  # fmt: skip
        assert (large.outbox, large.trained_workflows, large.customers) == (1000, 2000, 100_000)

    def test_too_small(self, tmp_path: Path, postgres_server: ScratchPostgres) -> None:
        with pytest.raises(ValueError, match="200 runs"):
            sqlite_dataset(199, tmp_path)
        with pytest.raises(ValueError, match="200 runs"):
            postgres_dataset(199, postgres_server)


class TestRows:
    def test_amounts(self, seeded_settings: Settings) -> None:
        assert counts(seeded_settings) == COUNTS

    async def test_workflows_and_versions(self, seeded: Database) -> None:
        for number in range(1, AT.count(Kind.VERSION) + 1):
            version = await seeded.workflows.get_version(entity(Kind.VERSION, number))
            assert version.workflow_id == entity(Kind.WORKFLOW, workflow_of_version(number))
            assert version.version == 2 - number % 2
        assert len(await seeded.workflows.list_workflows()) == AT.count(Kind.WORKFLOW)

    async def test_runs(self, seeded: Database) -> None:
        for number in range(1, SCALE + 1, 7):
            run = await seeded.workflows.get_run(entity(Kind.RUN, number))
            assert run.workflow_version_id == entity(Kind.VERSION, AT.version_of_run(number))
            assert run.status == status_of_run(number)
            assert run.input_payload["customer"]["id"] == AT.customer_of_run(number)
            assert run.created_at == datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        totals = await seeded.workflows.count_runs_by_status()
        assert [totals.succeeded, totals.failed, totals.cancelled, totals.running] == [
            340, 32, 16, 8,
        ]  # fmt: skip
        of_one = await seeded.workflows.page_runs(workflow_id=entity(Kind.WORKFLOW, 3))
        numbers = {n for n in range(1, SCALE + 1) if AT.workflow_of_run(n) == 3}
        assert {run.id for run in of_one.items} == {entity(Kind.RUN, n) for n in numbers}

    async def test_inputs_can_be_filtered(self, seeded: Database) -> None:
        customer = AT.customer_of_run(17)
        page = await seeded.workflows.page_runs(input_filter={"customer": {"id": customer}})
        numbers = [n for n in range(SCALE, 0, -1) if AT.customer_of_run(n) == customer]
        assert [run.id for run in page.items] == [entity(Kind.RUN, n) for n in numbers]

    async def test_histories(self, seeded: Database) -> None:
        for number in range(1, AT.count(Kind.EXECUTION) + 1, 3):
            record = await seeded.history.get_history(entity(Kind.EXECUTION, number))
            workflow = entity(Kind.WORKFLOW, AT.workflow_of_execution(number))
            assert record.workflow_id == str(workflow)
            assert [step.index for step in record.steps] == list(range(10))
            assert record.steps[-1].at == record.trace_last_span_at

    async def test_checkpoints(self, seeded: Database) -> None:
        for workflow in range(1, AT.trained_workflows + 1):
            owner = entity(Kind.WORKFLOW, workflow)
            checkpoints = await seeded.agentensor.list_checkpoints(owner)
            newest = AT.latest_checkpoint(workflow)
            assert [c.config_version for c in checkpoints] == list(range(newest, 0, -1))
            best = await seeded.agentensor.best_checkpoint(owner)
            assert best is not None
            assert best.config_version == AT.best_checkpoint(workflow)
            assert best.metrics["accuracy"] == max(c.metrics["accuracy"] for c in checkpoints)
        seventh = await seeded.agentensor.get_checkpoint(str(entity(Kind.CHECKPOINT, 7)))
        assert seventh.workflow_id == str(entity(Kind.WORKFLOW, AT.workflow_of_checkpoint(7)))
        assert seventh.config_version == AT.version_of_checkpoint(7)

    async def test_tokens(self, seeded: Database) -> None:
        record = await seeded.token_manager.authenticate(token_text(3))
        assert record.identifier == str(entity(Kind.TOKEN, 3))
        assert len(await seeded.tokens.list_active()) == 18
        log = await seeded.tokens.get_audit_log(str(entity(Kind.TOKEN, 20)))
        assert [entry.action for entry in log] == ["revoked", "used", "used"]

    async def test_documents_have_the_promised_size(self, seeded: Database) -> None:
        from msgspec.json import encode

        version = await seeded.workflows.get_version(entity(Kind.VERSION, 9))
        run = await seeded.workflows.get_run(entity(Kind.RUN, 9))
        state = await seeded.snapshots.load_run_state(str(entity(Kind.SNAPSHOT, 9)))
        assert 900 < len(encode(version.graph)) < 1300
        assert 150 < len(encode(run.input_payload)) < 250
        assert 900 < len(encode(state)) < 1300

    async def test_both_dialects_agree(self, seeded_on_both: list[Settings]) -> None:
        sqlite, postgres = [await all_entities(settings) for settings in seeded_on_both]
        assert sqlite == postgres


async def all_entities(settings: Settings) -> list[Any]:
    """Read some of everything through the repositories."""
    async with Database(**settings) as db:
        numbers = [1, 2, 10, 20, *range(21, SCALE + 1, 13)]
        few = [n for n in numbers if n <= 20]
        tenth = [n for n in numbers if n <= SCALE // 10]
        return [
            *[await db.workflows.get_workflow(entity(Kind.WORKFLOW, n)) for n in few],
            *[await db.workflows.get_version(entity(Kind.VERSION, n)) for n in tenth],
            *[await db.workflows.get_run(entity(Kind.RUN, n)) for n in numbers],
            *[await db.workflows.get_cron_schedule(entity(Kind.WORKFLOW, n)) for n in (10, 20)],
            (await db.workflows.page_outbox()).items,
            *[await db.history.get_history(entity(Kind.EXECUTION, n)) for n in tenth],
            *[await db.agentensor.get_checkpoint(entity(Kind.CHECKPOINT, n)) for n in tenth],
            *[await db.snapshots.load_run_snapshot(str(entity(Kind.SNAPSHOT, n))) for n in tenth],
            await db.tokens.list_all(),
            (await db.tokens.page_audit_log(limit=100)).items,
        ]


class TestWork:
    async def test_search(self, seeded: Database) -> None:
        runs = await seeded.workflows.search_runs("ord17 -refused")
        assert [run.id for run in runs.items] == [entity(Kind.RUN, 17)]
        timed_out = await seeded.workflows.search_runs('"timed out after"', limit=100)
        assert len(timed_out.items) == 32
        workflows = await seeded.workflows.search_workflows('"triage of subscription 4"')
        assert [found.id for found in workflows.items] == [entity(Kind.WORKFLOW, 4)]
        snapshots = await seeded.snapshots.search_runs("module 31")
        assert [found.run_id for found in snapshots.items] == [str(entity(Kind.SNAPSHOT, 31))]

    async def test_a_new_version_is_the_third(self, seeded: Database) -> None:
        owner = entity(Kind.WORKFLOW, 4)
        graph = {"nodes": [{"id": "brandnew"}]}
        made = await seeded.workflows.create_version(
            owner, graph=graph, metadata={}, notes=None, created_by="bo"
        )
        assert made.version == 3
        assert (await seeded.workflows.get_latest_version(owner)).id == made.id
        assert (await seeded.workflows.search_workflows("brandnew")).items[0].id == owner
        assert not (await seeded.workflows.search_workflows('"triage of subscription 4 2"')).items

    async def test_runs_go_on(self, seeded: Database) -> None:
        new = await seeded.workflows.create_run(
            entity(Kind.WORKFLOW, 4),
            workflow_version_id=entity(Kind.VERSION, 8),
            triggered_by="manual",
            input_payload={"word": "unheard"},
        )
        assert new.runnable_config["metadata"] == {"tenant": "t-4"}
        pending = next(n for n in range(1, SCALE) if status_of_run(n) == "pending")
        for run in (new.id, entity(Kind.RUN, pending)):
            await seeded.workflows.mark_run_started(run, actor="worker")
            await seeded.workflows.mark_run_succeeded(run, actor="worker", output={"so": "unseen"})
        found = await seeded.workflows.search_runs("unseen")
        assert {run.id for run in found.items} == {new.id, entity(Kind.RUN, pending)}
        audit = (await seeded.workflows.get_run(entity(Kind.RUN, pending))).audit_log
        assert [each.action for each in audit] == ["run_created", "run_started", "run_succeeded"]

    async def test_the_outbox_has_the_newest_pending_runs(self, seeded: Database) -> None:
        pending = [n for n in range(1, SCALE + 1) if status_of_run(n) == "pending"]
        claimed = await seeded.workflows.claim_outbox(consumer="worker")
        assert [each.run_id for each in claimed] == [
            entity(Kind.RUN, n) for n in pending[-AT.outbox :]
        ]
        assert await seeded.workflows.acknowledge_outbox(claimed) == AT.outbox

    async def test_no_schedule_is_due(self, seeded: Database) -> None:
        assert await seeded.workflows.dispatch_due_cron_runs() == []
        start = datetime(2099, 1, 1, 9, tzinfo=UTC)
        [first, second] = await seeded.workflows.dispatch_due_cron_runs(now=start)
        assert {first.triggered_by, second.triggered_by} == {"cron"}

    async def test_a_history_takes_another_step(self, seeded: Database) -> None:
        execution = entity(Kind.EXECUTION, 5)
        assert (await seeded.history.append_step(execution, {"node": "late"})).index == 10
        assert len(await seeded.history.list_steps(execution)) == 11

    async def test_training_goes_on(self, seeded: Database) -> None:
        owner = entity(Kind.WORKFLOW, 1)
        made = await seeded.agentensor.record_checkpoint(
            workflow_id=owner, runnable_config={}, metrics={}, is_best=True
        )
        assert made.config_version == AT.latest_checkpoint(1) + 1
        assert await seeded.agentensor.best_checkpoint(owner) == made

    async def test_a_state_is_saved_again(self, seeded: Database) -> None:
        run = str(entity(Kind.SNAPSHOT, 31))
        before = await seeded.snapshots.load_run_snapshot(run)
        assert before is not None
        await seeded.snapshots.save_run_state(run, {"objective": "Something else"}, "paused")
        after = await seeded.snapshots.load_run_snapshot(run)
        assert after is not None
        assert (after.created_at, after.status) == (before.created_at, "paused")
        assert not (await seeded.snapshots.search_runs("module 31")).items

    async def test_workflows_go_with_all_that_is_theirs(self, seeded: Database) -> None:
        owner = entity(Kind.WORKFLOW, 10)
        await seeded.workflows.archive_workflow(owner, actor="bo")
        await seeded.workflows.delete_workflow(owner)
        assert not (await seeded.workflows.page_runs(workflow_id=owner)).items
        assert not await seeded.history.list_histories(owner)


def compare(seeded: Settings, made: Settings, beginning: str) -> None:
    """Compare all tables whose name begins so."""
    tables = [table for table in COUNTS if table.startswith(beginning)]
    assert tables
    for table in tables:
        for one, other in zip_longest(raw_rows(seeded, table), raw_rows(made, table)):
            assert one == other, table


class Replay:
    """Does again what the seeds pretend to have been done, at the same times and with the same ids."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = datetime(2025, 1, 1, tzinfo=UTC)
        self.id = UUID(int=0)
        for module in (
            "workflow_catalog", "workflow_versions", "workflow_runs", "workflow_cron", "agentensor",
        ):  # fmt: skip
            monkeypatch.setattr(f"orcheo_sql.repositories.{module}.uuid4", lambda: self.id)

    @asynccontextmanager
    async def open(self, settings: Settings) -> AsyncIterator[Database]:
        async with Database(**settings, clock=lambda: self.at) as database:
            yield database


class TestAsTheRepositoriesWould:
    @pytest.fixture
    def replay(self, monkeypatch: pytest.MonkeyPatch) -> Replay:
        return Replay(monkeypatch)

    async def test_workflows(
        self, seeded: Database, seeded_settings: Settings, settings_of: Settings, replay: Replay
    ) -> None:
        # Those that stay in the outbox last: each of the others is taken from it.
        runs = sorted(range(1, SCALE + 1), key=lambda n: status_of_run(n) == "pending")
        async with replay.open(settings_of) as db:
            for number in range(1, AT.count(Kind.WORKFLOW) + 1):
                await self.make_workflow(db, seeded, replay, number)
            for number in runs:
                await self.make_run(db, seeded, replay, number)
        for beginning in ("workflow", "cron", "run_outbox"):
            compare(seeded_settings, settings_of, beginning)

    async def make_workflow(
        self, db: Database, seeded: Database, replay: Replay, number: int
    ) -> None:
        there = await seeded.workflows.get_workflow(entity(Kind.WORKFLOW, number))
        replay.at, replay.id = there.created_at, there.id
        await db.workflows.create_workflow(
            name=there.name,
            handle=there.handle,
            slug=None,
            description=there.description,
            tags=there.tags,
            draft_access=there.draft_access,
            actor="ada",
        )
        for version in await seeded.workflows.list_versions(there.id):
            replay.at, replay.id = version.created_at, version.id
            await db.workflows.create_version(
                there.id,
                graph=version.graph,
                metadata=version.metadata,
                runnable_config=version.runnable_config,
                notes=version.notes,
                created_by="ada",
            )
        if number % 10 == 0:
            replay.at, replay.id = there.updated_at, entity(Kind.SCHEDULE, number)
            config = await seeded.workflows.get_cron_trigger_config(there.id)
            await db.workflows.configure_cron_trigger(there.id, config, actor="ada")
            assert await db.workflows.dispatch_due_cron_runs() == []

    async def make_run(self, db: Database, seeded: Database, replay: Replay, number: int) -> None:
        there: WorkflowRun = await seeded.workflows.get_run(entity(Kind.RUN, number))
        replay.at, replay.id = there.created_at, there.id
        await db.workflows.create_run(
            entity(Kind.WORKFLOW, AT.workflow_of_run(number)),
            workflow_version_id=there.workflow_version_id,
            triggered_by=there.triggered_by,
            input_payload=there.input_payload,
            hand_off=True,
        )
        if there.started_at is None:
            return
        await db.workflows.acknowledge_outbox(await db.workflows.claim_outbox(consumer="worker"))
        replay.at = there.started_at
        await db.workflows.mark_run_started(there.id, actor="worker")
        replay.at = there.completed_at or there.started_at
        match there.status:
            case "succeeded":
                output = there.output_payload
                await db.workflows.mark_run_succeeded(there.id, actor="worker", output=output)
            case "failed":
                await db.workflows.mark_run_failed(there.id, actor="worker", error=there.error)
            case "cancelled":
                await db.workflows.mark_run_cancelled(there.id, actor="worker", reason=there.error)

    async def test_histories(
        self, seeded: Database, seeded_settings: Settings, settings_of: Settings, replay: Replay
    ) -> None:
        statuses = set()
        async with replay.open(settings_of) as db:
            for number in range(1, AT.count(Kind.EXECUTION) + 1):
                there = await seeded.history.get_history(entity(Kind.EXECUTION, number))
                statuses.add(there.status)
                replay.at = there.started_at
                await db.history.start_run(
                    workflow_id=there.workflow_id,
                    execution_id=there.execution_id,
                    inputs=there.inputs,
                    runnable_config=there.runnable_config,
                    trace_id=there.trace_id,
                )
                for step in there.steps:
                    replay.at = step.at
                    await db.history.append_step(there.execution_id, step.payload)
                replay.at = there.completed_at or replay.at
                match there.status:
                    case "completed":
                        await db.history.mark_completed(there.execution_id)
                    case "error":
                        await db.history.mark_failed(there.execution_id, str(there.error))
                    case "cancelled":
                        await db.history.mark_cancelled(there.execution_id, reason=there.error)
        assert len(statuses) == 4
        compare(seeded_settings, settings_of, "run_history")

    async def test_checkpoints(
        self, seeded: Database, seeded_settings: Settings, settings_of: Settings, replay: Replay
    ) -> None:
        async with replay.open(settings_of) as db:
            for number in range(1, AT.count(Kind.CHECKPOINT) + 1):
                replay.id = entity(Kind.CHECKPOINT, number)
                there = await seeded.agentensor.get_checkpoint(replay.id)
                replay.at = there.created_at
                await db.agentensor.record_checkpoint(
                    workflow_id=there.workflow_id,
                    runnable_config=there.runnable_config,
                    metrics=there.metrics,
                    metadata=there.metadata,
                    artifact_url=there.artifact_url,
                    is_best=there.is_best,
                )
        compare(seeded_settings, settings_of, "agentensor")

    async def test_snapshots(
        self, seeded: Database, seeded_settings: Settings, settings_of: Settings, replay: Replay
    ) -> None:
        async with replay.open(settings_of) as db:
            for number in range(1, AT.count(Kind.SNAPSHOT) + 1):
                run = str(entity(Kind.SNAPSHOT, number))
                there = await seeded.snapshots.load_run_snapshot(run)
                state = await seeded.snapshots.load_run_state(run)
                assert there is not None
                assert state is not None
                for replay.at in (there.created_at, there.updated_at):
                    await db.snapshots.save_run_state(run, state, there.status)
        compare(seeded_settings, settings_of, "run_snapshot")

    async def test_tokens(
        self, seeded: Database, seeded_settings: Settings, settings_of: Settings, replay: Replay
    ) -> None:
        log = (await seeded.tokens.page_audit_log(limit=1000)).items
        async with replay.open(settings_of) as db:
            for there in await seeded.tokens.list_all():
                assert there.issued_at is not None
                replay.at = there.issued_at
                unused = {"use_count": 0, "last_used_at": None}
                fresh = {"revoked_at": None, "revocation_reason": None, **unused}
                await db.tokens.create(replace(there, **fresh))
            for entry in reversed(log):
                replay.at = entry.timestamp
                if entry.action == "used":
                    ip, agent = entry.ip_address, entry.user_agent
                    await db.tokens.record_usage(entry.token_id, ip=ip, user_agent=agent)
                else:
                    assert entry.details is not None
                    reason = entry.details["reason"]
                    await db.tokens.revoke(
                        entry.token_id, reason=reason, now=replay.at, actor=entry.actor
                    )
        compare(seeded_settings, settings_of, "service_token")


class TestCache:
    def test_a_file_is_seeded_once(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = sqlite_dataset(SCALE, tmp_path)
        monkeypatch.setattr(datasets, "_seed", None)
        second = sqlite_dataset(SCALE, tmp_path)
        assert first != second
        assert first.read_bytes() == second.read_bytes()
        [seeded] = cache.glob(f"*-{SCALE}.sqlite")
        assert first.stat().st_mode & 0o777 == seeded.stat().st_mode & 0o777 == 0o600
        assert cache.stat().st_mode & 0o777 == 0o700

    def test_what_is_stale_goes(self, cache: Path, tmp_path: Path) -> None:
        sqlite_dataset(SCALE, tmp_path)
        current = datasets.fingerprint("sqlite")
        kept = cache / f"{current}-{SCALE}.sqlite"
        gone = [cache / "0123456789ab-400.sqlite", cache / f"{current}-210.part"]
        for path in gone:
            path.touch()
        sqlite_dataset(210, tmp_path)
        assert kept.exists()
        assert not any(path.exists() for path in gone)

    def test_no_file_is_left_of_a_seeding_that_fails(
        self, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(datasets, "_sha256_hex", lambda text: text / 2)
            with pytest.raises(sqlite3.OperationalError) as failed:
                sqlite_dataset(220, tmp_path)
            assert "tokens.sql:" in failed.value.__notes__[0]
        assert not list(cache.glob("*-220.sqlite"))
        assert not list(tmp_path.glob("*.sqlite"))
        assert sqlite_dataset(220, tmp_path).exists()

    def test_a_database_is_seeded_once(
        self, postgres_server: ScratchPostgres, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = postgres_dataset(SCALE, postgres_server)
        monkeypatch.setattr(datasets, "_seed", None)
        second = postgres_dataset(SCALE, postgres_server)
        assert first != second
        for dsn in (first, second):
            postgres_server.drop_database(dsn)

    def test_stale_databases_and_drafts_are_replaced(
        self, postgres_server: ScratchPostgres, request: pytest.FixtureRequest
    ) -> None:
        seeded = f"orcheo_bench_{datasets.fingerprint('postgres')}_230"
        old, draft = "orcheo_bench_0123456789ab_400", f"{seeded}_seeding"

        def administer(statement: str) -> None:
            with psycopg.connect(postgres_server.dsn, autocommit=True) as admin:
                admin.execute(statement.encode())

        administer(f"DROP DATABASE IF EXISTS {seeded}")
        request.addfinalizer(lambda: administer(f"DROP DATABASE IF EXISTS {seeded}"))
        for name in (old, draft):
            administer(f"CREATE DATABASE {name}")
        copy = postgres_dataset(230, postgres_server)
        with psycopg.connect(with_database(postgres_server.dsn, "postgres")) as admin:
            there = {name for (name,) in admin.execute("SELECT datname FROM pg_database")}
        assert seeded in there
        assert not {old, draft} & there
        assert counts(postgres_settings(copy))["workflow_runs"] == 230
        postgres_server.drop_database(copy)
