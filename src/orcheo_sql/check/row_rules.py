"""How many rows a query can give, and in which order: told from its text and the unique keys of the tables.

Two rules that no comparison of the twins can find when both are wrong: operators ^ and $ take one row, so there must be
no second; and where rows are ordered and cut off, or listed, the order must leave no ties.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .findings import Finding
from .schema_checks import words_of
from .selects import (
    Reference,
    Source,
    Statement,
    Tokens,
    conjuncts,
    equal_sides,
    item_names,
    read_statement,
    subqueries,
)
from .sqltext import Token, block, closing, code, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orcheo_sql._catalog import Query

    from .schema import Index, Schema, Table

_AGGREGATES = frozenset(
    {
        "count",
        "sum",
        "total",
        "avg",
        "max",
        "min",
        "array_agg",
        "string_agg",
        "group_concat",
        "bool_and",
        "bool_or",
    }
    | {
        "json_agg",
        "jsonb_agg",
        "json_object_agg",
        "jsonb_object_agg",
        "json_group_array",
        "json_group_object",
    }
)


@dataclass(frozen=True)
class Derived:
    """A CTE or subquery as a source: whether it has at most one row, and the names of its columns."""

    is_single: bool
    columns: frozenset[str]


@dataclass
class Scope:
    """What a statement can name: the tables of the schema and the CTEs before it."""

    schema: Schema
    ctes: dict[str, Derived] = field(default_factory=dict)

    def within(self, statement: Statement) -> Scope:
        """Return the scope with the CTEs of a statement."""
        inner = Scope(self.schema, dict(self.ctes))
        for name, body in statement.ctes:
            inner.ctes[name] = Derived(gives_one(body, inner), _columns_of(body))
        return inner


def check_rows(queries: Sequence[Query], schema: Schema) -> Iterator[Finding]:
    """Yield queries that may give a second row, or rows in an order with ties."""
    for query in queries:
        lines = block(query)
        found = code("\n".join(text for _, text in lines[1:]), first_line=lines[0][0] + 1)
        statements = [s for s in split(found, ";") if s]
        scope = Scope(schema)
        if query.shape in ("one", "value") and "Single" not in query.tags:
            result = next((s for s in statements if _returns(s)), None)
            if result is not None and not gives_one(result, scope):
                yield Finding(
                    query.path,
                    query.line,
                    f"{query.name}: it may give more than one row: no unique key is compared in WHERE; add LIMIT 1, or "
                    "say in a tag `Single:` why there is only one",
                )
        if "Order" not in query.tags:
            for statement in statements:
                for line in _ties(statement, scope, listed=query.shape == "rows"):
                    yield Finding(
                        query.path,
                        line,
                        f"{query.name}: ORDER BY leaves ties: end it with the columns of a unique key, or say in a tag "
                        "`Order:` why it does",
                    )


def _returns(found: Sequence[Token]) -> bool:
    statement = read_statement(found)
    return statement.kind == "select" or "returning" in statement.clauses


def _columns_of(body: Tokens) -> frozenset[str]:
    statement = read_statement(body)
    items = statement.clauses.get("returning") or statement.clauses.get("select") or []
    return frozenset(item_names(items)) - {""}


def gives_one(found: Sequence[Token], scope: Scope) -> bool:
    """Whether a statement gives at most one row for sure."""
    statement = read_statement(found)
    scope = scope.within(statement)
    if statement.kind == "insert":
        return _inserts_one(statement.rest, scope)
    if statement.kind in ("update", "delete") and statement.target is not None:
        return _determined(statement, scope, [], {statement.target.alias})
    if statement.kind != "select":
        return False
    if [t.text for t in statement.clauses.get("limit", ())][:1] == ["1"]:
        return True
    if statement.is_set:
        return False
    if "from" not in statement.clauses:
        return True
    if "group" not in statement.clauses and _aggregates(statement.clauses["select"]):
        return True
    return _determined(statement, scope, [])


def _inserts_one(rest: Tokens, scope: Scope) -> bool:
    if rest and rest[0].key == "values":
        return len(split(rest[1:])) == 1
    return bool(rest) and gives_one(rest, scope)


def _aggregates(items: Sequence[Token]) -> bool:
    """Whether a result column is an aggregate, not counting those in subqueries."""
    i = 0
    while i < len(items):
        token, follows = items[i], items[i + 1].text if i + 1 < len(items) else ""
        if token.text == "(" and i + 1 < len(items) and items[i + 1].key in ("select", "with"):
            i = closing(items, i)
        elif token.key in _AGGREGATES and follows == "(":
            end = closing(items, i + 1)
            behind = items[end + 1].key if end + 1 < len(items) else ""
            # max(a, b) is no aggregate on SQLite.
            if behind != "over" and (
                token.key not in ("max", "min") or len(split(items[i + 2 : end])) == 1
            ):
                return True
        i += 1
    return False


def _ties(found: Sequence[Token], scope: Scope, *, listed: bool) -> Iterator[int]:
    """Yield the lines of the ORDER BYs that leave ties, of a statement and of those within it that are cut off."""
    statement = read_statement(found)
    scope = scope.within(statement)
    order = statement.clauses.get("order")
    if (
        order
        and (listed or "limit" in statement.clauses)
        and not _orders_all(statement, scope, order)
    ):
        yield order[0].line
    if statement.kind == "insert" and statement.rest and statement.rest[0].key != "values":
        yield from _ties(statement.rest, scope, listed=False)
    seen: set[int] = set()
    for inner in subqueries(found):
        # Each is looked at by the one it stands in.
        if id(inner[0]) not in seen:
            seen.update(id(t) for t in inner)
            yield from _ties(inner, scope, listed=False)


def _orders_all(statement: Statement, scope: Scope, order: Tokens) -> bool:
    """Whether ORDER BY tells any two rows apart; also where that can't be told, because a source is no table."""
    sources = statement.sources
    if sources is None or statement.is_set or statement.kind != "select":
        return True
    if "distinct" in {t.key for t in statement.clauses["select"][:1]}:
        return True
    if any(s.name not in scope.schema.tables and not _is_single(s, scope) for s in sources):
        return True
    names = {
        part[-1].key: part[:-2]
        for part in split(statement.clauses["select"])
        if len(part) > 2 and part[-2].key == "as"
    }
    terms = []
    for term in split(order[1:]):
        words = [t for t in term if t.key not in ("asc", "desc", "nulls", "first", "last")]
        terms.append(names.get(words[0].key, words) if len(words) == 1 else words)
    group = statement.clauses.get("group")
    if group:
        known = {tuple(t.key for t in term) for term in terms}
        return all(tuple(t.key for t in part) in known for part in split(group[1:]))
    return _determined(statement, scope, terms)


