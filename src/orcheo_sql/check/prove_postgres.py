"""Prove the queries of the PostgreSQL tree on a filled scratch database: prepare, describe, run, explain."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus

from orcheo_sql.codecs.rows import kind_of
from orcheo_sql.engines.base import CompiledQuery, Rows, gin_parameters
from orcheo_sql.engines.postgres_errors import translate

from .conflicts import check_conflict
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
    target,
    wanted_types,
)
from .record_postgres import PostgresRecorder
from .schema import read_postgres
from .scratch import one_line
from .sqltext import code_line, tag_line, word_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orcheo_sql._catalog import Query
    from orcheo_sql._errors import OrcheoSqlError
    from orcheo_sql.codecs.rows import Kind

    from .scratch import PostgresConnection

TYPES_OF: dict[Kind, frozenset[str]] = {
    "uuid": frozenset({"uuid"}),
    "instant": frozenset({"timestamp with time zone"}),
    "bool": frozenset({"boolean"}),
    "int": frozenset({"bigint", "integer", "smallint"}),
    "float": frozenset({"double precision", "real"}),
    "text": frozenset({"text", "character varying", "character", "name"}),
    "json": frozenset({"json", "jsonb"}),
}
_BLOCKING = frozenset({"Sort", "Aggregate", "Hash", "SetOp", "WindowAgg", "Group"})
# The server plans a prepared statement anew this often before it may settle on a plan for all arguments.
_CUSTOM_PLANS = 5
_STATEMENT = b"orcheo_check"


class Described:
    """What the server says of a prepared query."""

    def __init__(self, parameters: dict[str, str], columns: list[tuple[str, str]]):
        self.parameters = parameters
        self.columns = columns


def prove_postgres(
    connection: PostgresConnection, queries: Iterable[Query], trials: Trials
) -> Proof:
    """Try each query and return what was found; the types of its parameters are left in `trials`."""
    prover = PostgresProver(connection)
    wanted = list(queries)
    writes = any(q.writes for q in wanted)
    with PostgresRecorder(connection, prover.proof.schema) if writes else nullcontext() as recorder:
        prover.recorder = recorder
        for query in wanted:
            prover.prove(query, trials)
    return prover.proof


def describe_all(
    connection: PostgresConnection, queries: Iterable[Query]
) -> tuple[Proof, dict[str, dict[str, str]]]:
    """Return PostgreSQL's types of all parameters, by query; what can't be prepared is in the findings."""
    prover = PostgresProver(connection)
    types: dict[str, dict[str, str]] = {}
    for query in queries:
        described = prover.describe(query, CompiledQuery(query))
        if described is not None:
            types[query.qualified_name] = described.parameters
    return prover.proof, types


class PostgresProver:
    """Tries queries on one connection."""

    def __init__(self, connection: PostgresConnection):
        self._connection = connection
        self.proof = Proof(read_postgres(connection))
        self.recorder: PostgresRecorder | None = None
        rows = connection.execute("SELECT oid::bigint, format_type(oid, NULL) FROM pg_type")
        self._type_names: dict[int, str] = dict(rows.fetchall())

    def prove(self, query: Query, trials: Trials) -> None:
        """Check one query; what can't be prepared is not looked at further."""
        check_tags(self.proof, query)
        compiled = CompiledQuery(query)
        described = self.describe(query, compiled)
        if described is None:
            return
        name = query.qualified_name
        trials.types[name] = described.parameters
        self.proof.columns[name] = tuple(c for c, _ in described.columns)
        if query.shape != "count":
            self._check_columns(query, described)
            check_nullability(self.proof, query, query.sql)
        for variant, arguments in self.proof.trials(query, trials):
            if not self._run(query, compiled, variant, arguments):
                return
            self._explain(query, compiled, variant, arguments)
        check_conflict(self.proof, query, trials, self._attempt)

    def _attempt(self, query: Query, arguments: Mapping[str, Any]) -> OrcheoSqlError | None:
        """Run a query that is to fail, and return the error that a caller would get."""
        compiled = CompiledQuery(query)
        try:
            with self._rolled_back():
                self._execute(compiled.sql, compiled.bind(arguments))
        except psycopg.Error as error:
            return translate(error, query=query.name)
        return None

    def describe(self, query: Query, compiled: CompiledQuery) -> Described | None:
        """Prepare a query and return its parameter and column types; report why it can't be."""
        pgconn = self._connection.pgconn
        result = pgconn.prepare(_STATEMENT, compiled.sql.encode())
        if result.status != ExecStatus.COMMAND_OK:
            self._report_failure(query, compiled, result)
            return None
        about = pgconn.describe_prepared(_STATEMENT)
        self._execute(f"DEALLOCATE {_STATEMENT.decode()}")
        names = self._type_names
        return Described(
            {n: names[about.param_type(i)] for i, n in enumerate(compiled.order)},
            [
                ((about.fname(i) or b"").decode(), names[about.ftype(i)])
                for i in range(about.nfields)
            ],
        )

    def _report_failure(self, query: Query, compiled: CompiledQuery, result: Any) -> None:
        message = (result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"").decode()
        position = result.error_field(DiagnosticField.STATEMENT_POSITION)
        line = query.line
        if position:
            line = code_line(query, compiled.sql.count("\n", 0, int(position) - 1))
        self.proof.fail(query, f"PostgreSQL can't prepare it: {message}", line=line)

    def _check_columns(self, query: Query, described: Described) -> None:
        line = tag_line(query, "Returns")
        columns = [c for c, _ in described.columns]
        problem = expected_columns(query, columns)
        if problem:
            self.proof.report(query, problem, line=line)
        wanted = wanted_types(query, columns)
        for column, type_name in described.columns:
            if column not in wanted:
                continue
            kind = kind_of(wanted[column])
            if type_name not in TYPES_OF[kind]:
                allowed = " or ".join(sorted(TYPES_OF[kind]))
                self.proof.report(
                    query,
                    f"column {column} is {type_name}, {target(query, column)} needs {allowed}",
                    line=word_line(query, column),
                )

    def _run(
        self, query: Query, compiled: CompiledQuery, variant: str, arguments: Mapping[str, Any]
    ) -> bool:
        """Run a query and take it back; return whether it ran."""
        recorder = self.recorder if query.writes else None
        if recorder:
            recorder.count_anew()
        touched = {}
        try:
            with self._rolled_back():
                cursor = self._execute(compiled.sql, compiled.bind(arguments))
                columns = tuple(c.name for c in cursor.description or ()) or None
                rows = cursor.fetchall() if columns else []
                answer = Rows(columns, rows, max(cursor.rowcount, 0))
                touched = recorder.touched() if recorder else {}
        except psycopg.Error as error:
            with_what = f" and {variant}" if variant else ""
            self.proof.fail(query, f"fails with the sample arguments{with_what}: {one_line(error)}")
            return False
        if recorder:
            self.proof.effects.of[query.qualified_name, variant] = recorder.changes(touched)
        check_answer(self.proof, query, compiled, variant, answer)
        return True

    def _explain(
        self, query: Query, compiled: CompiledQuery, variant: str, arguments: Mapping[str, Any]
    ) -> None:
        plan = self.plan(compiled, arguments)
        check_plan(self.proof, query, variant, plan)
        if variant in (gin_parameters(query) or ()) and not self._uses_gin(plan):
            line = tag_line(query, "Plan")
            self.proof.report(query, f"its plan uses no GIN index with {variant}", line=line)
        if variant == BASE and not compiled.plans_anew:
            settled = self.settled_plan(compiled, arguments)
            if settled != plan:
                how = " once it is prepared"
                check_plan(self.proof, query, variant, settled, how=how, by_tags=False)

    def _uses_gin(self, plan: Plan) -> bool:
        used = (self.proof.schema.index(name) for name in plan.indexes)
        return any(index is not None and index.method == "gin" for index in used)

    def plan(self, compiled: CompiledQuery, arguments: Mapping[str, Any]) -> Plan:
        """Return the plan for these arguments."""
        return read_plan(self.explain(compiled, arguments), self._partial_indexes())

    def explain(self, compiled: CompiledQuery, arguments: Mapping[str, Any]) -> Any:
        """Return the plan for these arguments as PostgreSQL describes it."""
        text = f"EXPLAIN (FORMAT JSON) {compiled.sql}"
        return _plan_of(self._execute(text, compiled.bind(arguments)))

    def settled_plan(self, compiled: CompiledQuery, arguments: Mapping[str, Any]) -> Plan:
        """Return the plan that the server uses once the query has been prepared and run several times."""
        self._execute(f"PREPARE orcheo_settled AS {compiled.sql}")
        try:
            values = compiled.bind(arguments)
            client = psycopg.ClientCursor(self._connection)
            marks = ", ".join(["%s"] * len(values))
            call = client.mogrify(f"({marks})", values) if values else ""
            text = f"EXPLAIN (FORMAT JSON) EXECUTE orcheo_settled{call}"
            for _ in range(_CUSTOM_PLANS):
                self._execute(text)
            found = _plan_of(self._execute(text))
        finally:
            self._execute("DEALLOCATE orcheo_settled")
        return read_plan(found, self._partial_indexes())

    def _execute(self, sql: str, arguments: Sequence[Any] | None = None) -> psycopg.Cursor[Any]:
        return self._connection.execute(sql.encode(), arguments, prepare=False)

    def _partial_indexes(self) -> frozenset[str]:
        tables = self.proof.schema.tables.values()
        return frozenset(n for t in tables for n, index in t.indexes.items() if index.partial)

    @contextmanager
    def _rolled_back(self) -> Iterator[None]:
        with self._connection.transaction(force_rollback=True):
            yield


def _plan_of(cursor: Any) -> Any:
    [[document]] = cursor.fetchall()
    return json.loads(document)[0]["Plan"]


def read_plan(root: Any, partial: frozenset[str]) -> Plan:
    """Collect what matters from a plan in PostgreSQL's JSON form."""
    indexes: set[str] = set()
    scans: list[str] = []
    sorts = False

    def walk(node: Any, limited: bool) -> None:
        nonlocal sorts
        kind = node["Node Type"]
        index = node.get("Index Name")
        if index:
            indexes.add(index)
        if kind == "Seq Scan":
            scans.append(f"reads all of table {node['Relation Name']} (Seq Scan)")
        elif index and "Index Cond" not in node and not limited and index not in partial:
            scans.append(f"reads all of index {index} ({kind})")
        sorts = sorts or kind in ("Sort", "Incremental Sort")
        within = kind == "Limit" or (limited and kind not in _BLOCKING)
        for child in node.get("Plans", ()):
            walk(child, within)

    walk(root, False)
    return Plan(frozenset(indexes), tuple(sorted(set(scans))), sorts)
