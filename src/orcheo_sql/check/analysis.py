"""What can be told from a query's text alone: which parameters may be NULL, and where result columns come from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .sqltext import Token, closing, code, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orcheo_sql._catalog import Query

    from .schema import Schema

_ENDS_ITEMS = frozenset({"from", "where", "union", "order", "limit", "group", "having", ";"})
_ENDS_FROM = frozenset({"where", "union", "order", "limit", "group", "having", "returning", ";"})
_ENDS_SET = frozenset({"from", "where", "returning", ";", ")"})


def null_tested(found: Sequence[Token]) -> set[str]:
    """Return the parameters that a text compares with NULL: optional filters and fields that may be left alone."""
    return {
        token.text[1:]
        for i, token in enumerate(found)
        if token.kind == "parameter" and _word(found, _after_cast(found, i)) == "is"
    }


def coalesced(found: Sequence[Token]) -> set[str]:
    """Return the parameters for which a text has a substitute."""
    names: set[str] = set()
    for i, token in enumerate(found):
        if token.key == "coalesce" and _text(found, i + 1) == "(":
            arguments = split(found[i + 2 : closing(found, i + 1)])
            names.update(n for n in map(_bare_parameter, arguments[:-1]) if n)
    return names


def declared_null(query: Query) -> list[str]:
    """Return the parameters that a ``Null:`` tag names; when they are, stands in parentheses."""
    return re.findall(r"\w+", re.sub(r"\([^)]*\)", "", query.tags.get("Null", "")))


def assigned(found: Sequence[Token]) -> Iterator[tuple[str, str, str]]:
    """Yield (table, column, parameter) where a parameter is written to a column as it is."""
    for i, token in enumerate(found):
        if token.key == "into" and _text(found, i + 2) == "(":
            end = closing(found, i + 2)
            columns = [part[0].key for part in split(found[i + 3 : end]) if part]
            for column, value in zip(columns, _written(found, end + 1), strict=False):
                name = _bare_parameter(value)
                if name:
                    yield found[i + 1].key, column, name
        elif token.key == "set" and i >= 2 and found[i - 2].key == "update":
            for part in split(_until(found, i + 1, _ENDS_SET)):
                name = _bare_parameter(part[2:])
                if name:
                    yield found[i - 1].key, part[0].key, name


def nullable_parameters(sql: str, schema: Schema, declared: Sequence[str] = ()) -> set[str]:
    """Return the parameters that may be None.

    A parameter may be when the text tests it for NULL, has a substitute for it, or only ever writes it to columns that
    take NULL; or when the comment says so (tag ``Null:``).
    """
    found = code(sql)
    allowed = null_tested(found) | coalesced(found) | set(declared)
    fits: dict[str, bool] = {}
    for table, column, name in assigned(found):
        known = schema.tables.get(table)
        nullable = known is not None and column in known.columns and known.columns[column].nullable
        fits[name] = fits.get(name, True) and nullable
    return allowed | {name for name, fit in fits.items() if fit}


@dataclass(frozen=True)
class Item:
    """One result column: its expression and, when that is a bare column of a table, which one."""

    expression: tuple[Token, ...]
    table: str | None = None
    column: str | None = None
    outer: bool = False
    """Whether the table is joined so that it may have no row."""

    @property
    def is_null(self) -> bool:
        """Whether the expression is the literal NULL."""
        return bool(self.expression) and self.expression[0].key == "null"


def result_items(sql: str) -> list[Item]:
    """Return the result columns of a statement in order; expressions are not looked into."""
    found = code(sql)
    start = _result_start(found)
    if start is None:
        return []
    word = found[start].key
    items = split(_until(found, start + 1, _ENDS_ITEMS))
    sources = (
        _written_table(found, start)
        if word == "returning"
        else dict(_sources(_from_clause(found, start)))
    )
    return [_item(item, sources) for item in items]


def _result_start(found: Sequence[Token]) -> int | None:
    """Return the place of the top-level SELECT or RETURNING that gives the result."""
    depth, selects = 0, []
    for i, token in enumerate(found):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.key == "returning":
            return i
        if depth == 0 and token.key == "select":
            selects.append(i)
    return selects[0] if selects else None


def _item(item: list[Token], sources: dict[str, tuple[str, bool]]) -> Item:
    expression = tuple(item[:-2] if len(item) > 2 and item[-2].key == "as" else item)
    words = [t.key for t in expression]
    source: tuple[str, bool] | None = None
    if len(words) == 3 and words[1] == ".":
        source = sources.get(words[0])
    elif len(words) == 1 and expression[0].kind == "word" and len(sources) == 1:
        source = next(iter(sources.values()))
    if source is None:
        return Item(expression)
    return Item(expression, source[0], words[-1], source[1])


def _from_clause(found: Sequence[Token], start: int) -> list[Token]:
    rest = list(found[start + 1 :])
    depth = 0
    for i, token in enumerate(rest):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.key == "from":
            return _until(rest, i + 1, _ENDS_FROM)
        if depth == 0 and token.key in _ENDS_FROM:
            break
    return []


def _sources(clause: Sequence[Token]) -> Iterator[tuple[str, tuple[str, bool]]]:
    """Yield alias, table and whether it may lack a row, for each table of a FROM clause."""
    depth, outer, expected = 0, False, True
    names: list[tuple[str, tuple[str, bool]]] = []
    for i, token in enumerate(clause):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth or token.text == ")":
            expected = False
        elif token.key in ("left", "inner", "cross", "full", "right"):
            outer = token.key in ("left", "full")
            if token.key in ("right", "full"):
                names = [(alias, (table, True)) for alias, (table, _) in names]
        elif token.key in ("join", ","):
            expected = True
        elif expected and token.kind == "word" and token.key != "lateral":
            has_alias = _word(clause, i + 1) == "as"
            alias = clause[i + 2].key if has_alias and i + 2 < len(clause) else token.key
            names.append((alias, (token.key, outer)))
            expected = False
    yield from names


def _written_table(found: Sequence[Token], returning: int) -> dict[str, tuple[str, bool]]:
    """Return the table that an INSERT, UPDATE or DELETE with RETURNING changes."""
    depth, table = 0, None
    for i, token in enumerate(found[:returning]):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and (
            (token.key == "into")
            or (token.key == "update" and _word(found, i - 1) != "do")
            or (token.key == "from" and _word(found, i - 1) == "delete")
        ):
            table = found[i + 1].key
    return {table: (table, False)} if table else {}


def _written(found: Sequence[Token], start: int) -> list[list[Token]]:
    """Return the expressions of an INSERT, after its list of columns."""
    if _word(found, start) == "values":
        return split(found[start + 2 : closing(found, start + 1)])
    if _word(found, start) == "select":
        return split(_until(found, start + 1, _ENDS_ITEMS | {")"}))
    return []


def _until(found: Sequence[Token], start: int, ends: frozenset[str]) -> list[Token]:
    """Return the tokens from `start` to the first of `ends` outside of parentheses."""
    depth = 0
    for i in range(start, len(found)):
        token = found[i]
        if depth == 0 and token.key in ends:
            return list(found[start:i])
        depth += {"(": 1, ")": -1}.get(token.text, 0)
    return list(found[start:])


def _bare_parameter(expression: Sequence[Token]) -> str | None:
    """Return the name when an expression is a parameter, cast or not, and nothing else."""
    if expression and expression[0].kind == "parameter":
        return expression[0].text[1:] if _after_cast(expression, 0) == len(expression) else None
    return None


def _after_cast(found: Sequence[Token], index: int) -> int:
    """Return the index behind an operand and the casts that follow it."""
    index += 1
    while _text(found, index) == "::":
        index += 2
        while _text(found, index) in ("[", "]"):
            index += 1
    return index


def _text(found: Sequence[Token], index: int) -> str:
    return found[index].text if 0 <= index < len(found) else ""


def _word(found: Sequence[Token], index: int) -> str:
    return found[index].key if 0 <= index < len(found) else ""
