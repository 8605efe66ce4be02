"""What operators do to schedules, listeners and the outbox."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import Cli
from tests.cli.databases import tables
from tests.repositories.factories import (
    MISSING,
    direct,
    new_run,
    new_version,
    new_workflow,
    workflow_with_version,
)
from tests.repositories.listeners import DISCORD, TELEGRAM, listen, served

from orcheo_sql import CronTriggerConfig, Database
from orcheo_sql.cli._operator import seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
LISTS = [("schedules", "list"), ("listeners", "list"), ("outbox", "list")]


def prepare(
    settings: dict[str, Any], work: Callable[[Database], Awaitable[Any]], **more: Any
) -> Any:
    """Do something with the configured database before a command looks at it."""

    async def run() -> Any:
        async with Database(**settings, **more) as db:
            return await work(db)

    return asyncio.run(run())


async def three_schedules(db: Database) -> None:
    for handle, minute in (("first", 0), ("second", 15), ("third", 30)):
        version = await new_version(db, (await new_workflow(db, handle=handle)).id)
        await db.workflows.configure_cron_trigger(
            version.workflow_id, CronTriggerConfig(expression=f"{minute} 6 * * *")
        )


@pytest.mark.parametrize("command", LISTS)
def test_lists_of_an_empty_database(cli: Cli, configured: dict[str, Any], command: Any) -> None:
    assert cli(*command).status == 0
    assert cli(*command, "--json").json in (
        [],
        {"counts": {"total": 0, "offered": 0, "claimed": 0}, "entries": []},
    )


@pytest.mark.parametrize("command", LISTS)
def test_lists_create_and_migrate_nothing(
    cli: Cli, unmigrated: dict[str, Any], command: Any
) -> None:
    done = cli(*command)
    assert done.status in (2, 3)
    assert "orcheo-sql migrate up" in done.err
    assert done.is_quiet
    assert tables(unmigrated) == set()


def test_a_schedule_that_cannot_be_read_is_listed(cli: Cli, configured: dict[str, Any]) -> None:
    prepare(configured, three_schedules)

    async def spoil() -> None:
        async with direct(configured) as connection:
            await connection.execute(
                r"""UPDATE cron_triggers SET config = '{"expression": "\ud800"}'"""
            )

    asyncio.run(spoil())
    assert {s["config"] for s in cli("schedules", "list", "--json").json} == {None}
    assert "unreadable" in cli("schedules", "list").out
    assert cli("schedules", "pause", "second").status == 0


def test_schedules_are_listed_paused_and_resumed(cli: Cli, configured: dict[str, Any]) -> None:
    prepare(configured, three_schedules)
    found = cli("schedules", "list", "--json").json
    assert [s["config"]["expression"][:2].strip() for s in found] == ["0", "15", "30"]
    assert {(s["state"], s["next_fire_at"]) for s in found} == {("active", None)}
    assert "not looked at yet" in cli("schedules", "list").out

    paused = cli("schedules", "pause", "second", "--actor", "grace", "--json")
    assert (paused.status, paused.json["state"]) == (0, "paused")
    assert [s["state"] for s in cli("schedules", "list", "--json").json] == [
        "active",
        "paused",
        "active",
    ]
    assert cli("schedules", "resume", found[1]["workflow_id"], "--json").json["state"] == "active"

    async def actors(db: Database) -> list[str]:
        page = await db.workflows.page_audit_records(
            await db.workflows.resolve_workflow_ref("second")
        )
        return [entry.record.actor for entry in page.items][-2:]

    assert prepare(configured, actors) == ["grace", "orcheo-sql"]


def test_a_long_list_is_cut_and_says_so(cli: Cli, configured: dict[str, Any]) -> None:
    prepare(configured, three_schedules)
    done = cli("schedules", "list", "--limit", "2", "--json")
    assert len(done.json) == 2
    assert "--limit" in done.err
    whole = cli("schedules", "list", "--limit", "3", "--json")
    assert (len(whole.json), whole.err) == (3, "")


def test_what_is_not_there_is_named(cli: Cli, configured: dict[str, Any]) -> None:
    prepare(configured, lambda db: new_workflow(db, handle="idle"))
    for args, words in (
        (("schedules", "pause", "nobody"), "no workflow has the id or handle 'nobody'"),
        (("schedules", "resume", "idle"), "No cron trigger"),
        (("listeners", "list", "--workflow", "nobody"), "'nobody'"),
        (("listeners", "pause", str(MISSING)), "orcheo-sql listeners list"),
    ):
        done = cli(*args)
        assert (done.status, done.out) == (1, ""), args
        assert words in done.err
        assert done.is_quiet


def test_runs_of_a_dead_worker_are_swept(cli: Cli, configured: dict[str, Any]) -> None:
    async def work(db: Database) -> None:
        version = await workflow_with_version(db)
        for started in (True, True, False):
            run = await new_run(db, version)
            if started:
                await db.workflows.mark_run_started(run.id, actor="gone")

    prepare(configured, work, clock=lambda: LONG_AGO)
    assert cli("schedules", "sweep", "--stale-for", "3000d").out == "Marked 0 runs as failed\n"
    assert cli("schedules", "sweep", "--stale-for", "6h", "--json").json == {"failed": 2}
    assert cli("schedules", "sweep", "--stale-for", "6h", "--json").json == {"failed": 0}
    pending = cli("schedules", "sweep", "--stale-for", "1d", "--status", "pending", "--json")
    assert pending.json == {"failed": 1}


def test_listeners_are_listed_paused_and_resumed(cli: Cli, configured: dict[str, Any]) -> None:
    async def work(db: Database) -> str:
        bot = await listen(db, {**TELEGRAM, "token": "12:hunter2"}, DISCORD)
        await db.workflows.claim_listener_lease(bot.id, runtime_id="runtime 7", lease_seconds=600)
        return str(bot.id)

    bot = prepare(configured, work)
    listed = cli("listeners", "list")
    assert "runtime 7" in listed.out
    assert len(cli("listeners", "list", "--json").json) == 2
    for done in (
        listed,
        cli("listeners", "list", "--json"),
        cli("listeners", "pause", bot, "--json"),
    ):
        assert "hunter2" not in done.out + done.err
    found = {each["id"]: each for each in cli("listeners", "list", "--json").json}
    assert (found[bot]["status"], found[bot]["assigned_runtime"]) == ("paused", None)
    assert cli("listeners", "resume", bot, "--json").json["status"] == "active"


def test_listeners_of_one_workflow_and_of_older_versions(
    cli: Cli, configured: dict[str, Any]
) -> None:
    async def work(db: Database) -> str:
        await listen(db, DISCORD)
        workflow = await new_workflow(db, handle="support")
        await listen(db, workflow_id=workflow.id)
        await listen(db, workflow_id=workflow.id)
        return str(workflow.id)

    workflow = prepare(configured, work)
    assert len(cli("listeners", "list", "--json").json) == 2
    assert len(cli("listeners", "list", "--all", "--json").json) == 3
    for reference in ("support", workflow):
        [one] = cli("listeners", "list", "--workflow", reference, "--json").json
        assert one["workflow_id"] == workflow


def test_what_is_over_is_forgotten(cli: Cli, configured: dict[str, Any]) -> None:
    async def work(db: Database) -> None:
        workflow = await new_workflow(db)
        await listen(db, workflow_id=workflow.id)
        [bot] = await served(db, workflow.id)
        await listen(db, DISCORD, workflow_id=workflow.id)
        assert await served(db, workflow.id) != [bot]

    prepare(configured, work, clock=lambda: LONG_AGO)
    kept = cli("listeners", "sweep", "--disabled-for", "3000d", "--json").json
    assert kept == {"events": 0, "subscriptions": 0}
    assert cli("listeners", "sweep", "--json").json == {"events": 0, "subscriptions": 1}
    assert len(cli("listeners", "list", "--all", "--json").json) == 1


def test_the_outbox_is_listed_and_swept(cli: Cli, configured: dict[str, Any]) -> None:
    async def work(db: Database) -> None:
        version = await workflow_with_version(db)
        for _ in range(3):
            await new_run(db, version, hand_off=True)
        [lost, _] = await db.workflows.claim_outbox(
            consumer="worker 1", limit=2, lease_seconds=3600
        )
        await db.workflows.acknowledge_outbox([lost])

    prepare(configured, work)
    document = cli("outbox", "list", "--json").json
    assert document["counts"] == {"total": 2, "offered": 1, "claimed": 1}
    assert sorted(str(e["consumer"]) for e in document["entries"]) == ["None", "worker 1"]
    shown = cli("outbox", "list").out
    assert "2 runs, 1 offered, 1 claimed" in shown
    assert cli("outbox", "sweep", "--pending-for", "1h", "--json").json == {"offered": 0}
    assert cli("outbox", "sweep", "--pending-for", "0s", "--json").json == {"offered": 1}
    assert cli("outbox", "list", "--json").json["counts"]["total"] == 3


def test_spans() -> None:
    assert [seconds(s) for s in ("90", "90s", "15m", "2H", " 1.5d ")] == [90, 90, 900, 7200, 129600]


@pytest.mark.parametrize("span", ["", "m", "-5m", "5 m", "1w", "1e9", "nan", "9" * 40, "1.5.2h"])
def test_what_is_no_span(cli: Cli, configured: dict[str, Any], span: str) -> None:
    done = cli("outbox", "sweep", f"--pending-for={span}")
    assert (done.status, done.is_quiet) == (2, True)
    assert re.search(r"90s, 15m", done.err)


@pytest.mark.parametrize(
    "command",
    [
        ("outbox", "sweep", "--pending-for"),
        ("schedules", "sweep", "--stale-for"),
        ("listeners", "sweep", "--disabled-for"),
    ],
)
def test_a_span_beyond_ten_years(cli: Cli, configured: dict[str, Any], command: Any) -> None:
    done = cli(*command, "999999999d")
    assert (done.status, done.is_quiet) == (2, True)
    assert "ten years" in done.err
