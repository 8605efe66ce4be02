from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Cli, child_environment, command

from orcheo_sql import Database
from orcheo_sql.cli._demo_store import ACTOR, TAG

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
    assert {"workflows.insert_run", "workflows.search_workflows"} <= {
        timing["query"] for timing in report["timings"]
    }
    assert report["problems"] == []


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
        "Stored in ",
        "schema version",
        "rueckerstattung-pruefen",
        "Queries",
        "Next:",
        "東京",
    ):
        assert text in done.out
    assert done.out.count("\n") < 100


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
