from __future__ import annotations

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.cli.conftest import Cli, child_environment, command

from orcheo_sql import (
    CronScheduleState,
    Database,
    ListenerSubscriptionStatus,
    WebhookNotConfiguredError,
    WorkflowRun,
    WorkflowRunStatus,
)
from orcheo_sql.cli._demo_neighbours import Neighbours
from orcheo_sql.cli._demo_store import ACTOR, TAG
from orcheo_sql.cli._demo_worker import Worker

SAMPLES = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "graphs"
    made.mkdir()
    nodes = [{"id": "a", "label": "Ask"}, {"id": "b", "label": "Answer politely"}]
    write(made, "first", {"name": "First", "nodes": nodes, "edges": []})
    write(made, "second", {"name": "Second", "nodes": nodes[:1]})
    return made


def write(folder: Path, name: str, graph: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(graph))


def test_demo_of_the_samples(cli: Cli, configured: dict[str, Any]) -> None:
    done = cli("demo", "--json")
    assert done.status == 0, done.err
    report = done.json
    assert report["new_workflows"] == SAMPLES
    assert report["new_versions"] > SAMPLES
    assert report["new_runs"] == 8 * SAMPLES
    assert sum(report["all_runs"].values()) == 8 * SAMPLES
    assert all(count > 0 for count in report["all_runs"].values())
    assert report["run_pages"] == {"pages": 3, "items": 8 * SAMPLES, "repeated": 0}
    assert all(found["hits"] for found in report["workflow_searches"])
    assert all(found["hits"] for found in report["run_searches"])
    assert all(found["hits"] for found in report["run_filters"])
    actions = [record["action"] for record in report["audit_trail"]["records"]]
    assert actions[:2] == ["run_created", "run_started"]
    assert {"workflows.fire_schedule", "workflows.search_workflows"} <= {
        timing["query"] for timing in report["timings"]
    }
    assert report["problems"] == []


def test_runs_come_from_triggers(cli: Cli, configured: dict[str, Any]) -> None:
    report = cli("demo", "--json").json
    lines = {line["trigger"]: line for line in report["triggers"]}
    told = {
        name: (n["configured"], n["runs"], n["refused_duplicates"]) for name, n in lines.items()
    }
    assert told == {
        "webhook": (SAMPLES, 2 * SAMPLES, SAMPLES),
        "cron": (SAMPLES, 2 * SAMPLES, SAMPLES),
        "listener": (1, 1, 1),
        "retry": (SAMPLES, SAMPLES, SAMPLES),
        "manual": (0, 3 * SAMPLES - 1, 0),
    }
    stored = Counter(run.triggered_by for run in asyncio.run(runs_of(configured)))
    assert stored == {name: line["runs"] for name, line in lines.items()}
    assert report["outbox"] == {
        "claimed": 8 * SAMPLES,
        "acknowledged": 7 * SAMPLES,
        "given_back": SAMPLES,
        "left_to_others": 0,
    }


def test_nothing_goes_on_by_itself(cli: Cli, configured: dict[str, Any]) -> None:
    cli("demo")

    async def look() -> None:
        later = datetime.now(UTC) + timedelta(days=30)
        async with Database(**configured) as db:
            for schedule in (await db.workflows.page_cron_schedules()).items:
                assert schedule.state is CronScheduleState.PAUSED
            assert await db.workflows.dispatch_due_cron_runs(now=later) == []
            assert await db.workflows.dispatch_due_retries(now=later) == []
            for workflow in await db.workflows.list_workflows():
                with pytest.raises(WebhookNotConfiguredError):
                    await db.workflows.handle_webhook_trigger(
                        workflow.id, method="POST", headers={}, query_params={}, payload=None,
                        source_ip=None,
                    )  # fmt: skip
            [listener] = await db.workflows.list_listener_subscriptions(only_served=True)
            assert listener.status is ListenerSubscriptionStatus.PAUSED
            assert listener.assigned_runtime is None
            # What waits for a worker is what the demo has left pending.
            assert await db.workflows.claim_outbox(consumer="me", limit=100) == []
            waiting = (await db.workflows.page_outbox(limit=1000)).items
            pending = await db.workflows.page_runs(status="pending", limit=1000)
            assert {entry.run_id for entry in waiting} == {run.id for run in pending.items}

    asyncio.run(look())


