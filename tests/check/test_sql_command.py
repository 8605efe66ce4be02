"""``orcheo-sql sql``, as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from orcheo_sql.check import query_types
from orcheo_sql.check import run as checks
from orcheo_sql.check.findings import shown
from orcheo_sql.cli import main

if TYPE_CHECKING:
    import sqlite3

    from tests.check.conftest import Tree

    from orcheo_sql.check.scratch_postgres import ScratchPostgres


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Sql(Protocol):
    def __call__(self, *args: str | Path) -> Outcome: ...


@pytest.fixture
def sql(capfd: pytest.CaptureFixture[str]) -> Sql:
    def run(*args: str | Path) -> Outcome:
        capfd.readouterr()
        status = main(["sql", *map(str, args)])
        outcome = Outcome(status, *capfd.readouterr())
        assert "Traceback" not in outcome.out + outcome.err
        return outcome

    return run


@pytest.fixture
def dsn(postgres_server: ScratchPostgres, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ORCHEO_TEST_POSTGRES_DSN", postgres_server.dsn)
    return postgres_server.dsn


def test_the_real_trees_are_clean(sql: Sql, dsn: str) -> None:
    outcome = sql("check", "--postgres-dsn", dsn)
    assert outcome.out.endswith("queries checked, 0 findings\n"), outcome.out
    assert (outcome.status, outcome.err) == (0, "")


def test_findings_are_printed_with_their_place(
    sql: Sql, dsn: str, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = tree.query("sqlite", "runs", "get_run", "o.output_payload,", "o.output_paylod,")
    monkeypatch.chdir(tree.root)
    outcome = sql("check", "get_run", "--root", tree.root)
    assert outcome.status == 1
    place = f"sqlite/queries/workflows/runs.sql:{line}: get_run: SQLite can't prepare it"
    assert place in outcome.out
    assert "2 queries checked" in outcome.out
    report = sql("check", "get_run", "--root", tree.root, "--json", "--dialect", "sqlite").json
    assert any(f["line"] == line and f["file"].endswith("runs.sql") for f in report["findings"])
    assert report["problem"] is None


def test_a_check_that_can_not_be_made(sql: Sql, tmp_path: Path, tree: Tree) -> None:
    outcome = sql("check", "get_run", "--postgres-dsn", "postgresql://nobody@127.0.0.1:1/x")
    assert outcome.status == 2
    assert "not everything could be checked" in outcome.err
    assert sql("check", "--root", tmp_path / "none").status == 2
    assert "no query is named 'get_rum'" in sql("check", "get_rum").err


def test_check_runs_in_a_process_of_its_own(tree: Tree) -> None:
    tree.query("sqlite", "runs", "get_run", "FROM", "from")
    command = [sys.executable, "-m", "orcheo_sql", "sql", "check", "get_run"]
    made = subprocess.run(
        [*command, "--dialect", "sqlite", "--root", tree.root],
        capture_output=True,
        text=True,
        check=False,
        cwd=tree.root,
        env={**os.environ, "PYTHONPATH": str(Path(checks.__file__).parents[2])},
    )
    assert made.returncode == 1, made.stderr
    assert "keyword from is written FROM" in made.stdout
    assert made.stderr == ""


OVERRIDE = """\
-- name: get_run(id)^
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL AS output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
WHERE r.id = :id;
"""


@pytest.fixture
def override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "mine" / "sqlite" / "queries" / "workflows" / "mine.sql"
    path.parent.mkdir(parents=True)
    path.write_text(OVERRIDE)
    monkeypatch.setenv("ORCHEO_SQL_OVERRIDE_DIR", str(tmp_path / "mine"))
    return path


def test_overrides_are_checked(
    sql: Sql, override: Path, filled_sqlite: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "sqlite_scratch", lambda _root: nullcontext(filled_sqlite))
    arguments = ["check", "get_run", "start_run", "get_version", "--dialect", "sqlite"]
    assert sql(*arguments).out == "6 queries checked, 0 findings\n"
    wrong = [
        ("i.run_number", "i.rum_number", 6, "can't prepare it"),
        ("r.error\n", "r.errors\n", 1, "returns the columns"),
        ("(id)^", "(id, extra)^", 1, "takes (id, extra)"),
        ("(id)^", "(id)", 1, "has operator"),
        ("get_run(", "get_rum(", 1, "replaces nothing"),
        ("WHERE r.id", "WHERE date('now') > '2' AND r.id", 7, "time and chance"),
        ("WHERE r.id = :id", "WHERE r.id || '' = :id", 1, "reads all of table workflow_runs"),
        ("NULL AS output", "'{' AS output", 1, "column output_payload does not fit"),
    ]
    for old, new, line, words in wrong:
        changed = OVERRIDE.replace(old, new)
        assert changed != OVERRIDE
        if new == "(id, extra)^":
            changed = changed.replace("= :id;", "= :id AND :extra IS NULL;")
        override.write_text(changed)
        outcome = sql(*arguments)
        expected = [x for x in outcome.out.splitlines() if f"mine.sql:{line}:" in x and words in x]
        assert outcome.status == 1
        assert expected, (words, outcome.out)


def test_a_folder_of_overrides_without_queries(sql: Sql, tmp_path: Path) -> None:
    outcome = sql("check", "get_run", "--dialect", "sqlite", "--overrides", tmp_path)
    assert outcome.status == 1
    assert "nothing is replaced" in outcome.out


def test_list(sql: Sql, override: Path) -> None:
    outcome = sql("list", "GET_RUN")
    assert outcome.err == "2 queries\n"
    assert (
        "workflows/mine.sql:1: workflows.get_run(id)^ -> WorkflowRun (replaces the packaged query)"
        in outcome.out
    )
    [first, _] = sql("list", "get_run", "--json", "--dialect", "postgres").json
    assert (first["name"], first["operator"], first["parameters"]) == (
        "workflows.get_run",
        "^",
        ["id"],
    )
    assert first["returns"] == "WorkflowRun"
    assert not first["overridden"]


def test_show(sql: Sql, override: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = sql("show", "get_run")
    assert "-- sqlite," in outcome.out
    assert "(replaces the packaged query)\n/* workflows.get_run */ SELECT" in outcome.out
    assert "WHERE r.id = $1;" in outcome.out
    source = sql("show", "workflows.get_run", "--dialect", "sqlite", "--source").out
    assert source.partition("\n")[2] == OVERRIDE
    [document] = sql("show", "get_run", "--dialect", "postgres", "--json").json
    assert document["sql"].endswith("WHERE r.id = $1;")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "400")
    assert any(
        "-- sqlite" in x and "-- postgres" in x for x in sql("show", "get_run").out.splitlines()
    )


def test_an_unknown_query(sql: Sql) -> None:
    for command in ("show", "explain"):
        outcome = sql(command, "gte_run")
        assert outcome.status == 2
        assert outcome.err.startswith("Error: no query is named 'gte_run'; did you mean get_run")
        assert outcome.err.count("\n") == 1
    assert "sql list" in sql("show", "zzz").err


def test_explain_on_scratch_databases(sql: Sql, dsn: str) -> None:
    outcome = sql("explain", "get_version_by_number", "--scratch", "-p", "version=7")
    assert "on a scratch sqlite database\n--   workflow_id = 0000" in outcome.out
    assert "--   version = 7\n" in outcome.out
    assert "SEARCH workflow_versions USING INDEX" in outcome.out
    document = sql(
        "explain", "filter_runs", "--scratch", "--dialect", "postgres", "--json",
        "-p", 'input_contains={"customer":"c-3"}', "-p", "metadata_contains=null",
    ).json  # fmt: skip
    assert document["arguments"]["input_contains"] == '{"customer":"c-3"}'
    assert document["arguments"]["metadata_contains"] is None
    assert any("Scan" in line for line in document["plan"])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("version", "expected name=value with a name of: workflow_id, version"),
        ("versoin=1", "expected name=value with a name of: workflow_id, version"),
        ("version=one", "version: 'one' is no bigint"),
        ("workflow_id=7", "workflow_id: '7' is no uuid"),
    ],
)
def test_wrong_arguments(sql: Sql, argument: str, message: str) -> None:
    outcome = sql("explain", "get_version_by_number", "--scratch", "-p", argument)
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1


def test_explain_on_the_configured_database(
    sql: Sql,
    dialect: str,
    settings_of: dict[str, Any],
    empty_settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings_of.items():
        monkeypatch.setenv(f"ORCHEO_{name.upper()}", str(value))
    outcome = sql("explain", "fail_run")
    assert outcome.status == 0, outcome.err
    assert "workflows.fail_run on " in outcome.out
    assert "workflow_run" in outcome.out
    other = {"sqlite": "postgres", "postgres": "sqlite"}[dialect]
    assert "--dialect is for --scratch" in sql("explain", "fail_run", "--dialect", other).err
    for name, value in empty_settings.items():
        monkeypatch.setenv(f"ORCHEO_{name.upper()}", str(value))
    outcome = sql("explain", "fail_run")
    assert outcome.status == 2
    assert "orcheo-sql migrate" in outcome.err
    if dialect == "sqlite":
        Path(empty_settings["database_path"]).touch()
        assert "is the schema there?" in sql("explain", "fail_run").err
        monkeypatch.setenv("ORCHEO_DATABASE_PATH", ":memory:")
        assert "in memory" in sql("explain", "fail_run").err


def test_a_server_that_is_down(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHEO_REPOSITORY_BACKEND", "postgres")
    monkeypatch.setenv("ORCHEO_POSTGRES_DSN", "postgresql://ada:hidden@127.0.0.1:1/x")
    outcome = sql("explain", "get_run")
    assert outcome.status == 2
    assert "hidden" not in outcome.err
    assert outcome.err.count("\n") == 1


def test_types(sql: Sql, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sql("types", "--check").status == 0
    path = tmp_path / "types.py"
    real = query_types.path_of_types().read_text()
    monkeypatch.setattr(query_types, "path_of_types", lambda: path)
    outcome = sql("types", "--check")
    assert (outcome.status, outcome.out) == (
        1,
        f"{shown(path)}:1: the generated file is missing; run: orcheo-sql sql types\n",
    )
    assert sql("types").status == 0
    assert path.read_text() == real


def test_docs(sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from orcheo_sql.check import docs

    folder = tmp_path / "docs"
    folder.mkdir()
    monkeypatch.setattr(docs, "docs_folder", lambda: folder)
    assert sql("docs", "--check").status == 1
    assert sql("docs").status == 0
    assert sql("docs", "--check").status == 0
    assert {p.name for p in folder.iterdir()} == set(docs.PAGES)
    assert docs.main(["--check"]) == 0
    (folder / "settings.md").write_text("# Settings\n")
    assert docs.main(["--check"]) == 1
    assert docs.main(["--write"]) == 0
    assert docs.main([]) == 2
    monkeypatch.setattr(docs, "docs_folder", lambda: None)
    assert docs.main(["--check"]) == 2
    assert "part of a checkout" in sql("docs").err


def test_ten_breaks_at_once_are_all_found(sql: Sql, dsn: str, tree: Tree) -> None:
    sqlite, postgres = "sqlite/queries/workflows", "postgres/queries/workflows"
    line = {
        "can't prepare it: no such column": tree.query(
            "sqlite", "runs", "get_run", "o.output_payload,", "o.output_paylod,"
        ),
        "can't prepare it: relation": tree.query(
            "postgres", "versions", "get_version", "FROM workflow_versions", "FROM workflow_version"
        ),
        "keyword where is written WHERE": tree.query(
            "postgres", "workflows", "get_workflow", "WHERE id", "where id"
        ),
        "undeclared parameter": tree.query(
            "sqlite", "versions", "get_latest_version", "(workflow_id)", "(workflow)"
        ),
        "has operator none": tree.query(
            "sqlite", "run_lists", "count_runs_by_workflow", "(workflow_id)^", "(workflow_id)"
        ),
        "no struct is named 'AuditEntri'": tree.query(
            "postgres", "audit", "list_audit_records", "AuditEntry", "AuditEntri"
        ),
        "does not use index ix_workflows__created": tree.query(
            "sqlite", "workflows", "list_workflows", "workflows__active_c", "workflows__c"
        ),
        "is boolean, WorkflowRun.error needs": tree.query(
            "postgres", "runs", "start_run", "completed_at, error;", "completed_at, TRUE AS error;"
        ),
        "now: time and chance": tree.query(
            "sqlite", "runs", "prune_runs", ":created_before", "now() AND :created_before"
        ),
    }
    tree.query("postgres", "versions", "list_versions", "version > :after", "version + 0 > :after")
    tree.query("postgres", "workflows", "revoke_publish", "published_by, require", "require")
    returns = tree.line(f"{postgres}/workflows.sql", "-- Returns:", after="name: revoke_publish")
    line["missing published_by"] = returns
    differs = tree.line(f"{sqlite}/versions.sql", "-- name: list_versions(")
    line["list_versions: differs from its twin"] = differs
    outcome = sql("check", "--root", tree.root)
    for words, number in line.items():
        assert any(f":{number}: " in x and words in x for x in outcome.out.splitlines()), (
            words,
            outcome.out,
        )
    assert len(line) >= 11
