"""Look at SQL as text: tokens with their lines, calls and their arguments, and where a query's parts stand in its file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orcheo_sql._catalog import Query

TokenKind = Literal["comment", "number", "operator", "parameter", "quoted", "string", "word"]

_TOKEN = re.compile(
    r"""
    (?P<comment>--[^\n]*|/\*.*?\*/)
    | (?P<dollar>\$(?P<tag>\w*)\$)
    | (?P<string>[eExX]?'(?:''|[^'])*')
    | (?P<quoted>"(?:""|[^"])*")
    | (?P<parameter>(?<!:):[A-Za-z_]\w*)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<operator>::|\|\||->>|->|@>|<@|@@|<>|!=|<=|>=|\S)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Token:
    """A piece of SQL and the line, from 1, on which it begins."""

    kind: TokenKind
    text: str
    line: int

    @property
    def key(self) -> str:
        """The text as comparisons want it: words without regard to case."""
        return self.text.lower() if self.kind == "word" else self.text


def tokens(sql: str, *, first_line: int = 1) -> Iterator[Token]:
    """Yield the tokens of a text, comments included; bodies in dollar quotes count as SQL."""
    line, position = first_line, 0
    for match in _TOKEN.finditer(sql):
        line += sql.count("\n", position, match.start())
        position = match.start()
        kind = match.lastgroup
        if kind in ("dollar", "tag"):
            continue
        yield Token(kind, match.group(), line)  # type: ignore[arg-type] # the groups are the kinds


def code(sql: str, *, first_line: int = 1) -> list[Token]:
    """Return the tokens of a text without its comments."""
    return [t for t in tokens(sql, first_line=first_line) if t.kind != "comment"]


def closing(found: Sequence[Token], opening: int) -> int:
    """Return the index of the parenthesis that closes the one at `opening`, or the end."""
    depth = 0
    for index in range(opening, len(found)):
        depth += {"(": 1, ")": -1}.get(found[index].text, 0)
        if depth == 0:
            return index
    return len(found)


def split(found: Sequence[Token], separator: str = ",") -> list[list[Token]]:
    """Split tokens at the separators that stand outside of parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth == 0 and token.key == separator:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts if parts != [[]] else []


def lines_of(path: Path) -> tuple[str, ...]:
    """Return the lines of a file."""
    return tuple(path.read_text(encoding="utf-8", errors="replace").splitlines())


def block(query: Query) -> list[tuple[int, str]]:
    """Return the numbered lines of a query, from its name to the next query's."""
    numbered = list(enumerate(lines_of(query.path), 1))[query.line - 1 :]
    end = next(
        (i for i, (_, text) in enumerate(numbered) if i and re.match(r"--\s*name\s*:", text)),
        len(numbered),
    )
    return numbered[:end]


def tag_line(query: Query, tag: str) -> int:
    """Return the line of a tag, or the query's own when it has no such tag."""
    return next(
        (line for line, text in block(query) if re.match(rf"--\s*{tag}:", text)), query.line
    )


def code_line(query: Query, nth: int) -> int:
    """Return the line in the file of the nth line, from 0, of `query.sql`, which has no comment lines."""
    kept = [(line, text) for line, text in block(query)[1:] if not re.match(r"\s*--", text)]
    first = next((i for i, (_, text) in enumerate(kept) if text.strip()), 0)
    return kept[first + nth][0] if first + nth < len(kept) else query.line


def word_line(query: Query, word: str) -> int:
    """Return the first line of a query's SQL that has a word, or the query's own."""
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)", re.IGNORECASE)
    for line, text in block(query)[1:]:
        if not re.match(r"\s*--", text) and pattern.search(text):
            return line
    return query.line