def _is_single(source: Source, scope: Scope) -> bool:
    if source.subquery is not None:
        return gives_one(source.subquery, scope)
    derived = scope.ctes.get(source.name)
    return derived is not None and derived.is_single


def _determined(
    statement: Statement, scope: Scope, terms: Sequence[Tokens], wanted: set[str] | None = None
) -> bool:
    """Whether the values of `terms`, and what conditions compare with constants, leave one row of each source.

    With `wanted` it is enough to know the row of these sources.
    """
    sources = statement.sources
    if sources is None:
        return False
    if statement.target is not None:
        sources = [statement.target, *sources]
    reader = _Reader(sources, scope)
    where = conjuncts(statement.clauses.get("where", [])[:])
    # What ON of a LEFT JOIN says is true of the joined row only.
    rules: list[tuple[Tokens, str | None]] = [(c, None) for c in where]
    for source in sources:
        rules += [(c, source.alias if source.outer else None) for c in conjuncts(source.on)]
    known = {ref for term in terms if (ref := reader.column(term))}
    single = {s.alias for s in sources if _is_single(s, scope)}
    holds = {_plain(c) for c in where}
    while True:
        before = len(known), len(single)
        for condition, only in rules:
            for mine, other in _both(equal_sides(condition)):
                ref = reader.column(mine)
                if ref and (only is None or ref[0] == only) and reader.knows(other, known, single):
                    known.add(ref)
        for source in sources:
            table = scope.schema.tables.get(source.name) if source.name not in scope.ctes else None
            columns = {c for alias, c in known if alias == source.alias}
            if table is not None and _has_key(table, columns, holds):
                single.add(source.alias)
        if (len(known), len(single)) == before:
            return (wanted or {s.alias for s in sources}) <= single


