"""Breaks that both trees share, so that no comparison of the twins finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.check.conftest import found

from orcheo_sql.check.row_rules import Scope, _orders_all, gives_one
from orcheo_sql.check.schema import Column, Index, Schema, Table
from orcheo_sql.check.selects import read_statement
from orcheo_sql.check.sqltext import code
from orcheo_sql.check.value_rules import wrong_literals

if TYPE_CHECKING:
    from tests.check.conftest import Checker, Tree

DIALECTS = ("sqlite", "postgres")


def test_what_both_trees_have_wrong(tree: Tree, check: Checker) -> None:
    lines: dict[str, int] = {}
    for dialect, cast in (("sqlite", ""), ("postgres", "::text")):

        def edit(file: str, name: str, old: str, new: str, dialect: str = dialect) -> int:
            return tree.query(dialect, file, name, old, new)

        lines[f"{dialect} tie"] = edit(
            "run_lists",
            "list_runs_by_status",
            "ORDER BY r.created_at DESC, r.id DESC",
            "ORDER BY r.created_at DESC",
        )
        lines[f"{dialect} prune"] = edit(
            "runs", "prune_runs", "ORDER BY r.created_at, r.id", "ORDER BY r.created_at"
        )
        edit("versions", "get_latest_version", "DESC\nLIMIT 1;", "DESC;")
        edit("workflows", "get_workflow", "WHERE id = :id", "WHERE id = :id OR 1 = 1")
        edit(
            "workflows",
            "publish_workflow",
            "WHERE id = :id",
            f"WHERE slug = :id{cast}",
        )
        lines[f"{dialect} status"] = edit(
            "run_lists", "count_runs_by_workflow", "'cancelled'", "'canceled'"
        )
        lines[f"{dialect} list"] = edit(
            "runs", "cancel_run", "('pending', 'running')", "('pending', 'runing')"
        )
    findings = check("count_runs_by_workflow")
    for dialect in DIALECTS:
        folder = f"{dialect}/queries/workflows"
        lists, runs = tree.root / folder / "run_lists.sql", tree.root / folder / "runs.sql"
        line = tree.line(f"{folder}/run_lists.sql", "ORDER BY r.created_at DESC\n")
        found(findings, lists, line, "list_runs_by_status: ORDER BY leaves ties", "`Order:`")
        line = tree.line(f"{folder}/runs.sql", "ORDER BY r.created_at\n")
        found(findings, runs, line, "prune_runs: ORDER BY leaves ties")
        for file, name in (
            ("versions", "get_latest_version"),
            ("workflows", "get_workflow"),
            ("workflows", "publish_workflow"),
        ):
            path = f"{folder}/{file}.sql"
            line = tree.line(path, f"-- name: {name}(")
            found(
                findings,
                tree.root / path,
                line,
                f"{name}: it may give more than one row",
                "`Single:`",
            )
        found(
            findings,
            lists,
            lines[f"{dialect} status"],
            "status is never 'canceled'",
            "'cancelled', 'failed'",
        )
        found(findings, runs, lines[f"{dialect} list"], "status is never 'runing'")


def test_tags_that_say_why(tree: Tree, check: Checker) -> None:
    for dialect in DIALECTS:
        tree.query(dialect, "versions", "get_latest_version", "DESC\nLIMIT 1;", "DESC;")
        tree.query(
            dialect,
            "versions",
            "get_latest_version",
            "-- Index:",
            "-- Single: I say so.\n-- Index:",
        )
        tree.query(
            dialect, "runs", "prune_runs", "ORDER BY r.created_at, r.id", "ORDER BY r.created_at"
        )
        tree.query(
            dialect, "runs", "prune_runs", "-- Index:", "-- Order: I do not care.\n-- Index:"
        )
    words = ("more than one row", "leaves ties")
    assert not [f for f in check("get_run") if any(w in f.message for w in words)]


def table(name: str, columns: str, *keys: str, partial: str = "") -> Table:
    made = {c: Column(c, "text", nullable=False) for c in columns.split()}
    indexes = {
        f"uq_{name}_{i}": Index(f"uq_{name}_{i}", tuple(k.split()), unique=True)
        for i, k in enumerate(keys)
    }
    if partial:
        key, _, condition = partial.partition(" WHERE ")
        indexes["uq_p"] = Index("uq_p", (key,), unique=True, partial=True, condition=condition)
    return Table(name, made, indexes, key=("id",))


T = table("t", "id handle archived at status", partial="handle WHERE (NOT archived)")
T.checks = ["status IN ('on', 'off')"]
U = table("u", "id t_id number at kind", "t_id number")
SCHEMA = Schema("postgres", {"t": T, "u": U})


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT EXISTS (SELECT 1 FROM t)",
        "SELECT count(*) AS n FROM t",
        "SELECT at FROM t ORDER BY at LIMIT 1",
        "SELECT at FROM t WHERE id = :id",
        "SELECT at FROM t AS x WHERE (:id::uuid = x.id AND x.at > :now) FOR UPDATE",
        "SELECT at FROM t WHERE handle = :handle AND NOT archived",
        "SELECT t.at FROM u INNER JOIN t ON t.id = u.t_id WHERE u.id = :id",
        "SELECT t.at FROM t LEFT JOIN u ON u.t_id = t.id AND u.number = :n WHERE t.id = :id",
        "SELECT at FROM t WHERE id = coalesce((SELECT u.t_id FROM u WHERE u.id = :u), :id)",
        "SELECT n.at FROM t LEFT JOIN LATERAL (SELECT at FROM u LIMIT 1) AS n ON TRUE WHERE t.id = :id",
        "INSERT INTO t (id) VALUES (:id) RETURNING id",
        "INSERT INTO t (id) SELECT :id FROM u WHERE u.id = :u ON CONFLICT (id) DO NOTHING RETURNING id",
        "UPDATE t SET at = :now WHERE id = :id AND status = 'on' RETURNING id",
        "UPDATE t SET at = :now FROM u WHERE t.id = u.t_id AND u.id = :id RETURNING t.id",
        "DELETE FROM t WHERE +id = :id RETURNING id",
        "DELETE FROM t USING u WHERE t.id = u.t_id AND u.id = :id RETURNING t.id",
        "WITH c AS (SELECT id, at FROM t WHERE id = :id) SELECT c.at FROM c CROSS JOIN c AS d",
        "WITH c AS (DELETE FROM t WHERE id = :id RETURNING id) "  # noqa: ISC004
        "UPDATE u SET at = :now FROM c WHERE u.t_id = c.id AND number = 1 RETURNING u.id",
    ],
)
def test_at_most_one_row(sql: str) -> None:
    assert gives_one(code(sql), Scope(SCHEMA))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT at FROM t",
        "SELECT at FROM t WHERE id = :id OR at = :now",
        "SELECT at FROM t WHERE id <> :id",
        "SELECT at FROM t WHERE id = ANY(:ids)",
        "SELECT at FROM t WHERE handle = :handle",
        "SELECT at FROM t WHERE handle = :handle AND archived",
        "SELECT at FROM t WHERE id = id",
        "SELECT t.at FROM t INNER JOIN u ON u.t_id = t.id WHERE t.id = :id",
        "SELECT t.at FROM t LEFT JOIN u ON u.id = :u AND t.id = :id",
        "SELECT count(*) AS n FROM t GROUP BY status",
        "SELECT max(at, :now) AS m FROM t",
        "SELECT (SELECT count(*) FROM u) AS n FROM t",
        "SELECT count(*) OVER () AS n FROM t",
        "SELECT id FROM t WHERE id = :id UNION ALL SELECT id FROM u WHERE id = :id",
        "SELECT at FROM t LIMIT 10",
        "SELECT at FROM t, json_each(:list) WHERE t.id = :id",
        "SELECT at FROM t WHERE id = (SELECT u.t_id FROM u WHERE u.number = t.at LIMIT 1)",
        "INSERT INTO t (id) VALUES (:id), (:other) RETURNING id",
        "INSERT INTO t (id) SELECT u.t_id FROM u RETURNING id",
        "UPDATE t SET at = :now WHERE at < :now RETURNING id",
        "WITH c AS (SELECT id FROM t) SELECT id FROM c",
        "MERGE INTO t",
        "SELECT at FROM t NATURAL JOIN u WHERE t.id = :id",
    ],
)
def test_perhaps_more_than_one_row(sql: str) -> None:
    assert not gives_one(code(sql), Scope(SCHEMA))


@pytest.mark.parametrize(
    ("sql", "total"),
    [
        ("SELECT at FROM t ORDER BY at, id", True),
        ("SELECT at FROM t ORDER BY at", False),
        ("SELECT at, id AS number FROM t ORDER BY at DESC, number DESC NULLS LAST", True),
        ("SELECT at FROM u WHERE t_id = :t ORDER BY number", True),
        ("SELECT at FROM u WHERE t_id = :t OR TRUE ORDER BY number", False),
        ("SELECT t.at FROM t LEFT JOIN u ON u.id = t.at ORDER BY t.id", True),
        ("SELECT t.at FROM t LEFT JOIN u ON u.t_id = t.id ORDER BY t.id", False),
        ("SELECT status, count(*) FROM t GROUP BY status ORDER BY status", True),
        ("SELECT status, count(*) FROM t GROUP BY status, at ORDER BY status", False),
        # Not understood, so nothing is said
        ("SELECT DISTINCT at FROM t ORDER BY at", True),
        ("SELECT at FROM json_each(:list) ORDER BY at", True),
    ],
)
def test_orders(sql: str, total: bool) -> None:
    statement = read_statement(code(sql))
    assert _orders_all(statement, Scope(SCHEMA), statement.clauses["order"]) is total


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [
        ("status = 'on' AND status <> 'off'", []),
        ("status IN ('on', 'of') OR x.status IS DISTINCT FROM 'onn'", ["'of'", "'onn'"]),
        ("status NOT IN ('on', 'of') OR x.status IS NOT 'onn'", ["'of'", "'onn'"]),
        ("t.status::text = 'it''s'", ["'it''s'"]),
        ("excluded.status = 'x' AND kind = 'x' AND status = :status AND status IN ('on', :x)", []),
        (
            "SELECT CASE WHEN at THEN 'a' ELSE 'b' END AS status, t.status = 'c' WHERE status = 'a'",
            ["'c'"],
        ),
    ],
)
def test_literals_that_a_check_does_not_know(sql: str, wrong: list[str]) -> None:
    found = [w.message.split("; ")[0] for w in wrong_literals(code(f"{sql} FROM t AS x"), [T, U])]
    assert found == [f"status is never {w}" for w in wrong]
