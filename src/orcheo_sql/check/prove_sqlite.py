"""Prove the queries of the SQLite tree on a filled scratch database: prepare, run, explain."""

from __future__ import annotations

import re
import sqlite3
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from orcheo_sql.engines.base import CompiledQuery, Rows
from orcheo_sql.engines.sqlite_connection import run_statements
from orcheo_sql.engines.sqlite_errors import translate

from .conflicts import check_conflict
from .old_statistics import old_statistics
from .proof import (
    BASE,
    Plan,
    Proof,
    Trials,
    check_answer,
    check_nullability,
    check_plan,
    check_tags,
    expected_columns,
)
from .record_sqlite import SqliteRecorder
from .schema import Schema, read_sqlite
from .scratch import one_line
from .sqltext import code, tag_line, word_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orcheo_sql._catalog import Query
    from orcheo_sql._errors import OrcheoSqlError


_STEP = re.compile(
    r"^(?P<verb>SCAN|SEARCH) (?P<name>\S+)"
    r"(?: USING (?P<automatic>AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?INDEX(?: (?P<index>\w\S*))?"
    r"| USING (?P<rowid>INTEGER )?PRIMARY KEY"
    r"| VIRTUAL TABLE INDEX (?P<virtual>\S*))?"
)
_MISSING = re.compile(
    r'(?:no such (?:column|table|function)|near|ambiguous column name):? "?([\w.]+)'
)


def prove_sqlite(raw: sqlite3.Connection, queries: Iterable[Query], trials: Trials) -> Proof:
    """Try each query and return what was found.

    Plans are looked at as a database without statistics has them, after ANALYZE, and with statistics that are outdated.
    """
    prover = SqliteProver(raw)
    sound = [q for q in queries if prover.prepares(q)]
    for query in sound:
        prover.explain_all(query, trials, "")
    raw.execute("ANALYZE")
    for query in sound:
        prover.explain_all(query, trials, " after ANALYZE")
    words = {q.qualified_name: {t.key for t in code(q.sql)} for q in sound}
    for how, empty in old_statistics(raw):
        for query in sound:
            if not empty or empty & words[query.qualified_name]:
                prover.explain_all(query, trials, how)
    # Only now: a plan would show the triggers of the recorder too.
    writes = any(q.writes for q in sound)
    with SqliteRecorder(raw, prover.proof.schema) if writes else nullcontext() as recorder:
        for query in sound:
            prover.run(query, trials, recorder)
            check_conflict(prover.proof, query, trials, prover.attempt)
    return prover.proof


