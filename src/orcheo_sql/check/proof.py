"""What is proved of each query alike on both dialects: its result fits its struct, its plan keeps its promises."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from orcheo_sql._errors import ContractMismatchError, DecodeError, OrcheoSqlError
from orcheo_sql.codecs.rows import Kind, check_columns, columns_of, kind_of, strip_optional

from .analysis import coalesced, null_tested, result_items
from .effects import Effects
from .findings import Finding, of_error
from .sqltext import code, tag_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from orcheo_sql._catalog import Query
    from orcheo_sql.engines.base import CompiledQuery, Rows

    from .samples import Samples
    from .schema import Schema

CONFLICT = "conflict"
"""The trial that has to be refused."""
BASE = ""
"""The variant in which no optional filter is set."""


@dataclass
class Proof:
    """What trying the queries of one dialect has shown."""

    schema: Schema
    findings: list[Finding] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """Queries that can't be prepared, or fail."""
    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Result columns by query."""
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What came back, by query and variant."""
    effects: Effects = field(default_factory=Effects)

    def report(self, query: Query, message: str, *, line: int | None = None) -> None:
        """Add a finding about a query, at its name unless a line is given."""
        self.findings.append(Finding(query.path, line or query.line, f"{query.name}: {message}"))

    def fail(self, query: Query, message: str, *, line: int | None = None) -> None:
        """Add the finding that a query does not run at all."""
        self.broken.add(query.qualified_name)
        self.report(query, message, line=line)

    def trials(self, query: Query, trials: Trials) -> list[tuple[str, dict[str, Any]]]:
        """Return the arguments to try a query with; a sample that does not fit becomes a finding."""
        try:
            return list(trials.of(query))
        except OrcheoSqlError as error:
            self.findings.append(of_error(error, otherwise=query.path))
            return []


@dataclass(frozen=True)
class Plan:
    """What matters of one execution plan."""

    indexes: frozenset[str] = frozenset()
    scans: tuple[str, ...] = ()
    """What is read from end to end, in words."""
    sorts: bool = False


@dataclass(frozen=True)
class IndexTag:
    """One name of an ``Index:`` tag; ``in order`` promises that rows come in the order of the index, without a sort."""

    name: str
    in_order: bool


def index_tags(query: Query) -> list[IndexTag]:
    """Read the ``Index:`` tag: ``name, name in order``."""
    parts = [p.strip() for p in query.tags.get("Index", "").split(",") if p.strip()]
    return [IndexTag(p.removesuffix(" in order").strip(), p.endswith(" in order")) for p in parts]


@dataclass
class Trials:
    """The arguments that queries are tried with, the same on both dialects."""

    samples: Samples
    optional: Mapping[str, frozenset[str]]
    """By query, the parameters that a text of either dialect lets be NULL."""
    types: dict[str, dict[str, str]] = field(default_factory=dict)
    """PostgreSQL's types of parameters by query, where they are known."""

    def of(self, query: Query) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the arguments of each trial with a name for it.

        A query that reads runs without its optional filters, then with each of them alone. One that writes gets every
        argument, then none of those that may be left out. The trials that samples name come last.
        """
        optional = [p for p in query.parameters if p in self.optional.get(query.qualified_name, ())]
        if query.writes:
            yield BASE, self._arguments(query, ())
            if optional:
                yield "nothing optional", self._arguments(query, optional)
        else:
            yield BASE, self._arguments(query, optional)
            for name in optional:
                yield name, self._arguments(query, [o for o in optional if o != name])
        for trial in sorted(self.samples.trials(query).keys() - {CONFLICT}):
            arguments = self.named(query, trial)
            if arguments is not None:
                yield trial, arguments

    def named(self, query: Query, trial: str) -> dict[str, Any] | None:
        """Return the arguments of a trial that samples name, or None."""
        given = self.samples.trials(query).get(trial)
        if given is None:
            return None
        names = self.optional.get(query.qualified_name, ())
        without = () if query.writes else [n for n in names if n not in given]
        types = self.types.get(query.qualified_name, {})
        return self.samples.arguments(query, types, without=without, given=given)

    def _arguments(self, query: Query, without: Collection[str]) -> dict[str, Any]:
        types = self.types.get(query.qualified_name, {})
        return self.samples.arguments(query, types, without=without)


def optional_parameters(*catalogs: Iterable[Query]) -> dict[str, frozenset[str]]:
    """Return, by query, the parameters that need not be given: a text tests them for NULL, or has a substitute."""
    found: dict[str, frozenset[str]] = {}
    for catalog in catalogs:
        for query in catalog:
            words = code(query.sql)
            names = null_tested(words) | (coalesced(words) if query.writes else set())
            found[query.qualified_name] = found.get(query.qualified_name, frozenset()) | names
    return found


def check_answer(
    proof: Proof, query: Query, compiled: CompiledQuery, variant: str, rows: Rows
) -> None:
    """Decode what came back and compare it with what `Returns:` promises."""
    line = tag_line(query, "Returns")
    try:
        answer = compiled.result(rows)
    except (ContractMismatchError, DecodeError) as error:
        proof.report(query, _reason(error, query), line=line)
        return
    except (TypeError, ValueError, AttributeError, msgspec.MsgspecError) as error:
        returns = query.tags.get("Returns")
        proof.report(query, f"a value does not fit {returns}: {error}", line=line)
        return
    proof.answers[query.qualified_name, variant] = answer
    if query.shape == "count" or rows.columns is None:
        return
    for message in sorted(set(_misfits(query, rows.columns, rows.rows))):
        proof.report(query, message, line=line)


def _reason(error: OrcheoSqlError, query: Query) -> str:
    text = str(error)
    for prefix in (f"{query.place}: ", f"{query.qualified_name}: "):
        text = text.removeprefix(prefix)
    return text


def expected_columns(query: Query, columns: Sequence[str]) -> str | None:
    """Say how result columns differ from what `Returns:` needs, or None."""
    returns = query.returns
    if returns is None:
        return None
    if issubclass(returns, msgspec.Struct):
        return check_columns(returns, columns)
    return None if len(columns) == 1 else f"{len(columns)} columns for one {returns.__name__}"


def wanted_types(query: Query, columns: Sequence[str]) -> dict[str, Any]:
    """Return the annotation that each result column fills; single values by their column's name."""
    returns = query.returns
    if returns is None:
        return {}
    if issubclass(returns, msgspec.Struct):
        fields = columns_of(returns)
        return {c: fields[c].type for c in columns if c in fields}
    return dict.fromkeys(columns[:1], returns | None if query.shape == "value" else returns)


