"""What a check reports: a place, and what is wrong there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orcheo_sql._catalog import Query
    from orcheo_sql._errors import OrcheoSqlError

_PLACED = re.compile(r"^(?P<path>[^\n]*?\.\w+):(?P<line>\d+): (?P<message>.*)$", re.DOTALL)


@dataclass(frozen=True, order=True)
class Finding:
    """One problem; sorts by place."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{shown(self.path)}:{self.line}: {self.message}"


def shown(path: Path) -> str:
    """Return a path as a reader finds it: from the working directory if it is below that."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def of_error(error: OrcheoSqlError, *, otherwise: Path) -> Finding:
    """Turn an error whose text begins with ``file:line`` into a finding."""
    match = _PLACED.match(str(error))
    if match is None:
        return Finding(otherwise, 1, str(error).removeprefix(f"{otherwise}: "))
    return Finding(Path(match["path"]), int(match["line"]), match["message"])


def place(query: Query) -> str:
    """Return ``file:line`` of a query for use inside a message."""
    return f"{shown(query.path)}:{query.line}"


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by place, each once."""
    return sorted(set(findings))
