"""Read as much of a statement as it takes to tell how many rows it can give: its sources, and what they are compared with.

No full parser: what it does not understand it leaves out, and then nothing is known, which is never too much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .sqltext import Token, closing, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Tokens = list[Token]
Reference = tuple[str, str]
"""Alias of a source, column."""

_JOINS = frozenset({"join", "inner", "left", "right", "full", "cross", "natural", ","})
_CLAUSES = frozenset(
    {
        "from",
        "where",
        "group",
        "having",
        "window",
        "order",
        "limit",
        "offset",
        "for",
        "returning",
        "set",
        "using",
    }
)
_SETS = frozenset({"union", "intersect", "except"})


@dataclass
class Source:
    """One entry of a FROM clause, or the table that a statement changes."""

    alias: str
    name: str = ""
    """The table or CTE; empty for a subquery or function."""
    subquery: Tokens | None = None
    outer: bool = False
    """Whether a row of it may be missing (LEFT JOIN)."""
    on: Tokens = field(default_factory=list)


@dataclass
class Statement:
    """The parts of one SELECT, INSERT, UPDATE or DELETE, without those of its subqueries."""

    kind: str
    ctes: list[tuple[str, Tokens]] = field(default_factory=list)
    target: Source | None = None
    """The table that is changed."""
    clauses: dict[str, Tokens] = field(default_factory=dict)
    """By their first word; `select` holds the result columns."""
    rest: Tokens = field(default_factory=list)
    """What an INSERT inserts: VALUES or a SELECT."""
    is_set: bool = False
    """Whether it is a UNION or the like; then only ORDER BY and LIMIT are known."""

    @property
    def sources(self) -> list[Source] | None:
        """The entries of FROM (USING of a DELETE); None when they can't be told."""
        return read_sources(self.clauses.get("from") or self.clauses.get("using") or [])


