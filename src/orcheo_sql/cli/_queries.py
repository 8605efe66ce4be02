"""The queries as the command line sees them: found by name, shown as text, placed in the configured database."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from orcheo_sql._catalog import Query
    from orcheo_sql.codecs.rows import Dialect

    from ._places import Place


def catalog(dialect: Dialect) -> list[Query]:
    """Return all queries of a dialect, with those of the folder of overrides in their place."""
    from orcheo_sql._catalog import load_catalog

    return list(load_catalog(dialect, overrides=override_folder()))


def override_folder() -> Path | None:
    """Return the configured folder of overrides."""
    from orcheo_sql.settings import load_settings

    return load_settings().sql_override_dir


def find(name: str, dialect: Dialect) -> Query:
    """Return a query by its name or dotted name."""
    from orcheo_sql._errors import UnknownQueryError

    queries = catalog(dialect)
    found = [q for q in queries if name in (q.name, q.qualified_name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UnknownQueryError(
            f"{name} is ambiguous: {', '.join(q.qualified_name for q in found)}"
        )
    names = [q.qualified_name for q in queries]
    close = difflib.get_close_matches(name, [*names, *(q.name for q in queries)], 3)
    hint = f"; did you mean {' or '.join(close)}?" if close else "; see: orcheo-sql sql list"
    raise UnknownQueryError(f"no query is named {name!r}{hint}")


def configured(query: Query, dialect: Dialect | None) -> Place:
    """Return the configured database that a query is for."""
    from orcheo_sql._database import SUBSYSTEMS
    from orcheo_sql._errors import ConfigError
    from orcheo_sql.settings import load_settings

    from ._places import places

    part = next(p.value for p, folder in SUBSYSTEMS.items() if folder == query.namespace)
    place = next(p for p in places(load_settings()) if part in p.parts)
    if place.location.dialect == "sqlite" and place.location.path is None:
        raise ConfigError("the configured database is in memory: explain with --scratch")
    if dialect is not None and dialect != place.location.dialect:
        raise ConfigError(
            f"the configured database is {place.location.dialect}: --dialect is for --scratch"
        )
    return place


def require_trees(root: Path, names: frozenset[str]) -> None:
    """Refuse a folder that has not both trees, and names that no query in it has."""
    from orcheo_sql._errors import ConfigError, UnknownQueryError

    known: set[str] = set()
    for tree in ("sqlite", "postgres"):
        folder = root / tree / "queries"
        if not folder.is_dir():
            raise ConfigError(f"{root}: no folder {tree}/queries in it")
        for path in folder.glob("*/*.sql"):
            text = path.read_text(encoding="utf-8", errors="replace")
            known.update(re.findall(r"^--\s*name\s*:\s*(\w+)", text, re.MULTILINE))
    for name in sorted(names - known):
        raise UnknownQueryError(f"no query is named {name!r}; see: orcheo-sql sql list")


def where(query: Query) -> str:
    """Return file and line of a query."""
    from orcheo_sql.check.findings import place

    return place(query)


def mark(query: Query) -> str:
    """Return the remark on a query that is the user's own."""
    return " (replaces the packaged query)" if query.overridden else ""


def signature(query: Query) -> str:
    """Return a query in one line."""
    from orcheo_sql._catalog import OPERATORS

    returns = query.tags.get("Returns", "number of rows")
    head = f"{query.qualified_name}({', '.join(query.parameters)}){OPERATORS[query.shape]}"
    return f"{head} -> {returns}{mark(query)}"


def text_of(query: Query, source: bool) -> str:
    """Return a query's text: as its driver gets it, or as it stands in its file."""
    if source:
        from orcheo_sql.check.sqltext import block

        return "\n".join(line for _, line in block(query)).strip()
    from orcheo_sql.engines.base import CompiledQuery

    texts = [s.rstrip(";") for s in CompiledQuery(query).statements]
    return ";\n\n".join(texts) + ";"


def document(query: Query) -> dict[str, Any]:
    """Return what scripts are told of a query."""
    from orcheo_sql._catalog import OPERATORS

    return {
        "name": query.qualified_name,
        "operator": OPERATORS[query.shape],
        "parameters": list(query.parameters),
        "returns": query.tags.get("Returns"),
        "doc": query.doc,
        "tags": dict(query.tags),
        "file": str(query.path),
        "line": query.line,
        "overridden": query.overridden,
    }


def side_by_side(texts: list[tuple[str, str]]) -> str:
    """Return two titled texts next to each other."""
    left, right = (f"{head}\n{body}".splitlines() for head, body in texts)
    width = max(map(len, left))
    height = max(len(left), len(right))
    left += [""] * (height - len(left))
    right += [""] * (height - len(right))
    return "\n".join(f"{a:{width}}  {b}".rstrip() for a, b in zip(left, right, strict=True))
