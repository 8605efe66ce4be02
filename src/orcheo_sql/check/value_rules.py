"""Literals that a column can't hold: compared with a column whose CHECK lists its values, they match nothing, silently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .findings import Finding
from .schema_checks import allowed_values, quoted
from .sqltext import Token, block, closing, code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orcheo_sql._catalog import Query

    from .schema import Schema, Table

_EQUALS = frozenset({"=", "<>", "!=", "is"})


@dataclass(frozen=True)
class Wrong:
    """A literal that its column can't hold."""

    line: int
    message: str


def check_values(queries: Sequence[Query], schema: Schema) -> Iterator[Finding]:
    """Yield literals of queries that the column they are compared with, or written to, can't hold."""
    for query in queries:
        lines = block(query)
        found = code("\n".join(text for _, text in lines[1:]), first_line=lines[0][0] + 1)
        words = {t.key for t in found if t.kind == "word"}
        tables = [t for t in schema.tables.values() if t.name in words]
        for wrong in wrong_literals(found, tables):
            yield Finding(query.path, wrong.line, f"{query.name}: {wrong.message}")


def wrong_literals(found: Sequence[Token], tables: Sequence[Table]) -> Iterator[Wrong]:
    """Yield literals beside a column that the table they are meant for does not let it have.

    A column without a table in front of it counts when every table that has it lists its values: which of them is meant
    need not be known. It does not count where the text makes a column of this name itself.
    """
    aliases = {t.name: t.name for t in tables}
    for i, token in enumerate(found[:-2]):
        if token.key in aliases and found[i + 1].key == "as":
            aliases[found[i + 2].key] = aliases[token.key]
    made = {found[i + 1].key for i, t in enumerate(found[:-1]) if t.key == "as"} - aliases.keys()
    lists = {t.name: allowed_values(t) for t in tables}
    allowed = _allowed(tables, lists)
    for i, token in enumerate(found[:-1]):
        if i > 1 and found[i - 1].text == ".":
            values = lists.get(aliases.get(found[i - 2].key, ""), {}).get(token.key)
        else:
            values = allowed.get(token.key) if token.key not in made else None
        if token.kind != "word" or values is None:
            continue
        for literal in _compared(found, i + 1):
            if literal.text[1:-1].replace("''", "'") not in values:
                shown = quoted(sorted(values))
                message = f"{token.key} is never {literal.text}; its CHECK allows {shown}"
                yield Wrong(literal.line, message)


def _allowed(
    tables: Sequence[Table], lists: Mapping[str, Mapping[str, frozenset[str]]]
) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for table in tables:
        for column in table.columns:
            values = [lists[t.name].get(column) for t in tables if column in t.columns]
            if all(v is not None for v in values):
                found[column] = frozenset(v for some in values if some for v in some)
    return found


def _compared(found: Sequence[Token], index: int) -> Iterator[Token]:
    """Yield the texts that what stands before `index` is compared with: ``= 'a'``, ``IN ('a', 'b')``."""
    while index < len(found) and found[index].text in (")", "::", "text"):
        index += 1
    rest = found[index:]
    if not rest:
        return
    if rest[0].key in _EQUALS:
        # = 'a', IS NOT 'a', IS [NOT] DISTINCT FROM 'a'
        place = next(
            (k for k, t in enumerate(rest) if k and t.key not in ("not", "distinct", "from")), 0
        )
        if place and rest[place].kind == "string":
            yield rest[place]
    elif rest[0].key in ("in", "not"):
        opening = 1 if rest[0].key == "in" else 2
        if opening < len(rest) and rest[opening].text == "(" and rest[opening - 1].key == "in":
            inside = rest[opening + 1 : closing(rest, opening)]
            if all(t.kind == "string" or t.text == "," for t in inside):
                yield from (t for t in inside if t.kind == "string")
