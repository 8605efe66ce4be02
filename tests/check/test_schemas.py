"""Migrations that make other tables than meant: constraints that are gone, other types, or less than a name says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.check.conftest import found

from orcheo_sql.check.schema import Column, Table
from orcheo_sql.check.schema_checks import allowed_values, compare_checks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.check.conftest import Checker, Tree

FIRST = "migrations/0001_workflows.sql"


def test_constraints_and_types(tree: Tree, check_anew: Checker) -> None:
    sqlite, postgres = tree.root / "sqlite" / FIRST, tree.root / "postgres" / FIRST
    statuses = " CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'cancelled'))"
    tree.edit(
        f"postgres/{FIRST}", f"    status text NOT NULL{statuses}", "    status text NOT NULL"
    )
    tree.edit(f"postgres/{FIRST}", "latest_version bigint", "latest_version integer")
    tree.edit(f"postgres/{FIRST}", 'handle text COLLATE "C"', "handle text")
    tree.edit(
        f"postgres/{FIRST}", "    created_by text NOT NULL", "    created_by varchar(10) NOT NULL"
    )
    tree.edit(
        f"postgres/{FIRST}", "    seq bigint NOT NULL", "    seq bigint NOT NULL CHECK (seq > 0)"
    )
    tree.edit(f"postgres/{FIRST}", "CHECK (version > 0)", "CHECK (version >= 0)")
    tree.edit(
        f"postgres/{FIRST}",
        "ix_workflows__archived_handle ON workflows (handle, updated_at, id) WHERE is_archived",
        "ix_workflows__archived_handle ON workflows (handle, updated_at, id) WHERE is_public",
    )
    tree.edit(
        f"sqlite/{FIRST}",
        "    record TEXT NOT NULL,\n    PRIMARY KEY (entity_id, seq)\n) STRICT, ",
        "    record TEXT NOT NULL,\n    PRIMARY KEY (entity_id, seq)\n) ",
    )
    tree.edit(
        f"sqlite/{FIRST}",
        "is_public INTEGER NOT NULL CHECK (is_public IN (0, 1))",
        "is_public INTEGER NOT NULL",
    )
    for dialect in ("sqlite", "postgres"):
        tree.edit(
            f"{dialect}/{FIRST}",
            "CREATE UNIQUE INDEX uq_workflows__active",
            "CREATE INDEX uq_workflows__active",
        )
    findings = check_anew("get_run")

    def line(dialect: str, text: str, after: str = "") -> int:
        return tree.line(f"{dialect}/{FIRST}", text, after=after)

    runs = "CREATE TABLE workflow_runs"
    found(
        findings,
        sqlite,
        line("sqlite", "    status TEXT", runs),
        "the CHECK on status",
        "is not so for PostgreSQL",
    )
    found(
        findings,
        postgres,
        line("postgres", "latest_version integer"),
        "is integer, but INTEGER on SQLite; that is bigint",
    )
    found(
        findings,
        postgres,
        line("postgres", "created_by varchar"),
        "is character varying(10), but TEXT on SQLite; that is text, uuid",
    )
    found(
        findings,
        postgres,
        line("postgres", "    seq bigint"),
        "the CHECK on seq (0)",
        "is not so for SQLite",
    )
    for dialect, path in (("sqlite", sqlite), ("postgres", postgres)):
        place = line(dialect, "    version ", "CREATE TABLE workflow_versions")
        found(findings, path, place, "the CHECK on version (0)", "is not so for")
        place = line(dialect, "uq_workflows__active_handle")
        found(findings, path, place, "is not UNIQUE, as its name says")
    found(
        findings,
        postgres,
        line("postgres", "ix_workflows__archived_handle"),
        "is not the same as on SQLite",
    )
    found(
        findings,
        sqlite,
        line("sqlite", "CREATE TABLE audit_records"),
        "audit_records is not STRICT",
    )
    found(
        findings,
        sqlite,
        line("sqlite", "    is_public INTEGER"),
        "is_public has no CHECK (is_public IN (0, 1))",
    )


def test_rules_that_let_a_write_pass(tree: Tree, check_anew: Checker) -> None:
    tree.edit(f"postgres/{FIRST}", 'handle text COLLATE "C"', "handle text")
    ignored = tree.edit(f"sqlite/{FIRST}", "RAISE(ABORT, 'uq_workflows__handle')", "RAISE(IGNORE)")
    number = len(list((tree.root / "sqlite" / "migrations").glob("*.sql"))) + 1
    later = f"migrations/{number:04d}_more.sql"
    for dialect in ("sqlite", "postgres"):
        (tree.root / dialect / later).write_text(
            "CREATE TABLE IF NOT EXISTS audit_records (\n    x text\n);\n\nCREATE TABLE loose (\n    x text\n)"
            + (" STRICT" if dialect == "sqlite" else "")
            + ";\nCREATE INDEX ix_loose ON workflow_run_retries (created_at) WHERE status = 'wating';\n"
        )
    findings = check_anew("insert_workflow")
    found(
        findings,
        tree.root / "sqlite" / FIRST,
        ignored,
        "RAISE(IGNORE): the write would be left out",
    )
    handle = tree.line(f"postgres/{FIRST}", "    handle text")
    found(
        findings,
        tree.root / "postgres" / FIRST,
        handle,
        'handle is unique (uq_workflows__active_handle) and not COLLATE "C"',
    )
    for dialect in ("sqlite", "postgres"):
        found(findings, tree.root / dialect / later, 1, "IF NOT EXISTS")
        found(findings, tree.root / dialect / later, 5, "table loose has no primary key")
        found(findings, tree.root / dialect / later, 8, "index ix_loose: status is never 'wating'")
    path = "sqlite/queries/workflows/workflows.sql"
    line = tree.line(path, "-- Conflict:", after="-- name: insert_workflow(")
    words = "uq_workflows__handle does not refuse it with the samples of conflict"
    found(findings, tree.root / path, line, words)


def columns(**types: str) -> dict[str, Column]:
    return {name: Column(name, kind, nullable=False) for name, kind in types.items()}


@pytest.mark.parametrize(
    ("sqlite", "postgres"),
    [
        (["a IN ('x', 'y')"], ["(a = ANY (ARRAY['x'::text, 'y'::text]))"]),
        (["n BETWEEN 1 AND 5"], ["((n >= 1) AND (n <= 5))"]),
        (["json_valid(j)"], []),
        (["(a = 'x') = (n IS NOT NULL)"], ["((a = 'x'::text) = (n IS NOT NULL))"]),
    ],
)
def test_checks_that_say_the_same(sqlite: list[str], postgres: list[str], tmp_path: Path) -> None:
    one = Table(
        "t", columns(a="TEXT", n="INTEGER", j="TEXT", b="INTEGER"), checks=[*sqlite, "b IN (0, 1)"]
    )
    other = Table("t", columns(a="text", n="bigint", j="json", b="boolean"), checks=list(postgres))

    def place(_table: str, _column: str) -> tuple[Path, int]:
        return tmp_path, 1

    assert list(compare_checks(one, other, place, place)) == []
    other.checks.append("(n <> 7)")
    one.checks[:] = ["a LIKE 'x'"]
    assert len(list(compare_checks(one, other, place, place))) == 3 + len(postgres)


def test_values_that_a_check_allows() -> None:
    made = columns(a="text", b="text", n="bigint")
    checks = [
        "a IN ('x', 'y')",
        "(b = ANY (ARRAY['z'::text]))",
        "b NOT IN ('q')",
        "n IN (1, 2)",
        "a IN ('x') OR b = ''",
    ]
    assert allowed_values(Table("t", made, checks=checks)) == {"a": {"x", "y"}, "b": {"z"}}
