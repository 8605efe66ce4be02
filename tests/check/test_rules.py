"""Rules for plans, tables and calls, on made-up ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orcheo_sql._catalog import sql_root
from orcheo_sql._errors import QueryError
from orcheo_sql.check import prove_postgres, prove_sqlite
from orcheo_sql.check.calls import check_calls
from orcheo_sql.check.findings import Finding, in_order, of_error, shown
from orcheo_sql.check.schema import Column, ForeignKey, Index, Schema, Table
from orcheo_sql.check.schema_rules import (
    Places,
    check_distribution,
    check_keys,
    compare_schemas,
)
from orcheo_sql.check.trees import read_tree

if TYPE_CHECKING:
    from orcheo_sql.codecs.rows import Dialect


def test_findings_sort_and_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = Finding(tmp_path / "b.sql", 1, "x"), Finding(tmp_path / "a.sql", 2, "y")
    assert [str(f) for f in in_order([one, other, one])] == ["a.sql:2: y", "b.sql:1: x"]
    assert shown(Path("/elsewhere/c.sql")) == "/elsewhere/c.sql"
    placed = of_error(QueryError("/x/a b.sql:7: bad: really"), otherwise=tmp_path)
    assert (placed.path, placed.line, placed.message) == (Path("/x/a b.sql"), 7, "bad: really")
    assert of_error(QueryError("no place"), otherwise=tmp_path) == Finding(tmp_path, 1, "no place")


def scan(kind: str, *plans: Any, **more: Any) -> dict[str, Any]:
    names = {"index": "Index Name", "cond": "Index Cond", "table": "Relation Name"}
    return {"Node Type": kind, "Plans": list(plans), **{names[k]: v for k, v in more.items()}}


@pytest.mark.parametrize(
    ("plan", "scans"),
    [
        (scan("Seq Scan", table="t"), ("reads all of table t (Seq Scan)",)),
        (scan("Index Scan", index="ix", cond="x"), ()),
        (scan("Index Only Scan", index="ix"), ("reads all of index ix (Index Only Scan)",)),
        (scan("Limit", scan("Nested Loop", scan("Index Scan", index="ix"))), ()),
        (
            scan("Limit", scan("Sort", scan("Index Scan", index="ix"))),
            ("reads all of index ix (Index Scan)",),
        ),
        (scan("Bitmap Heap Scan", scan("Bitmap Index Scan", index="partial"), table="t"), ()),
    ],
)
def test_plans_of_postgres(plan: Any, scans: tuple[str, ...]) -> None:
    assert prove_postgres.read_plan(plan, frozenset({"partial"})).scans == scans


SQLITE = Schema(
    "sqlite", {"t": Table("t"), "u": Table("u")}, frozenset({"fts"}), frozenset({"t.number"})
)


@pytest.mark.parametrize(
    ("step", "scans", "indexes"),
    [
        ("SCAN a", ("reads all of table t (SCAN)",), ()),
        ("SCAN a USING COVERING INDEX ix", ("reads all of index ix (SCAN)",), ("ix",)),
        ("SEARCH a USING INDEX ix (x=?)", (), ("ix",)),
        ("SEARCH u USING PRIMARY KEY (x=?)", (), ("sqlite_autoindex_u_1",)),
        ("SEARCH u USING INTEGER PRIMARY KEY (rowid=?)", (), ()),
        (
            "SEARCH a USING AUTOMATIC COVERING INDEX (x=?)",
            ("builds an index over all of table t",),
            (),
        ),
        ("SCAN fts VIRTUAL TABLE INDEX 0:M1", (), ("fts",)),
        ("SCAN fts VIRTUAL TABLE INDEX 0:", ("reads all of table fts",), ()),
        ("SCAN json_each VIRTUAL TABLE INDEX 1:", (), ()),
        ("SCAN CONSTANT ROW", (), ()),
    ],
)
def test_plans_of_sqlite(step: str, scans: tuple[str, ...], indexes: tuple[str, ...]) -> None:
    sql = "SELECT 1 FROM t AS a, u, fts, json_each('[]')"
    plan = prove_sqlite.read_plan([(1, 0, step)], sql, SQLITE)
    assert (plan.scans, plan.indexes) == (scans, frozenset(indexes))


def test_a_walk_along_an_index_ends_at_the_limit() -> None:
    walk, sort = (1, 0, "SCAN a USING INDEX ix"), (2, 0, "USE TEMP B-TREE FOR ORDER BY")
    sql = "SELECT 1 FROM t AS a ORDER BY x LIMIT 3"
    assert prove_sqlite.read_plan([walk], sql, SQLITE).scans == ()
    sorted_plan = prove_sqlite.read_plan([walk, sort], sql, SQLITE)
    assert sorted_plan.sorts
    assert sorted_plan.scans == ("reads all of index ix (SCAN)",)


def schema(dialect: Dialect, *tables: Table) -> Schema:
    return Schema(dialect, {t.name: t for t in tables})


def places(tmp_path: Path, name: str, text: str) -> Places:
    path = tmp_path / f"{name}.sql"
    path.write_text(text)
    return Places([path], tmp_path)


def test_schemas_are_compared(tmp_path: Path) -> None:
    sqlite = schema(
        "sqlite",
        Table(
            "t",
            {"a": Column("a", "TEXT", nullable=False), "b": Column("b", "INTEGER", nullable=True)},
            {"ix_t__a": Index("ix_t__a", ("a",))},
            [ForeignKey(("a",), "u", ("id",), "CASCADE")],
        ),
        Table("only_sqlite"),
    )
    postgres = schema(
        "postgres",
        Table(
            "t",
            {
                "a": Column("a", "bigint", nullable=False),
                "c": Column("c", "text", nullable=True),
                "g": Column("g", "tsvector", nullable=True, generated=True),
            },
            {
                "ix_t__a": Index("ix_t__a", ("a",), unique=True),
                "ix_t__c": Index("ix_t__c", ("c",)),
                "ix_t__g": Index("ix_t__g", ("g",)),
                "ix_t__p": Index("ix_t__p", ("a",), partial=True, condition="(g IS NULL)"),
                "ix_t__gin": Index("ix_t__gin", ("",), method="gin"),
            },
            [ForeignKey(("a",), "u", ("id",), "SET NULL")],
        ),
        Table("only_postgres"),
    )
    ours = places(tmp_path, "s", "CREATE TABLE t (\n    a TEXT,\n    b INTEGER\n);\n")
    theirs = places(
        tmp_path, "p", "CREATE TABLE t (\n    a bigint\n);\nALTER TABLE t ADD COLUMN c text;\n"
    )
    found = {
        (f.path.name, f.line, f.message) for f in compare_schemas(sqlite, postgres, ours, theirs)
    }
    assert found == {
        ("p.sql", 1, "table only_postgres is not made for SQLite"),
        ("s.sql", 1, "table only_sqlite is not made for PostgreSQL"),
        (
            "p.sql",
            2,
            "column t.a is bigint, but TEXT on SQLite; that is text, uuid, timestamptz, json or jsonb here",
        ),
        ("s.sql", 3, "column t.b is not made for PostgreSQL"),
        ("p.sql", 4, "column t.c is not made for SQLite"),
        ("p.sql", 1, "index ix_t__a is not the same as on SQLite"),
        ("p.sql", 1, "index ix_t__c is not made for SQLite"),
        ("s.sql", 2, "foreign key t (a) to u (id) ON DELETE CASCADE is not so for PostgreSQL"),
        ("p.sql", 2, "foreign key t (a) to u (id) ON DELETE SET NULL is not so for SQLite"),
    }


def test_rules_for_several_servers(tmp_path: Path) -> None:
    where = places(tmp_path, "p", "CREATE TABLE run_history (\n    execution_id uuid\n);\n")
    tables = schema(
        "postgres",
        Table("workflows", {"id": Column("id", "text", nullable=False)}),
        Table(
            "run_history",
            {"workflow_id": Column("workflow_id", "uuid", nullable=False)},
            {"uq_x": Index("uq_x", ("workflow_id",), unique=True)},
            [ForeignKey(("workflow_id",), "workflows", ("id",), "CASCADE")],
            ["notify"],
        ),
    )
    messages = [f.message for f in check_distribution(tables, where)]
    assert len(messages) == 4
    for words in (
        "crosses the border between sharded and plain tables",
        "run_history.workflow_id is uuid, workflows.id text: keys have one type",
        "trigger notify on run_history, which is sharded",
        "unique index uq_x without execution_id",
    ):
        assert any(words in m for m in messages), (words, messages)
    assert list(check_keys(tables, where)) == []
    tables.tables["run_history"].indexes.clear()
    [finding] = check_keys(tables, where)
    assert "deletes read all of run_history" in finding.message
    # Rows that lie in the order of the column need no index for it.
    tables.tables["run_history"].key = ("workflow_id",)
    assert list(check_keys(tables, where)) == []


CODE = """
from typing import TypedDict