def _both(sides: tuple[Tokens, Tokens] | None) -> list[tuple[Tokens, Tokens]]:
    return [sides, sides[::-1]] if sides else []


def _has_key(table: Table, columns: set[str], holds: set[tuple[str, ...]]) -> bool:
    """Whether the columns hold a unique key; that of a partial index where the text says its condition."""
    if table.key and set(table.key) <= columns:
        return True
    return any(
        index.unique
        and all(index.columns)
        and set(index.columns) <= columns
        and _applies(index, columns, holds)
        for index in table.indexes.values()
    )


def _applies(index: Index, columns: set[str], holds: set[tuple[str, ...]]) -> bool:
    for condition in conjuncts(words_of(index.condition)) if index.condition else ():
        plain = _plain(condition)
        is_given = plain[1:] == ("is", "not", "null") and plain[0] in columns
        if not is_given and plain not in holds:
            return False
    return not index.partial or bool(index.condition)


def _plain(condition: Sequence[Token]) -> tuple[str, ...]:
    """Return the words of a condition without aliases and parentheses."""
    words = [t.key for t in words_of(" ".join(t.text for t in condition)) if t.text not in "()"]
    return tuple(w for i, w in enumerate(words) if w != "." and words[i + 1 : i + 2] != ["."])


class _Reader:
    """Tells which column of which source a text means."""

    def __init__(self, sources: Sequence[Source], scope: Scope):
        self._columns: dict[str, frozenset[str]] = {}
        self._scope = scope
        for source in sources:
            if source.subquery is not None:
                columns = _columns_of(source.subquery)
            elif source.name in scope.ctes:
                columns = scope.ctes[source.name].columns
            else:
                table = scope.schema.tables.get(source.name)
                columns = frozenset(table.columns) if table else frozenset()
            self._columns[source.alias] = columns

    def column(self, tokens: Sequence[Token]) -> Reference | None:
        """Return the column that an expression is, or None if it is something else."""
        words = [t.key for t in tokens]
        # SQLite's way to keep a condition from an index
        words = words[1:] if words[:1] == ["+"] else words
        if len(words) == 3 and words[1] == "." and words[0] in self._columns:
            return words[0], words[2]
        if len(words) == 1 and tokens[-1].kind == "word":
            return self._unqualified(words[0])
        return None

    def _unqualified(self, name: str) -> Reference | None:
        owners = [alias for alias, columns in self._columns.items() if name in columns]
        return (owners[0], name) if len(owners) == 1 else None

    def knows(self, tokens: Sequence[Token], known: set[Reference], single: set[str]) -> bool:
        """Whether an expression depends on nothing but what is known of these sources."""
        inner = self._scope.schema.tables
        local = {t.key for i, t in enumerate(tokens) if i and tokens[i - 1].key == "as"}
        tables = {t.key for t in tokens if t.key in inner and t.key not in self._columns}
        shadows = {c for t in tables for c in inner[t].columns}
        for i, token in enumerate(tokens):
            if token.kind != "word" or (i and tokens[i - 1].text in (".", "::")):
                continue
            follows = tokens[i + 1].text if i + 1 < len(tokens) else ""
            if follows == ".":
                if token.key in self._columns and token.key not in local:
                    reference = token.key, tokens[i + 2].key
                    if token.key not in single and reference not in known:
                        return False
            elif follows != "(" and token.key not in shadows:
                owners = [a for a, columns in self._columns.items() if token.key in columns]
                if any(a not in single and (a, token.key) not in known for a in owners):
                    return False
        return True
