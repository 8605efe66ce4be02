"""Breaks that only the tables show: what a query writes, what refuses it, what it locks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.check.conftest import found

if TYPE_CHECKING:
    from pathlib import Path

    from tests.check.conftest import Checker, Tree

RUNS = "postgres/queries/workflows/runs.sql"
WORKFLOWS = "postgres/queries/workflows/workflows.sql"
LEFT = "the databases are left with other rows"


def name_line(tree: Tree, path: str, name: str) -> tuple[Path, int]:
    return tree.root / path, tree.line(path, f"-- name: {name}(")


def tag_line(tree: Tree, path: str, name: str, tag: str) -> tuple[Path, int]:
    return tree.root / path, tree.line(path, f"-- {tag}:", after=f"-- name: {name}(")


def test_twins_that_write_other_rows(tree: Tree, check: Checker) -> None:
    tree.query(
        "postgres",
        "runs",
        "succeed_run",
        "SELECT run_number, :output_payload::json FROM",
        "SELECT run_number, 'null'::json FROM",
    )
    tree.query("sqlite", "runs", "fail_run", "search_text || :error_text", "search_text || ''")
    tree.query("postgres", "runs", "cancel_run", "search_text || :error_text", "search_text || ''")
    tree.query("sqlite", "runs", "prune_runs", "'failed', 'cancelled'", "'failed'")
    tree.query(
        "sqlite",
        "workflows",
        "update_workflow",
        "is_public = CASE WHEN :is_archived THEN 0 ELSE is_public END",
        "is_public = is_public",
    )
    tree.query(
        "sqlite",
        "workflows",
        "update_workflow",
        "name_text = coalesce(:name_text, name_text)",
        "name_text = name_text",
    )
    tree.query(
        "postgres",
        "cron",
        "pass_occurrence",
        "revision = revision + 1",
        "revision = revision + 2",
    )
    findings = check(
        "succeed_run", "fail_run", "cancel_run", "prune_runs", "update_workflow", "pass_occurrence"
    )
    found(
        findings,
        *name_line(tree, RUNS, "succeed_run"),
        f"{LEFT}: workflow_run_outputs",
        "output_payload: PostgreSQL None, SQLite",
        "write the same on both",
    )
    for name in ("fail_run", "cancel_run"):
        found(findings, *name_line(tree, RUNS, name), f"{LEFT}: workflow_run_search", "only")
    found(findings, *name_line(tree, RUNS, "prune_runs"), f"{LEFT}: workflow_run", "only")
    found(
        findings,
        *name_line(tree, WORKFLOWS, "update_workflow"),
        f"{LEFT} with archiving: workflows",
        "is_public: PostgreSQL False, SQLite True",
    )
    found(
        findings,
        *name_line(tree, WORKFLOWS, "update_workflow"),
        f"{LEFT}: workflow_search",
        "name_text",
    )
    found(
        findings,
        *name_line(tree, "postgres/queries/workflows/cron.sql", "pass_occurrence"),
        f"{LEFT}: cron_triggers",
        "revision: PostgreSQL 3, SQLite 2",
    )


def test_numbers_of_a_write_that_failed_are_drawn_again(tree: Tree, check: Checker) -> None:
    tree.query(
        "postgres", "cron", "fire_schedule", ", eligible.default_run_config FROM r", ", NULL FROM r"
    )
    findings = check("fire_schedule", "insert_run")
    place = name_line(tree, "postgres/queries/workflows/cron.sql", "fire_schedule")
    found(findings, *place, "fails with the sample arguments")
    assert [f for f in findings if LEFT in f.message] == []


def test_a_write_that_changes_nothing(tree: Tree, check: Checker) -> None:
    path = "postgres/seeds/workflows_cron.sql"
    tree.edit(
        path, "-- sample: pass_occurrence.scheduled_for", "-- sample: set_schedule_aside.reason"
    )
    place = name_line(tree, "postgres/queries/workflows/cron.sql", "pass_occurrence")
    found(check("pass_occurrence"), *place, "changes no row with the sample arguments")


def test_what_a_tag_says_of_conflicts(tree: Tree, check: Checker) -> None:
    broken = tree.query(
        "sqlite", "workflows", "insert_workflow", "INSERT INTO w", "INSERT OR IGNORE INTO w"
    )
    replaced = tree.query(
        "sqlite",
        "workflows",
        "insert_workflow",
        "INSERT INTO workflow_search",
        "REPLACE INTO workflow_search",
    )
    ignored = tree.query(
        "postgres",
        "workflows",
        "insert_workflow",
        "    RETURNING\n",
        "    ON CONFLICT DO NOTHING\n    RETURNING\n",
    )
    tree.query(
        "postgres",
        "retries",
        "put_retry_policy",
        "    RETURNING workflow_id\n",
        "    ON CONFLICT (workflow_id, number) DO NOTHING\n    RETURNING workflow_id\n",
    )
    # A trial that breaks no rule, one that breaks another, and a rule that is not there
    tree.edit(
        "postgres/seeds/workflows.sql",
        'conflict.handle = "flow-3"',
        'conflict.handle = "not-taken-either"',
    )
    tree.query(
        "sqlite",
        "retries",
        "put_retry_policy",
        "Conflict: sqlite_autoindex_retry_policies_1",
        "Conflict: uq_gone",
    )
    findings = check("insert_workflow", "update_workflow", "put_retry_policy")
    sqlite = tree.root / "sqlite/queries/workflows/workflows.sql"
    found(findings, sqlite, broken, "INSERT OR ... hides every broken rule")
    found(findings, sqlite, replaced, "REPLACE INTO deletes")
    found(findings, tree.root / WORKFLOWS, ignored + 0, "ON CONFLICT without columns")
    retries = "queries/workflows/retries.sql"
    place = tag_line(tree, f"postgres/{retries}", "put_retry_policy", "Conflict")
    found(findings, *place, "ON CONFLICT takes the place of retry_policies_pkey")
    place = tag_line(tree, f"sqlite/{retries}", "put_retry_policy", "Conflict")
    found(findings, *place, "no unique index is named uq_gone")
    for path in (WORKFLOWS, WORKFLOWS.replace("postgres", "sqlite")):
        place = tag_line(tree, path, "update_workflow", "Conflict")
        found(findings, *place, "uq_workflows__handle does not refuse it")


def test_trials_of_conflicts(tree: Tree, check: Checker) -> None:
    seeds = "postgres/seeds/workflows.sql"
    tree.edit(seeds, '-- sample: insert_workflow/conflict.handle = "flow-2"', "-- Nothing.")
    tree.edit(
        seeds,
        'update_workflow/conflict.handle = "flow-3"',
        'update_workflow/conflict.draft_access = "nobody"',
    )
    tree.query(
        "postgres",
        "retries",
        "put_retry_policy",
        "Conflict: retry_policies_pkey in",
        "Conflict: *, in",
    )
    findings = check("insert_workflow", "update_workflow", "put_retry_policy")
    place = tag_line(tree, WORKFLOWS, "insert_workflow", "Conflict")
    found(
        findings,
        *place,
        "no trial shows that uq_workflows__handle",
        "-- sample: insert_workflow/conflict.",
    )
    place = tag_line(tree, WORKFLOWS, "update_workflow", "Conflict")
    found(findings, *place, "uq_workflows__handle should refuse it", "check constraint")
    place = tag_line(tree, "postgres/queries/workflows/retries.sql", "put_retry_policy", "Conflict")
    found(findings, *place, "the tag reads `Conflict: name_of_the_rule when ...`")


def test_locks(tree: Tree, check: Checker) -> None:
    tree.query("postgres", "runs", "prune_runs", "    FOR UPDATE OF r SKIP LOCKED\n", "")
    tree.query("postgres", "runs", "insert_run", "    FOR KEY SHARE OF w\n", "    FOR SHARE OF w\n")
    tree.query(
        "postgres", "outbox", "claim_outbox", "    FOR UPDATE SKIP LOCKED\n", "    FOR UPDATE\n"
    )
    tree.query("postgres", "workflows", "update_workflow", "-- Locks: FOR UPDATE: ", "-- Locks: ")
    findings = check.static()
    found(
        findings,
        *tag_line(tree, RUNS, "prune_runs", "Locks"),
        "nothing is locked FOR UPDATE SKIP LOCKED",
    )
    found(findings, *tag_line(tree, RUNS, "insert_run", "Locks"), "nothing is locked FOR KEY SHARE")
    found(findings, *tag_line(tree, RUNS, "insert_run", "Locks"), "-- Locks: FOR SHARE: ...")
    place = tag_line(tree, "postgres/queries/workflows/outbox.sql", "claim_outbox", "Locks")
    found(findings, *place, "nothing is locked FOR UPDATE SKIP LOCKED")
    place = tag_line(tree, WORKFLOWS, "update_workflow", "Locks")
    found(findings, *place, "the tag reads `Locks: FOR UPDATE SKIP LOCKED: why`")


def test_casts_that_change_a_value(tree: Tree, check: Checker) -> None:
    tree.query(
        "postgres", "run_lists", "list_runs_by_status", ">= :created_from", ">= :created_from::date"
    )
    tree.query(
        "postgres",
        "run_filters",
        "filter_runs_by_trigger",
        ">= :created_from",
        ">= :created_from::date",
    )
    tree.query(
        "postgres", "runs", "start_run", "started_at = :now", "started_at = :now::timestamptz(3)"
    )
    findings = check("list_runs_by_status", "filter_runs_by_trigger", "start_run")
    lists = "postgres/queries/workflows/run_lists.sql"
    found(findings, *name_line(tree, lists, "list_runs_by_status"), "differs from its twin")
    found(
        findings,
        *name_line(tree, "postgres/queries/workflows/run_filters.sql", "filter_runs_by_trigger"),
        "the databases answer differently",
    )
    found(findings, *name_line(tree, RUNS, "start_run"), "differs from its twin")


def test_samples_that_nobody_takes(tree: Tree, check: Checker) -> None:
    seeds = "postgres/seeds/workflows.sql"
    line = tree.edit(seeds, "/archiving.is_archived", "/archiving.is_archive")
    found(
        check.static(),
        tree.root / seeds,
        line,
        "no query takes the sample update_workflow/archiving.is_archive",
    )