def target(query: Query, column: str) -> str:
    """Name what a column fills: ``WorkflowRun.error``, or the scalar."""
    name = query.tags.get("Returns", "")
    return f"{name}.{column}" if is_struct(query) else name


def is_struct(query: Query) -> bool:
    """Whether its rows fill a struct, not a single value."""
    return query.returns is not None and issubclass(query.returns, msgspec.Struct)


def _misfits(query: Query, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yield what is wrong with raw values: NULL where None is not allowed, another type than the column's kind."""
    for column, annotation in wanted_types(query, columns).items():
        place = list(columns).index(column)
        values = [row[place] for row in rows]
        _, optional = strip_optional(annotation)
        if not optional and None in values:
            yield f"column {column} was NULL, {target(query, column)} does not allow None"
        kind = kind_of(annotation)
        wrong = {type(v).__name__ for v in values if v is not None and not _fits(kind, v)}
        if wrong:
            found = ", ".join(sorted(wrong))
            yield f"column {column} holds {found}, {target(query, column)} needs {_FORMS[kind]}"


_FORMS: dict[Kind, str] = {
    "bool": "a boolean (0 or 1)",
    "float": "a number",
    "int": "an integer",
    "instant": "an instant (UTC text of 27 characters)",
    "json": "a JSON document",
    "text": "a text",
    "uuid": "a UUID in canonical text",
}


def _fits(kind: Kind, value: Any) -> bool:
    match kind:
        case "bool":
            return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
        case "int":
            return isinstance(value, int) and not isinstance(value, bool)
        case "float":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "instant":
            return isinstance(value, datetime) or _is_instant_text(value)
        case "uuid":
            return isinstance(value, UUID) or _is_uuid_text(value)
        case "json":
            return isinstance(value, (str, bytes))
        case _:
            return isinstance(value, str)


def _is_instant_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 27 and value.endswith("Z")


def _is_uuid_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and str(UUID(value)) == value
    except ValueError:
        return False


def check_nullability(proof: Proof, query: Query, statement: str) -> None:
    """Report result columns that are NULL in some rows, as the text and the schema show, but may not be."""
    items = result_items(statement)
    names = proof.columns.get(query.qualified_name, ())
    if len(items) != len(names):
        return
    wanted = wanted_types(query, names)
    for name, item in zip(names, items, strict=True):
        if name not in wanted or strip_optional(wanted[name])[1]:
            continue
        source = proof.schema.tables.get(item.table or "")
        column = source.columns.get(item.column or "") if source else None
        if item.is_null:
            why = "is NULL"
        elif column is not None and item.outer:
            why = f"is NULL where {item.table} has no row (LEFT JOIN)"
        elif column is not None and column.nullable:
            why = f"may be NULL ({item.table}.{item.column} is not NOT NULL)"
        else:
            continue
        line = item.expression[0].line
        proof.report(
            query,
            f"column {name} {why}, {target(query, name)} does not allow None",
            line=_line(query, line),
        )


def _line(query: Query, line_of_sql: int) -> int:
    from .sqltext import code_line

    return code_line(query, line_of_sql - 1)


def check_plan(
    proof: Proof, query: Query, variant: str, plan: Plan, *, how: str = "", by_tags: bool = True
) -> None:
    """Report a plan that reads a whole table without leave or sorts what should come in order.

    With `by_tags` it must use the indexes that the tag names: where rows are few the planner may choose freely.
    """
    given = f" with {variant}" if variant else ""
    if "Scan" not in query.tags:
        for scan in plan.scans:
            proof.report(query, f"{scan}{given}{how}; allow it with a tag `Scan: why`, or index it")
    if variant != BASE:
        return
    line = tag_line(query, "Index")
    for tag in index_tags(query):
        if tag.name not in plan.indexes and by_tags:
            used = ", ".join(sorted(plan.indexes)) or "none"
            proof.report(
                query, f"its plan does not use index {tag.name}{how} (used: {used})", line=line
            )
        if tag.in_order and plan.sorts:
            proof.report(
                query,
                f"its plan sorts{how}, the rows do not come in the order of {tag.name}",
                line=line,
            )


def check_tags(proof: Proof, query: Query) -> None:
    """Report tags that name what is not there."""
    for tag in index_tags(query):
        if proof.schema.index(tag.name) is None and tag.name not in proof.schema.virtual:
            line = tag_line(query, "Index")
            proof.report(query, f"no index is named {tag.name} (tag Index)", line=line)