class Filter(TypedDict):
    after_seq: int


class Window(Filter):
    limit: int


class Other(dict):
    limit: int


class Good:
    q: "Workflows"

    async def typed(self, window: Window) -> None:
        await self.q.list_audit_records(entity_id=1, **window)

    async def written(self) -> None:
        q = self.q
        inner = {"limit": 1}
        window = {"after_seq": 1, **inner}
        await q.list_audit_records(entity_id=1, **window)
        annotated: dict[str, int] = {"limit": 1}
        await q.list_audit_records(entity_id=1, after_seq=1, **annotated)
        await q.list_audit_records(**{"entity_id": 1, "after_seq": 2, "limit": 3})
        await q.get_run(
            id=1)
        await unit.workflows.q.get_run(id=1)


class Bad:
    q: Workflows

    async def all(self, other: Other, anything, text: "Window") -> None:
        await self.q.list_audit_records(entity_id=1, **other)
        await self.q.list_audit_records(entity_id=1, **anything)
        await self.q.list_audit_records(entity_id=1, **{k: 1 for k in "ab"})
        await self.q.list_audit_records(entity_id=1, **text, limit=3)
        await self.q.list_audit_records(entity_id=1, **unknown)
        dynamic = {f"{x}": 1}
        await self.q.list_audit_records(entity_id=1, **dynamic)
        run = self.q.get_run
        await unit.workflows.q.get_run()


