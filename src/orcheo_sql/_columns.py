"""Read the names of the result columns out of a query's text.

Our convention makes this simple: columns are always written out, and an expression is named with AS.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKEN = re.compile(r"'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\"|\w+|::|.", re.DOTALL)
_ENDS_LIST = frozenset({"from", "where", "union", "order", "limit", "group", "having", ";"})


def result_columns(statement: str) -> tuple[str, ...] | None:
    """Return the column names of a statement, or None when it returns no rows.

    A ``*`` stands for itself: the caller decides whether to refuse it.
    """
    words = [word.lower() for word in _top_level(statement)]
    if "returning" in words:
        start = len(words) - words[::-1].index("returning")
    elif "select" in words:
        start = words.index("select") + 1
    else:
        return None
    names: list[str] = []
    column: list[str] = []
    for word in [*words[start:], ";"]:
        if word == "," or word in _ENDS_LIST:
            if column:
                names.append(_name(column))
            column = []
            if word != ",":
                break
        else:
            column.append(word)
    return tuple(names)


def _name(column: list[str]) -> str:
    return column[-1].strip('"')


def _top_level(statement: str) -> Iterator[str]:
    """Yield the words outside of parentheses; a group in parentheses becomes one ``()``."""
    depth = 0
    for match in _TOKEN.finditer(re.sub(r"--.*|/\*.*?\*/", "", statement)):
        word = match[0]
        if word == "(":
            depth += 1
            if depth == 1:
                yield "()"
        elif word == ")":
            depth -= 1
        elif depth == 0 and not word.isspace():
            yield word