def test_a_repeated_demo_fires_new_occurrences(cli: Cli, configured: dict[str, Any]) -> None:
    reports = [cli("demo", "--json").json for _ in range(3)]
    assert [report["new_runs"] for report in reports] == [8 * SAMPLES] * 3
    # Cursor and schedules go on where they were, so each time as many come from each trigger.
    assert all(report["triggers"] == reports[0]["triggers"] for report in reports)
    fired = Counter(
        (run.workflow_version_id, run.input_payload["scheduled_for"])
        for run in asyncio.run(runs_of(configured))
        if run.triggered_by == "cron"
    )
    assert len(fired) == 3 * 2 * SAMPLES
    assert set(fired.values()) == {1}


def test_few_runs_are_started_by_hand(cli: Cli, configured: dict[str, Any], folder: Path) -> None:
    report = cli("demo", folder, "--runs", "3", "--json").json
    assert report["new_runs"] == 6
    assert {line["trigger"] for line in report["triggers"] if line["runs"]} == {"manual"}
    assert sum(line["configured"] for line in report["triggers"]) == 0


def test_many_runs(cli: Cli, configured: dict[str, Any], folder: Path) -> None:
    report = cli("demo", folder, "--runs", "230", "--json").json
    assert report["new_runs"] == sum(report["all_runs"].values()) == 460
    assert report["outbox"]["claimed"] == 460
    assert report["triggers"][0]["runs"] == 100


async def strange_schedule(db: Database, mine: UUID, version: UUID) -> None:
    await db.workflows.configure_cron_trigger(mine, {"expression": "0 * * * *"})


async def strange_retry(db: Database, mine: UUID, version: UUID) -> None:
    await db.workflows.configure_retry_policy(mine, {"initial_delay_seconds": 0})
    run = await db.workflows.create_run(
        mine, workflow_version_id=version, triggered_by="me", input_payload={}
    )
    await db.workflows.mark_run_failed(run.id, actor="me", error=None)
    await db.workflows.schedule_retry_for_run(run.id)


async def strange_run(db: Database, mine: UUID, version: UUID) -> None:
    # It is found by one of the demo's searches, which therefore have to cope with any input.
    await db.workflows.create_run(
        mine, workflow_version_id=version, triggered_by="me", input_payload={"question": ["steps"]},
        hand_off=True,
    )  # fmt: skip


Strange = Callable[[Database, UUID, UUID], Awaitable[None]]


async def stranger(settings: dict[str, Any], make: Strange) -> UUID:
    async with Database(**settings) as db:
        mine = await db.workflows.create_workflow(
            name="Mine", slug=None, description=None, tags=[], draft_access="personal", actor="me"
        )
        version = await db.workflows.create_version(
            mine.id, graph={}, metadata={}, notes=None, created_by="me"
        )
        await make(db, mine.id, version.id)
        return mine.id


async def traces(settings: dict[str, Any], mine: UUID) -> dict[str, Any]:
    """Return all that a demo could have changed of a workflow."""
    async with Database(**settings) as db:
        entries = (await db.workflows.page_outbox(limit=1000)).items
        retries = [
            await db.workflows.list_run_retries(run.id)
            for run in await db.workflows.list_runs_for_workflow(mine)
        ]
        return {
            "workflow": await db.workflows.get_workflow(mine),
            "runs": await db.workflows.list_runs_for_workflow(mine),
            "retries": retries,
            "schedules": [
                schedule
                for schedule in (await db.workflows.page_cron_schedules()).items
                if schedule.workflow_id == mine
            ],
            "outbox": [entry for entry in entries if entry.workflow_id == mine],
        }


@pytest.mark.parametrize("make", [strange_schedule, strange_retry, strange_run])
def test_what_others_have_to_dispatch_is_left_alone(
    cli: Cli, configured: dict[str, Any], make: Strange
) -> None:
    mine = asyncio.run(stranger(configured, make))
    before = asyncio.run(traces(configured, mine))
    done = cli("demo", "--json")
    assert done.status == 0, done.err
    assert done.err.count("Others have schedules, retries or runs for workers") == 1
    assert asyncio.run(traces(configured, mine)) == before
    # The demo does its job all the same, with what concerns its own workflows only.
    report = done.json
    assert report["new_runs"] == 8 * SAMPLES
    assert {line["trigger"] for line in report["triggers"] if line["runs"]} == {
        "webhook",
        "listener",
        "manual",
    }
    assert report["outbox"] == {
        "claimed": 0, "acknowledged": 0, "given_back": 0, "left_to_others": 8 * SAMPLES
    }  # fmt: skip
    assert {s for s, count in report["all_runs"].items() if count} == set(WorkflowRunStatus)
    assert all(found["hits"] for found in report["workflow_searches"])


