"""The trees are broken in one way at a time, and each way is found with its file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.check.conftest import found

if TYPE_CHECKING:
    from pathlib import Path

    from tests.check.conftest import Checker, Tree

DIALECTS = ("sqlite", "postgres")


def sql(tree: Tree, dialect: str, file: str) -> Path:
    return tree.root / dialect / "queries" / "workflows" / f"{file}.sql"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_typo_in_a_column(tree: Tree, check: Checker, dialect: str) -> None:
    line = tree.query(dialect, "runs", "get_run", "o.output_payload,", "o.output_paylod,")
    title = {"sqlite": "SQLite", "postgres": "PostgreSQL"}[dialect]
    found(check("get_run"), sql(tree, dialect, "runs"), line, f"{title} can't prepare it", "paylod")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_missing_twin(tree: Tree, check: Checker, dialect: str) -> None:
    other = {"sqlite": "postgres", "postgres": "sqlite"}[dialect]
    path = sql(tree, dialect, "versions")
    text = path.read_text()
    start, end = text.index("-- name: get_latest"), text.index("-- name: list_versions(")
    path.write_text(text[:start] + text[end:])
    line = tree.line(f"{other}/queries/workflows/versions.sql", "-- name: get_latest_version")
    found(check.static(), sql(tree, other, "versions"), line, "get_latest_version has no twin")


def test_a_missing_file(tree: Tree, check: Checker) -> None:
    sql(tree, "sqlite", "audit").unlink()
    found(
        check.static(),
        sql(tree, "postgres", "audit"),
        1,
        "the sqlite tree has no",
        "workflows/audit.sql",
    )


def test_an_extra_parameter_on_either_side(tree: Tree, check: Checker) -> None:
    line = tree.query("sqlite", "versions", "get_version", "(id)^", "(id, kind)^")
    tree.query("sqlite", "versions", "get_version", "id = :id", "id = :id AND :kind IS NULL")
    findings = check.static()
    found(findings, sql(tree, "sqlite", "versions"), line, "takes (id, kind)", "its twin (id)")

    line = tree.query("postgres", "runs", "get_run", "(id)^", "(id, kind)^")
    tree.query("postgres", "runs", "get_run", "= :id", "= :id AND :kind::text IS NULL")
    findings = check.static()
    found(findings, sql(tree, "postgres", "runs"), line, "takes (id, kind)", "its twin (id)")


def test_a_wrong_operator(tree: Tree, check: Checker) -> None:
    line = tree.query("postgres", "runs", "get_run", "(id)^", "(id)")
    found(check.static(), sql(tree, "postgres", "runs"), line, "has operator none, its twin ^")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dropped_column_in_returning(tree: Tree, check: Checker, dialect: str) -> None:
    tree.query(dialect, "workflows", "publish_workflow", "published_by, require", "require")
    path = f"{dialect}/queries/workflows/workflows.sql"
    line = tree.line(path, "-- Returns:", after="-- name: publish_workflow")
    found(
        check("publish_workflow"),
        tree.root / path,
        line,
        "columns do not fit Workflow: missing published_by",
    )


def test_a_column_of_another_type(tree: Tree, check: Checker) -> None:
    line = tree.query(
        "postgres", "versions", "get_version", " version,", " version::text AS version,"
    )
    tree.query("sqlite", "workflows", "get_workflow", "is_archived, ", "'no' AS is_archived, ")
    findings = check("get_version", "get_workflow")
    found(
        findings,
        sql(tree, "postgres", "versions"),
        line,
        "column version is text, WorkflowVersion.version needs bigint",
    )
    line = tree.line("sqlite/queries/workflows/workflows.sql", "-- Returns:")
    found(
        findings, sql(tree, "sqlite", "workflows"), line, "column is_archived holds str", "0 or 1"
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_null_where_none_is_not_allowed(tree: Tree, check: Checker, dialect: str) -> None:
    tree.query(dialect, "runs", "get_run", "INNER JOIN workflow_run_i", "LEFT JOIN workflow_run_i")
    line = tree.line(
        f"{dialect}/queries/workflows/runs.sql", "i.input_payload", after="-- name: get_run("
    )
    found(
        check("get_run"),
        sql(tree, dialect, "runs"),
        line,
        "column input_payload is NULL where workflow_run_inputs has no row",
        "WorkflowRun.input_payload does not allow None",
    )


def test_a_nullable_column_and_a_null(tree: Tree, check: Checker) -> None:
    line = tree.query(
        "postgres", "versions", "get_version", "created_by, notes", "notes AS created_by, notes"
    )
    tree.query("sqlite", "versions", "get_version", "graph, ", "NULL AS graph, ")
    findings = check("get_version")
    found(
        findings,
        sql(tree, "postgres", "versions"),
        line,
        "column created_by may be NULL (workflow_versions.notes is not NOT NULL)",
    )
    line = tree.line("sqlite/queries/workflows/versions.sql", "NULL AS graph")
    found(findings, sql(tree, "sqlite", "versions"), line, "column graph is NULL")
    line = tree.line("sqlite/queries/workflows/versions.sql", "-- Returns:")
    found(findings, sql(tree, "sqlite", "versions"), line, "column graph was NULL")


def test_an_unknown_struct(tree: Tree, check: Checker) -> None:
    line = tree.query("sqlite", "runs", "get_run", "Returns: WorkflowRun", "Returns: WorkflowRum")
    found(check("get_run"), sql(tree, "sqlite", "runs"), line, "no struct is named 'WorkflowRum'")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_index_that_is_not_used(tree: Tree, check: Checker, dialect: str) -> None:
    line = tree.query(
        dialect, "run_lists", "list_runs", "runs__created in", "runs__status_created in"
    )
    path = sql(tree, dialect, "run_lists")
    found(
        check("list_runs"),
        path,
        line,
        "its plan does not use index ix_workflow_runs__status_created",
        "used: ix_workflow_runs__created",
    )
    tree.query(dialect, "run_lists", "list_runs", "runs__status_created", "runs__gone")
    found(check("list_runs"), path, line, "no index is named ix_workflow_runs__gone")


@pytest.mark.parametrize(
    ("dialect", "predicate"), [("sqlite", "id || '' = :id"), ("postgres", "id::text = :id::text")]
)
def test_a_predicate_that_reads_everything(
    tree: Tree, check: Checker, dialect: str, predicate: str
) -> None:
    tree.query(dialect, "workflows", "get_workflow", "WHERE id = :id", f"WHERE {predicate}")
    path = f"{dialect}/queries/workflows/workflows.sql"
    line = tree.line(path, "-- name: get_workflow")
    findings = check("get_workflow")
    found(findings, tree.root / path, line, "reads all of table workflows", "`Scan: why`")
    tree.query(
        dialect, "workflows", "get_workflow", "-- Index:", "-- Scan: here it may.\n-- Index:"
    )
    assert not any("reads all" in f.message for f in check("get_workflow"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_list_that_sorts(tree: Tree, check: Checker, dialect: str) -> None:
    tree.query(dialect, "run_lists", "list_runs", "ORDER BY r.created_at", "ORDER BY r.updated_at")
    path = f"{dialect}/queries/workflows/run_lists.sql"
    line = tree.line(path, "-- Index:", after="-- name: list_runs(")
    found(check("list_runs"), tree.root / path, line, "its plan sorts")


def test_a_join_that_outdated_statistics_turn_round(tree: Tree, check: Checker) -> None:
    for _ in range(3):
        tree.query("sqlite", "retries", "list_due_retries", "CROSS JOIN", "INNER JOIN")
    path = sql(tree, "sqlite", "retries")
    line = tree.line(
        "sqlite/queries/workflows/retries.sql", "-- Index:", after="-- name: list_due_retries("
    )
    findings = check("list_due_retries", dialects=("sqlite",))
    found(findings, path, line, "its plan sorts", "a smaller database without workflow_run_retries")
    assert all("smaller database" in finding.message for finding in findings)


def test_a_filter_that_misses_its_gin_index(tree: Tree, check: Checker) -> None:
    tree.query(
        "postgres",
        "run_filters",
        "filter_runs",
        "i.input_payload::jsonb @>",
        "(i.input_payload::jsonb || '{}') @>",
    )
    line = tree.line("postgres/queries/workflows/run_filters.sql", "-- Plan:")
    found(
        check("filter_runs"),
        sql(tree, "postgres", "run_filters"),
        line,
        "its plan uses no GIN index with input_contains",
    )


def test_a_duplicate_name(tree: Tree, check: Checker) -> None:
    line = tree.query("sqlite", "runs", "start_run", "start_run(", "get_run(")
    found(
        check.static(),
        sql(tree, "sqlite", "runs"),
        line,
        "get_run is already defined",
        "runs.sql:4",
    )


def test_calls(tree: Tree, check: Checker) -> None:
    file = "workflow_runs.py"
    wrong = tree.edit(file, "get_run(id=run_id)", "get_run(run_id=run_id)")
    unknown = tree.edit("workflow_catalog.py", "self.q.get_workflow(id", "self.q.fetch_workflow(id")
    positional = tree.edit(
        "workflow_versions.py", "get_version(id=version_id)", "get_version(version_id)"
    )
    spread = tree.edit("workflow_run_lists.py", "window: _Window =", "window: Any =")
    findings = check.static()
    found(findings, tree.code / file, wrong, "get_run has no parameter run_id", "runs.sql:4")
    found(findings, tree.code / file, wrong, "get_run: id missing")
    found(findings, tree.code / "workflow_catalog.py", unknown, "no query is named")
    found(findings, tree.code / "workflow_versions.py", positional, "arguments are keywords")
    assert spread
    uncalled = tree.line("postgres/queries/workflows/workflows.sql", "-- name: get_workflow")
    found(findings, sql(tree, "postgres", "workflows"), uncalled, "get_workflow is not called")


def test_conventions(tree: Tree, check: Checker) -> None:
    runs, versions = sql(tree, "postgres", "runs"), sql(tree, "sqlite", "versions")
    star = tree.query("postgres", "runs", "get_run", "SELECT\n    r.id,", "SELECT\n    r.*,")
    clock = tree.query("postgres", "runs", "start_run", "started_at = :now", "started_at = now()")
    slice_ = tree.query(
        "postgres", "runs", "prune_runs", "LIMIT :limit", "LIMIT (ARRAY[:limit, 2])[1:2]"
    )
    lower = tree.query("sqlite", "versions", "get_version", "FROM workflow", "from workflow")
    behind = tree.query("sqlite", "versions", "get_latest_version", "LIMIT 1;", "LIMIT 1; -- one")
    sentence = tree.query(
        "sqlite", "versions", "list_versions", "ascending number.", "ascending number"
    )
    returns = tree.query(
        "sqlite", "versions", "list_versions_by_number", "-- Returns: WorkflowVersion\n", ""
    )
    long = tree.query(
        "sqlite", "versions", "insert_version", "FROM workflows\n", f"FROM workflows{' ' * 120}\n"
    )
    percent = tree.query(
        "sqlite", "workflows", "exists_workflow", "id = :id", "id = :id AND name LIKE 'a%'"
    )
    semicolon = tree.query(
        "sqlite", "workflows", "delete_all_workflows", "FROM workflows;", "FROM workflows"
    )
    findings = check.static()
    found(findings, runs, star, "`. *`: write the columns out")
    found(findings, runs, clock, "now: time and chance are parameters")
    found(findings, runs, slice_, "an array slice")
    found(findings, versions, lower, "keyword from is written FROM")
    found(findings, versions, behind, "a comment behind code")
    found(findings, versions, sentence, "no full stop")
    found(findings, versions, returns - 2, "list_versions_by_number: has no tag `Returns:`")
    found(findings, versions, long, "characters, 120 are allowed")
    found(findings, versions, long, "the line ends with blanks")
    found(findings, sql(tree, "sqlite", "workflows"), percent, "a `%` in a text")
    found(findings, sql(tree, "sqlite", "workflows"), semicolon, "does not end with a semicolon")


def test_tags(tree: Tree, check: Checker) -> None:
    path = sql(tree, "postgres", "run_filters")
    unknown = tree.query(
        "postgres", "run_filters", "filter_runs", "for input_contains", "for contains"
    )
    form = tree.query("postgres", "run_filters", "filter_runs_by_workflow", "custom;", "always;")
    null = tree.query("postgres", "workflows", "resolve_workflow_ref", "Null: id (", "Null: ref (")
    tree.query("postgres", "runs", "prune_runs", "-- Index:", "-- Returns: int\n-- Index:")
    tree.query("postgres", "runs", "get_run", "= :id;", "= :id;\nSELECT 1;")
    doc = tree.query("sqlite", "workflows", "list_workflows", "-- List", "-- Name")
    findings = check.static()
    found(findings, path, unknown, "tag Plan names no parameter: contains")
    found(findings, path, form, "the tag reads `Plan: custom; GIN")
    workflows, runs = sql(tree, "postgres", "workflows"), sql(tree, "postgres", "runs")
    found(findings, workflows, null, "tag Null names no parameter: ref")
    file = "postgres/queries/workflows/runs.sql"
    line = tree.line(file, "-- name: prune_runs")
    found(findings, runs, line, "prune_runs: `Returns:` without meaning")
    found(findings, runs, tree.line(file, "-- name: get_run("), "get_run: has several statements")
    line = tree.line("postgres/queries/workflows/workflows.sql", "-- name: list_workflows(")
    found(findings, workflows, line, "its comment says something else")
    assert doc


def test_files_out_of_place(tree: Tree, check: Checker) -> None:
    path = tree.root / "sqlite" / "queries" / "loose.sql"
    path.write_text("-- name: x()\n-- X.\n-- Returns: int\nSELECT 1 AS x;\n")
    moved = sql(tree, "sqlite", "audit")
    moved.rename(moved.with_name("trail.sql"))
    findings = check.static()
    found(findings, path, 1, "query files are in folders")
    found(findings, moved.with_name("trail.sql"), 1, "the postgres tree has no")
    import shutil

    shutil.rmtree(tree.root / "sqlite" / "queries")
    found(check.static(), tree.root / "sqlite" / "queries", 1, "does not exist")


def test_a_query_in_another_file_than_its_twin(tree: Tree, check: Checker) -> None:
    versions, audit = sql(tree, "sqlite", "versions"), sql(tree, "sqlite", "audit")
    text = versions.read_text()
    start, end = text.index("-- name: get_version("), text.index("-- name: get_version_by")
    versions.write_text(text[:start] + text[end:])
    audit.write_text(audit.read_text() + "\n" + text[start:end].rstrip() + "\n")
    line = tree.line("sqlite/queries/workflows/audit.sql", "-- name: get_version(")
    found(check.static(), audit, line, "get_version has its twin in another file")


def test_more_conventions(tree: Tree, check: Checker) -> None:
    path = sql(tree, "sqlite", "audit")
    path.write_text(
        "-- name: First(a)\n"
        "-- Returns: int\n"
        "SELECT\n"
        "\ta % 2, datetime('now'), strftime('%s', :a), /* b */ CURRENT_TIMESTAMP\n"
        "FROM t;\n\n"
        "-- name: merge_things()!\n"
        "-- Merge.\n"
        "MERGE INTO t USING u ON TRUE WHEN MATCHED THEN DELETE;\n\n"
    )
    findings = check.static(code=None)
    for line, words in (
        (1, "the first line reads"),
        (1, "no comment says what it does"),
        (4, "a tab"),
        (4, "use mod(a, b)"),
        (4, "datetime: time and chance"),
        (4, "CURRENT_TIMESTAMP: time and chance"),
        (4, "/* */: comments are lines"),
        (9, "MERGE does not run"),
        (10, "does not end with one newline"),
    ):
        found(findings, path, line, words)


def test_a_name_on_two_lines(tree: Tree, check: Checker) -> None:
    line = tree.query("sqlite", "runs", "start_run", "id, now, event)^", "id, now,\n-- event)^")
    found(check.static(), sql(tree, "sqlite", "runs"), line, "invalid query name")


def test_a_difference_that_nobody_explains(tree: Tree, check: Checker) -> None:
    name = tree.line("sqlite/queries/workflows/runs.sql", "-- name: insert_run(")
    tree.query("sqlite", "runs", "insert_run", "-- Differs:", "-- Conflict:")
    found(
        check.static(),
        sql(tree, "sqlite", "runs"),
        name,
        "insert_run: differs from its twin",
        "`Differs:`",
    )


def test_twins_out_of_order(tree: Tree, check: Checker) -> None:
    path = sql(tree, "postgres", "versions")
    text = path.read_text()
    start, end = text.index("-- name: get_version("), text.index("-- name: get_version_by_number")
    path.write_text(text[:start] + text[end:] + "\n" + text[start:end].rstrip() + "\n")
    line = tree.line("postgres/queries/workflows/versions.sql", "-- name: get_version_by_number")
    found(check.static(), path, line, "get_version_by_number is out of order")


def test_twins_that_answer_differently(tree: Tree, check: Checker) -> None:
    tree.query("sqlite", "versions", "list_versions", "> :after_version", ">= :after_version + 3")
    tree.query("sqlite", "versions", "get_version", "id, created_at", "created_at, id")
    findings = check("list_versions", "get_version")
    path = "postgres/queries/workflows/versions.sql"
    found(
        findings,
        tree.root / path,
        tree.line(path, "-- name: list_versions("),
        "the databases answer differently: row 1, id: PostgreSQL",
    )
    found(
        findings,
        tree.root / path,
        tree.line(path, "-- name: get_version("),
        "result columns are id, created_at",
        "on SQLite created_at, id",
    )


def test_samples_that_find_nothing(tree: Tree, check: Checker) -> None:
    line = tree.edit(
        "postgres/seeds/workflows.sql", '"00000003-0000-4000-8000-00000000002a"', '"x"'
    )
    seeds = tree.root / "postgres/seeds/workflows.sql"
    found(check("get_run"), seeds, line, "get_run: id: 'x' is no uuid")
    tree.edit("postgres/seeds/workflows.sql", '"x"', '"00000003-0000-4000-8000-999999999999"')
    name = tree.line("postgres/queries/workflows/runs.sql", "-- name: get_run(")
    found(
        check("get_run"),
        sql(tree, "postgres", "runs"),
        name,
        "no row for the sample arguments",
        "-- sample: get_run.id",
    )
    tree.edit("postgres/seeds/workflows.sql", "-- sample: get_run.id =", "-- sample: get_run.id:")
    found(check.static(), tree.root / "postgres/seeds/workflows.sql", line, "a sample reads like")


def test_arguments_that_fail(tree: Tree, check: Checker) -> None:
    tree.query(
        "postgres",
        "versions",
        "update_version_runnable_config",
        "updated_at = greatest(updated_at, :now)",
        "updated_at = nullif(:now::timestamptz, :now)",
    )
    tree.query(
        "sqlite",
        "versions",
        "update_version_runnable_config",
        "updated_at = max(updated_at, :now)",
        "updated_at = nullif(:now, :now)",
    )
    line = tree.line("sqlite/queries/workflows/versions.sql", "-- name: update_version")
    findings = check("update_version_runnable_config")
    words = "fails with the sample arguments: NOT NULL constraint failed"
    found(findings, sql(tree, "sqlite", "versions"), line, words)
    line = tree.line("postgres/queries/workflows/versions.sql", "-- name: update_version")
    found(
        findings,
        sql(tree, "postgres", "versions"),
        line,
        "fails with the sample arguments: null value in column",
    )


def test_a_column_in_one_dialect_only(tree: Tree, check_anew: Checker) -> None:
    file = "migrations/0001_workflows.sql"
    line = tree.edit(f"postgres/{file}", "    notes text,\n", "    notes text,\n    extra text,\n")
    nullable = tree.edit(f"sqlite/{file}", "    slug TEXT NOT NULL,", "    slug TEXT,")
    index = tree.edit(f"sqlite/{file}", "ix_workflow_runs__created ON", "ix_workflow_runs__made ON")
    findings = check_anew("get_run")
    found(
        findings,
        tree.root / "postgres" / file,
        line,
        "column workflow_versions.extra is not made for SQLite",
    )
    slug = tree.line(f"postgres/{file}", "    slug text NOT NULL")
    assert nullable
    found(
        findings,
        tree.root / "postgres" / file,
        slug,
        "column workflows.slug may not be NULL, but may be NULL on SQLite",
    )
    found(findings, tree.root / "sqlite" / file, index, "index ix_workflow_runs__made is not made")


def test_a_migration_that_fails(tree: Tree, check_anew: Checker) -> None:
    file = "migrations/0001_workflows.sql"
    one = tree.edit(f"postgres/{file}", "latest_version bigint NOT", "latest_version bigin NOT")
    other = tree.edit(
        f"sqlite/{file}", "    graph TEXT NOT NULL,\n", "    graph TEXTUAL NOT NULL,\n"
    )
    findings = check_anew("get_run")
    found(findings, tree.root / "postgres" / file, one, 'type "bigin" does not exist')
    begin = tree.line(f"sqlite/{file}", "CREATE TABLE workflow_versions")
    assert other > begin
    found(findings, tree.root / "sqlite" / file, begin, "unknown datatype", "TEXTUAL")


def test_migrations_without_a_twin(tree: Tree, check: Checker) -> None:
    path = tree.root / "sqlite" / "migrations" / "0002_more.sql"
    path.write_text("CREATE TABLE more (id INTEGER PRIMARY KEY AUTOINCREMENT) STRICT;\n")
    bad = tree.root / "postgres" / "migrations" / "0002_other.sql"
    bad.write_text(
        "CREATE TABLE more (id serial, at timestamptz DEFAULT now());\n"
        "CREATE TABLE less (id integer GENERATED ALWAYS AS IDENTITY);\n"
    )
    findings = check.static()
    found(findings, path, 1, "the postgres tree has no migration 0002_more.sql")
    found(findings, path, 1, "AUTOINCREMENT")
    found(findings, bad, 1, "serial: identity columns are `bigint")
    found(findings, bad, 1, "now: time and chance come from the library")
    found(findings, bad, 2, "not bigint")


def test_stale_generated_files(tree: Tree, check: Checker, tmp_path: Path) -> None:
    text = tree.types.read_text()
    line = text[: text.index("async def get_run(")].count("\n") + 1
    tree.types.write_text(text.replace("async def get_run(", "async def get_the_run("))
    page = tmp_path / "queries.md"
    page.write_text("# Query catalogue\n")
    findings = check(docs=tmp_path)
    found(findings, tree.types, line, "the generated file is not current", "sql types")
    found(findings, page, 2, "the generated file is not current", "sql docs")
    assert len(findings) == 2, "\n".join(map(str, findings))