def read_statement(found: Sequence[Token]) -> Statement:
    """Take a statement apart."""
    tokens = [t for t in found if t.text != ";"]
    while tokens and tokens[0].text == "(" and closing(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    ctes, tokens = _ctes(tokens)
    kind = tokens[0].key if tokens else ""
    if kind == "insert":
        return _insert(ctes, tokens)
    statement = Statement(kind, ctes)
    if kind == "update":
        statement.target, tokens = _target(tokens[1:])
    elif kind == "delete":
        statement.target, tokens = _target(tokens[2:])
    statement.clauses = dict(_clauses(tokens))
    statement.is_set = any(t.key in _SETS for t in top_level(tokens))
    return statement


def _ctes(tokens: Tokens) -> tuple[list[tuple[str, Tokens]], Tokens]:
    """Split ``WITH a AS (...), b AS (...)`` off."""
    ctes: list[tuple[str, Tokens]] = []
    if not tokens or tokens[0].key != "with":
        return ctes, tokens
    i = 2 if tokens[1].key == "recursive" else 1
    while i < len(tokens):
        name = tokens[i].key
        while i < len(tokens) and tokens[i].key != "as":
            i = closing(tokens, i) + 1 if tokens[i].text == "(" else i + 1
        while i < len(tokens) and tokens[i].text != "(":
            i += 1
        end = closing(tokens, i)
        ctes.append((name, tokens[i + 1 : end]))
        i = end + 1
        if i >= len(tokens) or tokens[i].text != ",":
            break
        i += 1
    return ctes, tokens[i:]


def _target(tokens: Tokens) -> tuple[Source, Tokens]:
    name = tokens[0].key if tokens else ""
    if len(tokens) > 2 and tokens[1].key == "as":
        return Source(tokens[2].key, name), tokens[3:]
    return Source(name, name), tokens[1:]


def _insert(ctes: list[tuple[str, Tokens]], tokens: Tokens) -> Statement:
    into = next((i for i, t in enumerate(tokens) if t.key == "into"), 0)
    statement = Statement("insert", ctes)
    statement.target, tokens = _target(tokens[into + 1 :])
    if tokens and tokens[0].text == "(":
        tokens = tokens[closing(tokens, 0) + 1 :]
    end, depth = len(tokens), 0
    for i, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        is_conflict = token.key == "on" and [t.key for t in tokens[i + 1 : i + 2]] == ["conflict"]
        if depth == 0 and (token.key == "returning" or is_conflict):
            end = i
            break
    statement.rest = tokens[:end]
    returning = next((i for i, t in places(tokens[end:]) if t.key == "returning"), None)
    if returning is not None:
        statement.clauses["returning"] = tokens[end + returning + 1 :]
    return statement


def places(tokens: Sequence[Token]) -> Iterator[tuple[int, Token]]:
    """Yield the tokens outside of parentheses and of CASE ... END, with their places."""
    depth = 0
    for i, token in enumerate(tokens):
        if token.text == ")" or token.key == "end":
            depth -= 1
        if depth == 0:
            yield i, token
        if token.text == "(" or token.key == "case":
            depth += 1


def top_level(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens outside of parentheses."""
    return [t for _, t in places(tokens)]


def _clauses(tokens: Tokens) -> Iterator[tuple[str, Tokens]]:
    """Yield each clause with what follows its first word; the last one of a name wins, which is the UNION's own."""
    starts = [
        (i, t.key)
        for i, t in places(tokens)
        # IS DISTINCT FROM is no clause
        if t.key in _CLAUSES | {"select"} | _SETS
        and not (t.key == "from" and tokens[i - 1].key == "distinct")
    ]
    ends = [i for i, _ in starts[1:]] + [len(tokens)]
    for (start, name), end in zip(starts, ends, strict=False):
        yield name, tokens[start + 1 : end]


def read_sources(clause: Sequence[Token]) -> list[Source] | None:
    """Read a FROM clause; None when it has something that is not understood."""
    found: list[Source] = []
    i, outer = 0, False
    while i < len(clause):
        word = clause[i].key
        if word in _JOINS or word in ("outer", "lateral"):
            if word in ("right", "full", "natural"):
                return None
            outer = (outer or word == "left") if word not in (",", "inner", "cross") else False
            i += 1
            continue
        source, i = _source(clause, i)
        if source is None:
            return None
        source.outer, outer = outer, False
        if i < len(clause) and clause[i].key == "on":
            end = next((k for k, t in places(clause[i + 1 :]) if t.key in _JOINS), None)
            end = len(clause) if end is None else i + 1 + end
            source.on = list(clause[i + 1 : end])
            i = end
        elif i < len(clause) and clause[i].key not in _JOINS:
            return None
        found.append(source)
    return found


def _source(clause: Sequence[Token], i: int) -> tuple[Source | None, int]:
    source = Source("")
    if clause[i].text == "(":
        end = closing(clause, i)
        source.subquery = list(clause[i + 1 : end])
        i = end + 1
    elif clause[i].kind == "word":
        source.alias = source.name = clause[i].key
        i += 1
        if i < len(clause) and clause[i].text == "(":
            source.name = ""
            i = closing(clause, i) + 1
    else:
        return None, i
    if i + 1 < len(clause) and clause[i].key == "as":
        source.alias = clause[i + 1].key
        i += 2
        if i < len(clause) and clause[i].text == "(":
            i = closing(clause, i) + 1
    return source, i


def conjuncts(tokens: Sequence[Token]) -> list[Tokens]:
    """Return the conditions that all have to be true; none when an OR stands between them."""
    tokens = list(tokens)
    while tokens and tokens[0].text == "(" and closing(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    words = list(places(tokens))
    if any(t.key == "or" for _, t in words):
        return []
    cuts = [i for i, t in words if t.key == "and"]
    if not cuts:
        return [tokens] if tokens else []
    parts = [
        tokens[a:b] for a, b in zip([0, *(c + 1 for c in cuts)], [*cuts, len(tokens)], strict=True)
    ]
    return [c for part in parts for c in conjuncts(part)]


def equal_sides(condition: Sequence[Token]) -> tuple[Tokens, Tokens] | None:
    """Return both sides of ``a = b``."""
    words = list(places(condition))
    signs = [i for i, t in words if t.text == "="]
    others = {
        "<",
        ">",
        "<=",
        ">=",
        "<>",
        "!=",
        "between",
        "in",
        "like",
        "is",
        "not",
        "any",
        "all",
        "some",
    }
    if len(signs) != 1 or any(t.key in others for _, t in words):
        return None
    return list(condition[: signs[0]]), list(condition[signs[0] + 1 :])


def item_names(items: Sequence[Token]) -> list[str]:
    """Return the names of result columns; empty for one that has none."""
    names = []
    for item in split(list(items)):
        last = item[-1] if item else None
        is_name = last is not None and last.kind == "word"
        names.append(last.key if last is not None and is_name else "")
    return names


def subqueries(tokens: Sequence[Token]) -> Iterator[Tokens]:
    """Yield each statement in parentheses, at whatever depth, and the SELECT of an INSERT."""
    for i, token in enumerate(tokens):
        follows = tokens[i + 1].key if i + 1 < len(tokens) else ""
        if token.text == "(" and follows in ("select", "with", "insert", "update", "delete"):
            yield list(tokens[i + 1 : closing(tokens, i)])