def test_a_claim_that_brings_runs_of_others_is_released(
    cli: Cli, configured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_too_early(self: Neighbours) -> bool:
        return True

    monkeypatch.setattr(Neighbours, "_is_outbox_ours", is_too_early)
    mine = asyncio.run(stranger(configured, strange_run))
    before = asyncio.run(traces(configured, mine))
    done = cli("demo", "--json")
    assert "Others have schedules" in done.err
    assert done.json["new_runs"] == 8 * SAMPLES
    after = asyncio.run(traces(configured, mine))
    assert after["runs"] == before["runs"]
    [entry] = after["outbox"]
    assert (entry.attempts, entry.claim_id, entry.consumer) == (1, None, None)
    assert entry.available_at <= datetime.now(UTC)


def test_an_interrupted_demo_leaves_nothing_that_fires(
    cli: Cli, configured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Worker.work

    async def interrupted(self: Worker) -> None:
        fired = await self._db.workflows.page_runs(triggered_by="cron")
        if fired.items:
            [*active] = (await self._db.workflows.page_cron_schedules()).items
            assert all(each.state is CronScheduleState.ACTIVE for each in active)
            raise KeyboardInterrupt
        await work(self)

    monkeypatch.setattr(Worker, "work", interrupted)
    assert cli("demo").status == 130

    async def look() -> None:
        async with Database(**configured) as db:
            schedules = (await db.workflows.page_cron_schedules()).items
            assert len(schedules) == SAMPLES
            assert all(each.state is CronScheduleState.PAUSED for each in schedules)

    asyncio.run(look())
    monkeypatch.setattr(Worker, "work", work)
    # The next one finishes what this one has left in the outbox.
    report = cli("demo", "--json").json
    assert report["new_runs"] == 8 * SAMPLES
    assert report["outbox"]["claimed"] == 9 * SAMPLES


def test_schedules_of_a_killed_demo_are_paused(
    cli: Cli, configured: dict[str, Any], folder: Path
) -> None:
    cli("demo", folder)

    async def resume() -> list[CronScheduleState]:
        async with Database(**configured) as db:
            schedules = (await db.workflows.page_cron_schedules()).items
            for each in schedules:
                await db.workflows.resume_cron_trigger(each.workflow_id, actor="me")
            return [each.state for each in schedules]

    asyncio.run(resume())
    asyncio.run(stranger(configured, strange_run))
    assert "Others have schedules" in cli("demo", folder).err
    assert asyncio.run(resume()) == [CronScheduleState.PAUSED] * 2


def test_the_secret_of_the_webhooks_is_not_shown(
    cli: Cli, configured: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_urlsafe", lambda _: "open-sesame")
    for args in (("demo",), ("demo", "--json")):
        done = cli(*args)
        assert done.status == 0
        assert "sesame" not in done.out + done.err
    for run in asyncio.run(runs_of(configured)):
        text = str(run.input_payload)
        assert "sesame" not in text
        assert "sha256=" not in text


async def runs_of(settings: dict[str, Any]) -> list[WorkflowRun]:
    async with Database(**settings) as db:
        return (await db.workflows.page_runs(limit=1000)).items


def test_both_databases_find_the_same(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, configured: dict[str, Any]
) -> None:
    ours = cli("demo", "--json").json
    theirs = cli("demo", "--json", "--database-path", ":memory:").json
    for part in ("workflow_searches", "run_searches", "run_filters", "all_runs", "workflows"):
        assert ours[part] == theirs[part]


def test_summary_for_people(cli: Cli, configured: dict[str, Any]) -> None:
    done = cli("demo")
    assert done.status == 0
    assert done.err.startswith("Storing 6 graphs in ")
    for text in (
        "Triggers, and the runs they started",
        "Outbox: 48 runs claimed, 42 acknowledged, 6 given back",
        "orcheo-sql schedules list",
        "Stored in ",
        "schema version",
        "rueckerstattung-pruefen",
        "Queries",
        "Next:",
        "東京",
    ):
        assert text in done.out
    assert done.out.count("\n") < 120


def test_it_says_where(cli: Cli, configured: dict[str, Any], dialect: str) -> None:
    place = cli("demo", "--json").json["database"]
    if dialect == "sqlite":
        assert place == f"SQLite {configured['database_path']}"
    else:
        assert place.startswith("PostgreSQL postgresql://")


def test_repeating_adds_runs_only(cli: Cli, configured: dict[str, Any], folder: Path) -> None:
    first = cli("demo", folder, "--json").json
    assert [w["versions"] for w in first["workflows"]] == [2, 1]
    again = cli("demo", folder, "--json").json
    assert (again["new_workflows"], again["new_versions"], again["new_runs"]) == (0, 0, 16)
    assert [w["versions"] for w in again["workflows"]] == [2, 1]
    assert [w["changed"] for w in again["workflows"]] == ["as before", "as before"]
    assert sum(again["all_runs"].values()) == 32


def test_changed_graph_is_a_new_version(cli: Cli, configured: dict[str, Any], folder: Path) -> None:
    cli("demo", folder)
    write(folder, "second", {"name": "Renamed", "nodes": [{"id": "z", "label": "Zebra"}]})
    report = cli("demo", folder, "--json", "--search", "zebra", "--search", "renamed").json
    assert (report["new_workflows"], report["new_versions"]) == (0, 1)
    assert [(w["name"], w["versions"]) for w in report["workflows"]] == [
        ("First", 2),
        ("Renamed", 2),
    ]
    assert [(f["asked"], f["examples"]) for f in report["workflow_searches"]] == [
        ("zebra", ["second"]),
        ("renamed", ["second"]),
    ]


def test_order_of_keys_is_no_change(cli: Cli, configured: dict[str, Any], folder: Path) -> None:
    cli("demo", folder)
    graph = json.loads((folder / "first.json").read_text())
    write(folder, "first", dict(reversed(graph.items())))
    assert cli("demo", folder, "--json").json["new_versions"] == 0


async def create(
    settings: dict[str, Any], handle: str, *, tags: list[str], archived: bool = False
) -> None:
    async with Database(**settings) as db:
        made = await db.workflows.create_workflow(
            name="Mine", handle=handle, slug=None, description=None, tags=tags,
            draft_access="personal", actor="ada",
        )  # fmt: skip
        if archived:
            await db.workflows.archive_workflow(made.id, actor="ada")


async def titles(settings: dict[str, Any]) -> dict[str | None, str]:
    async with Database(**settings) as db:
        return {w.handle: w.name for w in await db.workflows.list_workflows(include_archived=True)}


def test_workflows_of_others_are_left_alone(
    cli: Cli, configured: dict[str, Any], folder: Path
) -> None:
    asyncio.run(create(configured, "first", tags=["support"]))
    done = cli("demo", folder, "--json")
    assert done.status == 1
    [problem] = done.json["problems"]
    assert problem["file"] == "first.json"
    assert "not the demo's" in problem["problem"]
    assert done.json["new_workflows"] == 1
    assert asyncio.run(titles(configured)) == {"first": "Mine", "second": "Second"}


def test_archived_workflow_of_the_demo_comes_back(
    cli: Cli, configured: dict[str, Any], folder: Path
) -> None:
    asyncio.run(create(configured, "first", tags=[TAG], archived=True))
    report = cli("demo", folder, "--json").json
    assert report["problems"] == []
    assert report["new_runs"] == 16
    # It had no version yet.
    assert report["workflows"][0]["versions"] == 1


def test_bad_files_are_named_and_skipped(
    cli: Cli, configured: dict[str, Any], folder: Path
) -> None:
    (folder / "broken.json").write_text("{")
    (folder / "list.json").write_text("[]")
    write(folder, "hostile", {"nodes": [{"label": "a\0b"}]})
    write(folder, "numbers", {"big": 10**30})
    write(folder, "deep", {})
    (folder / "deep.json").write_text('{"a":' * 300 + "1" + "}" * 300)
    done = cli("demo", folder)
    assert done.status == 1
    assert "first  " in done.out
    for name in ("broken", "list", "hostile", "numbers", "deep"):
        assert f"Error: {name}.json: " in done.err
    assert "nodes[0].label" in done.err
    assert done.is_quiet
    assert set(asyncio.run(titles(configured))) == {"first", "second"}


def test_nothing_but_bad_files_opens_no_database(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    for args in (("demo", tmp_path), ("demo", tmp_path, "--json")):
        done = cli(*args)
        assert done.status == 1
        assert "broken.json" in done.err
    assert not (tmp_path / "home" / ".orcheo").exists()


def test_missing_folder(cli: Cli, tmp_path: Path) -> None:
    done = cli("demo", tmp_path / "missing")
    assert done.status == 2
    assert "no such folder" in done.err
    assert done.is_quiet


def test_hostile_names_do_not_reach_the_terminal(
    cli: Cli, configured: dict[str, Any], folder: Path
) -> None:
    write(folder, "red", {"name": "\x1b[31mRed", "nodes": [{"label": "x" * 100_000}]})
    done = cli("demo", folder)
    assert done.status == 0
    assert "\x1b" not in done.out
    assert len(done.out) < 20_000


def test_without_runs(cli: Cli, configured: dict[str, Any]) -> None:
    report = cli("demo", "--runs", "0", "--json").json
    assert report["new_runs"] == 0
    assert sum(line["runs"] for line in report["triggers"]) == 0
    assert report["audit_trail"]["records"] == []
    assert cli("demo", "--runs", "0").status == 0


def test_default_place_is_the_home_folder(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "home" / ".orcheo" / "orcheo.sqlite"
    done = cli("demo")
    assert f"Stored in SQLite {path}" in done.out
    assert f"sqlite3 {path} " in done.out
    assert path.stat().st_mode & 0o077 == 0


def test_database_path_wins(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEO_REPOSITORY_BACKEND", "postgres")
    monkeypatch.setenv("ORCHEO_POSTGRES_DSN", "postgresql://ada:hunter2@127.0.0.1:1/x")
    monkeypatch.setenv("ORCHEO_REPOSITORY_SQLITE_PATH", str(tmp_path / "other.sqlite"))
    done = cli("demo", "--database-path", tmp_path / "mine.sqlite")
    assert done.status == 0
    assert (tmp_path / "mine.sqlite").exists()
    assert not (tmp_path / "other.sqlite").exists()


def test_in_memory(cli: Cli, tmp_path: Path) -> None:
    done = cli("demo", "--database-path", ":memory:")
    assert done.status == 0
    assert "Stored in SQLite in memory" in done.out
    assert not (tmp_path / "home" / ".orcheo").exists()


def test_wrong_search(cli: Cli, configured: dict[str, Any]) -> None:
    done = cli("demo", "--search", "-x")
    assert done.status == 1
    assert done.is_quiet


def test_everything_is_the_demos(cli: Cli, configured: dict[str, Any]) -> None:
    cli("demo", "--runs", "1")

    async def look() -> None:
        async with Database(**configured) as db:
            for workflow in await db.workflows.list_workflows():
                assert TAG in workflow.tags
                assert workflow.audit_log[0].actor == ACTOR
                versions = await db.workflows.list_versions(workflow.id)
                assert versions[-1].graph["nodes"]

    asyncio.run(look())


def test_many_at_once(configured: dict[str, Any]) -> None:
    children = [
        subprocess.Popen(
            command("demo", "--json"),
            env=child_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    reports = []
    for child in children:
        out, err = child.communicate(timeout=120)
        assert child.returncode == 0, err.decode()
        reports.append(json.loads(out))
    assert sum(report["new_workflows"] for report in reports) == SAMPLES
    versions = {tuple(w["versions"] for w in report["workflows"]) for report in reports}
    assert versions == {(2, 1, 2, 1, 2, 1)}
    assert all(report["run_pages"]["repeated"] == 0 for report in reports)
    # Each has its runs, whoever dispatched the schedules and did the work.
    assert [report["new_runs"] for report in reports] == [8 * SAMPLES] * 3
    assert len(asyncio.run(runs_of(configured))) == 3 * 8 * SAMPLES


def test_a_large_folder_has_a_short_summary(
    cli: Cli, tmp_path: Path, configured: dict[str, Any]
) -> None:
    for number in range(20):
        nodes = [{"id": "a", "label": f"Step {number}"}, {"id": "b", "label": "Common answer"}]
        write(tmp_path, f"graph {number:02}", {"nodes": nodes})
    done = cli("demo", tmp_path, "--runs", "1")
    assert done.status == 0
    assert "and 8 more" in done.out
    assert '"Common answer"' in done.out