class Unannotated:
    async def one(self) -> None:
        await self.q.get_run(id=1)
"""


def test_calls_that_can_be_followed(tmp_path: Path) -> None:
    path = tmp_path / "code.py"
    path.write_text(CODE)
    broken = tmp_path / "broken.py"
    broken.write_text("def f(:\n")
    queries = read_tree(sql_root(), "postgres").queries
    wanted = {n: q for n, q in queries.items() if q.name in ("get_run", "list_audit_records")}
    lines = CODE.splitlines()
    found = {
        (f.path.name, lines[f.line - 1].strip() if f.path == path else "", f.message)
        for f in check_calls([path, broken], wanted)
    }
    start = "await self.q.list_audit_records(entity_id=1, "
    twice = "list_audit_records: limit is given twice"
    assert ("code.py", f"{start}**text, limit=3)", twice) in found
    assert ("broken.py", "", "not Python: invalid syntax") in found
    unfollowed = {line for _, line, message in found if "can't be followed" in message}
    assert unfollowed == {
        f"{start}**other)",
        f"{start}**anything)",
        f'{start}**{{k: 1 for k in "ab"}})',
        f"{start}**unknown)",
        f"{start}**dynamic)",
    }
    assert any("get_run is handed on" in m for _, _, m in found)
    assert any("Unannotated does not annotate q" in m for _, _, m in found)
    of_unit = [m for _, line, m in found if line == "await unit.workflows.q.get_run()"]
    assert [m.partition(" (")[0] for m in of_unit] == ["get_run: id missing"]
    assert len(found) == 10, found
