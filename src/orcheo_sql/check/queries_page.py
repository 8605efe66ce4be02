"""Render ``docs/queries.md``: every query with its signature, what it does and promises, and where its texts are."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from orcheo_sql._catalog import DIALECTS, load_catalog, sql_root

from .query_types import known_annotations, path_of_types, return_type
from .sqltext import lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from orcheo_sql._catalog import Catalog, Query
    from orcheo_sql.codecs.rows import Dialect

_TITLES: Mapping[Dialect, str] = {"sqlite": "SQLite", "postgres": "PostgreSQL"}
# In this order; what `Returns` and `Null` say is in the signature already.
_TAGS = ("Conflict", "Index", "Plan", "Scan", "Single", "Order", "Locks", "Differs")

_HEAD = """\
# Query catalogue

<!-- Generated from the comments of the SQL files. Write it anew with
     python -m orcheo_sql.check.docs --write -->

{count} queries, each written for SQLite and for PostgreSQL under the same name. Signatures are those by which
repositories call them, `self.q.get_run(id=run_id)`; all parameters are keywords. What the tags mean, and how to change a
query, is in [editing SQL](editing-sql.md); `orcheo-sql sql show NAME` prints both texts side by side.
"""


def render_queries_page(root: Path | None = None) -> str:
    """Return the text of ``docs/queries.md``."""
    catalogs = {d: load_catalog(d, root=root) for d in DIALECTS}
    types = path_of_types()
    annotations = known_annotations(types.read_text(encoding="utf-8")) if types.exists() else {}
    parts = [_HEAD.format(count=len(catalogs["sqlite"])), *_contents(catalogs["sqlite"])]
    for (namespace, name), group in _files(catalogs["sqlite"]):
        parts.append(f"\n## {namespace}/{name}\n\n{_header(catalogs, namespace, name)}")
        for query in group:
            if query.qualified_name in catalogs["postgres"]:
                twins = [catalogs[d][query.qualified_name] for d in DIALECTS]
                known = annotations.get(query.qualified_name, {})
                parts.append(_entry(twins, known, root or sql_root()))
    return "".join(parts)


def _files(catalog: Catalog) -> Iterator[tuple[tuple[str, str], Iterator[Query]]]:
    return groupby(catalog, key=lambda q: (q.namespace, q.path.name))


def _contents(catalog: Catalog) -> Iterator[str]:
    yield "\n| file | queries |\n|---|---|\n"
    for (namespace, name), group in _files(catalog):
        links = ", ".join(f"[{q.name}](#{q.name})" for q in group)
        yield f"| [{namespace}/{name}](#{_anchor(f'{namespace}/{name}')}) | {links} |\n"


def _anchor(title: str) -> str:
    return re.sub(r"[^\w-]", "", title.lower())


def _header(catalogs: Mapping[Dialect, Catalog], namespace: str, name: str) -> str:
    """Return what the comment at the top of a file says, once when both dialects say the same."""
    texts: dict[str, list[str]] = {}
    for dialect, catalog in catalogs.items():
        path = next(q.path for q in catalog.namespace(namespace) if q.path.name == name)
        texts.setdefault(_top_comment(path), []).append(_TITLES[dialect])
    if len(texts) == 1:
        return next(iter(texts)) + "\n"
    return "\n\n".join(f"{' and '.join(of)}: {text}" for text, of in texts.items()) + "\n"


def _top_comment(path: Path) -> str:
    lines: list[str] = []
    for line in lines_of(path):
        if not line.startswith("--") or re.match(r"--\s*name\s*:", line):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)


def _entry(twins: list[Query], annotations: Mapping[str, str], root: Path) -> str:
    """Return the part of the page about one query."""
    query = twins[0]
    links = ", ".join(
        f"[{_TITLES[q.dialect]}](../sql/{q.path.relative_to(root).as_posix()}#L{q.line})"
        for q in twins
    )
    tags = "".join(f"- {line}\n" for line in _tag_lines(twins))
    return (
        f"\n### {query.name}\n\n{query.doc}\n\n"
        f"```text\n{signature(query, annotations)}\n```\n\n"
        f"{tags}- Text: {links}\n"
    )


def _tag_lines(twins: list[Query]) -> Iterator[str]:
    for tag in _TAGS:
        values: dict[str, list[str]] = {}
        for query in twins:
            if tag in query.tags:
                values.setdefault(query.tags[tag], []).append(_TITLES[query.dialect])
        for value, dialects in values.items():
            where = "" if len(dialects) == len(twins) else f" ({dialects[0]})"
            shown = _as_names(value) if tag == "Index" else value
            yield f"{tag}{where}: {shown}"


def _as_names(value: str) -> str:
    parts = (part.strip().partition(" ") for part in value.split(","))
    return ", ".join(f"`{name}`{blank}{rest}" for name, blank, rest in parts)


def signature(query: Query, annotations: Mapping[str, str]) -> str:
    """Return a query as the method it is called as, in one line or one parameter a line."""
    listed = [f"{n}: {annotations[n]}" if n in annotations else n for n in query.parameters]
    line = f"{query.name}({', '.join(listed)}) -> {return_type(query)}"
    if len(line) <= 100:
        return line
    inside = "".join(f"    {p},\n" for p in listed)
    return f"{query.name}(\n{inside}) -> {return_type(query)}"
