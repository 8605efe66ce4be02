"""Read the names of the result columns out of a query's text.

Our convention makes this simple: columns are always written out, and an expression is named with AS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_TOKEN = re.compile(r"'(?:''|[^'])*'|\"(?:\"\"|[^\"])*\"|\w+|::|.", re.DOTALL)
_ENDS_LIST = frozenset({"from", "where", "union", "order", "limit", "group", "having", ";"})


def result_columns(statement: str) -> tuple[str, ...] | None:
    """Return the column names of a statement, or None when it returns no rows.

    A ``*`` stands for itself: the caller decides whether to refuse it.
    """
    tokens = list(_top_level(statement))
    words = [t.lower() for t in tokens]
    if "returning" in words:
        start = len(words) - words[::-1].index("returning")
    elif "select" in words:
        start = words.index("select") + 1
    else:
        return None
    names: list[str] = []
    column: list[str] = []
    for token in [*tokens[start:], ";"]:
        if token == "," or token.lower() in _ENDS_LIST:
            if column:
                names.append(_name(column))
            column = []
            if token != ",":
                break
        else:
            column.append(token)
    return tuple(names)


def _name(column: list[str]) -> str:
    return column[-1].strip('"')


def _top_level(statement: str) -> Iterator[str]:
    """Yield the tokens outside of parentheses; a group in parentheses becomes one ``()``."""
    depth = 0
    for match in _TOKEN.finditer(re.sub(r"--.*|/\*.*?\*/", "", statement)):
        token = match[0]
        if token == "(":
            depth += 1
            if depth == 1:
                yield "()"
        elif token == ")":
            depth -= 1
        elif depth == 0 and not token.isspace():
            yield token