class SqliteProver:
    """Tries queries on one connection."""

    def __init__(self, raw: sqlite3.Connection):
        self._raw = raw
        self.proof = Proof(read_sqlite(raw))

    def prepares(self, query: Query) -> bool:
        """Compile each statement; report the first that can't be."""
        check_tags(self.proof, query)
        nothing = dict.fromkeys(query.parameters)
        for statement in query.statements:
            try:
                self._raw.execute(f"EXPLAIN {statement}", nothing)
            except sqlite3.Error as error:
                missing = _MISSING.search(str(error))
                word = missing[1].rpartition(".")[2] if missing else ""
                self.proof.fail(
                    query,
                    f"SQLite can't prepare it: {error}",
                    line=word_line(query, word) if word else None,
                )
                return False
        return True

    def explain_all(self, query: Query, trials: Trials, how: str) -> None:
        """Check the plans of a query."""
        compiled = CompiledQuery(query)
        for variant, arguments in self.proof.trials(query, trials):
            check_plan(self.proof, query, variant, self.plan(compiled, arguments), how=how)

    def plan(self, compiled: CompiledQuery, arguments: Mapping[str, Any]) -> Plan:
        """Return the plan of all statements of a query."""
        bound = compiled.bind(arguments)
        plans = [
            read_plan(self.explain(statement, bound), statement, self.proof.schema)
            for statement in compiled.statements
        ]
        return Plan(
            frozenset(name for p in plans for name in p.indexes),
            tuple(scan for p in plans for scan in p.scans),
            any(p.sorts for p in plans),
        )

    def explain(self, statement: str, bound: Mapping[str, Any]) -> list[tuple[int, int, str]]:
        """Return the steps of a plan: id, id of the parent, text."""
        rows = self._raw.execute(f"EXPLAIN QUERY PLAN {statement}", dict(bound)).fetchall()
        return [(row[0], row[1], row[3]) for row in rows]

    def attempt(self, query: Query, arguments: Mapping[str, Any]) -> OrcheoSqlError | None:
        """Run a query that is to fail, and return the error that a caller would get."""
        compiled = CompiledQuery(query)
        try:
            with self._rolled_back():
                run_statements(self._raw, compiled, compiled.bind(arguments))
        except sqlite3.Error as error:
            return translate(error, query=query.name)
        return None

    def run(self, query: Query, trials: Trials, recorder: SqliteRecorder | None) -> None:
        """Run a query in all its variants, take each back, and check what came."""
        compiled = CompiledQuery(query)
        for variant, arguments in self.proof.trials(query, trials):
            try:
                with self._rolled_back():
                    answer = run_statements(self._raw, compiled, compiled.bind(arguments))
                    touched = recorder.touched() if recorder and query.writes else {}
            except sqlite3.Error as error:
                with_what = f" and {variant}" if variant else ""
                self.proof.fail(
                    query, f"fails with the sample arguments{with_what}: {one_line(error)}"
                )
                return
            if recorder and query.writes:
                self.proof.effects.of[query.qualified_name, variant] = recorder.changes(touched)
            self._columns(query, answer)
            check_answer(self.proof, query, compiled, variant, answer)
            if variant == BASE:
                self._nullability(query)

    def _columns(self, query: Query, answer: Rows) -> None:
        name = query.qualified_name
        if query.shape == "count" or name in self.proof.columns:
            return
        self.proof.columns[name] = answer.columns or ()
        problem = expected_columns(query, answer.columns or ())
        if problem:
            self.proof.report(query, problem, line=tag_line(query, "Returns"))

    def _nullability(self, query: Query) -> None:
        offset = 0
        for statement in query.statements:
            start = query.sql.index(statement, offset)
            offset = start + len(statement)
            words = {t.key for t in code(statement)}
            if words & {"select", "returning"}:
                padded = "\n" * query.sql.count("\n", 0, start) + statement
                check_nullability(self.proof, query, padded)
                return

    @contextmanager
    def _rolled_back(self) -> Iterator[None]:
        self._raw.execute("BEGIN")
        try:
            yield
        finally:
            if self._raw.in_transaction:
                self._raw.execute("ROLLBACK")


def read_plan(steps: Sequence[tuple[int, int, str]], statement: str, schema: Schema) -> Plan:
    """Collect what matters from the steps of EXPLAIN QUERY PLAN."""
    indexes: set[str] = set()
    scans: list[str] = []
    # "FOR ORDER BY", or for the last terms of it
    sorts = any(re.match("USE TEMP B-TREE FOR (?:.* )?ORDER BY", text) for _, _, text in steps)
    aliases = _aliases(statement, schema)
    limited = "limit" in {t.key for t in code(statement)} and not sorts
    for _, _, text in steps:
        step = _STEP.match(text)
        table = aliases.get(step["name"].lower()) if step else None
        if step is None or table is None:
            continue
        if step["index"]:
            indexes.add(step["index"])
        elif " PRIMARY KEY" in text and not step["rowid"]:
            indexes.add(f"sqlite_autoindex_{table}_1")
        if table in schema.virtual and step["virtual"] is not None:
            if re.search(r":.*[M=]", step["virtual"]):
                indexes.add(table)
            else:
                scans.append(f"reads all of table {table}")
        elif step["automatic"]:
            scans.append(f"builds an index over all of table {table}")
        elif step["verb"] == "SCAN" and not (limited and step["index"]):
            what = f"index {step['index']}" if step["index"] else f"table {table}"
            scans.append(f"reads all of {what} (SCAN)")
    return Plan(frozenset(indexes), tuple(sorted(set(scans))), sorts)


def _aliases(statement: str, schema: Schema) -> dict[str, str]:
    """Map each name under which a statement uses a table to the table."""
    found = code(statement)
    names: dict[str, str] = {}
    for i, token in enumerate(found):
        if token.kind != "word" or (
            token.key not in schema.tables and token.key not in schema.virtual
        ):
            continue
        names.setdefault(token.key, token.key)
        if i + 2 < len(found) and found[i + 1].key == "as":
            names[found[i + 2].key] = token.key
    return names
