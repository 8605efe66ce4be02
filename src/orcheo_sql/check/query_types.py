"""Render `orcheo_sql._query_types`: one Protocol per folder of queries, so that editors and mypy know each of them.

Parameter types are PostgreSQL's own for the prepared statement. A parameter may be None when the text tests it for NULL,
has a substitute for it, or writes it to nothing but columns that take NULL; or when its tag ``Null:`` says so.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from orcheo_sql.codecs.rows import SCALARS

from .analysis import declared_null, nullable_parameters
from .samples import SEARCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orcheo_sql._catalog import Query

    from .schema import Schema

WIDTH = 100

_PYTHON_TYPES = {
    "uuid": "UUID",
    "timestamp with time zone": "datetime",
    "boolean": "bool",
    "bigint": "int",
    "integer": "int",
    "smallint": "int",
    "double precision": "float",
    "real": "float",
    "text": "str",
    "bytea": "bytes",
    "json": "Json",
    "jsonb": "Json",
}

_HEAD = '''\
"""The queries of each folder as methods, for editors and mypy; nothing is here at run time.

Generated from the SQL files. Write it anew with: orcheo-sql sql types
"""
# ruff: noqa: A002, E501, TC001, TC003

from __future__ import annotations

from collections.abc import Mapping
{modules}from typing import Any, Protocol
{uuid}
import msgspec

from ._documents import JsonText
{search}{structs}
Json = JsonText | Mapping[str, Any] | list[Any] | tuple[Any, ...] | msgspec.Struct
"""A document: bound as JSON. A plain `str` is none; `JsonText` is one that is encoded already."""
'''


def path_of_types() -> Path:
    """Return where the generated module is."""
    return Path(__file__).resolve().parent.parent / "_query_types.py"


def render(queries: Iterable[Query], types: Mapping[str, Mapping[str, str]], schema: Schema) -> str:
    """Return the text of the module."""
    methods: dict[str, list[str]] = {}
    used: set[str] = set()
    for query in queries:
        known = types.get(query.qualified_name, {})
        optional = nullable_parameters(query.sql, schema, declared_null(query))
        parameters = {
            name: _annotation(name, known.get(name, ""), optional=name in optional)
            for name in query.parameters
        }
        returns = return_type(query)
        used |= _words(returns, *parameters.values())
        methods.setdefault(query.namespace, []).append(_method(query, parameters, returns))
    structs = sorted(used - {*SCALARS, "None", "list", "Json", "SearchQuery"} - _NO_STRUCTS)
    text = _HEAD.format(
        modules="from datetime import datetime\n" if "datetime" in used else "",
        uuid="from uuid import UUID\n" if "UUID" in used else "",
        search="from ._search import SearchQuery\n" if "SearchQuery" in used else "",
        structs=_import("structs", structs),
    )
    for namespace, bodies in methods.items():
        text += (
            f"\n\nclass {namespace.title()}(Protocol):\n"
            f'    """Queries of ``sql/<dialect>/queries/{namespace}/``."""\n\n'
        )
        text += "\n".join(bodies)
    return text


_NO_STRUCTS = frozenset({"Any", "bytes", "float"})


def _words(*annotations: str) -> set[str]:
    return {
        node.id
        for text in annotations
        for node in ast.walk(ast.parse(text, mode="eval"))
        if isinstance(node, ast.Name)
    }


def _import(module: str, names: list[str]) -> str:
    if not names:
        return ""
    line = f"from .{module} import {', '.join(names)}\n"
    if len(line) <= WIDTH + 1:
        return line
    return f"from .{module} import (\n" + "".join(f"    {n},\n" for n in names) + ")\n"


def _annotation(name: str, type_name: str, *, optional: bool) -> str:
    base = "SearchQuery" if name == SEARCH else _PYTHON_TYPES.get(type_name, "Any")
    return f"{base} | None" if optional and base != "Any" else base


def return_type(query: Query) -> str:
    """Return the annotation of what a query's operator and `Returns:` promise."""
    name = query.tags.get("Returns", "Any")
    return {
        "rows": f"list[{name}]",
        "one": f"{name} | None",
        "value": f"{name} | None",
        "count": "int",
    }[query.shape]


def _method(query: Query, parameters: Mapping[str, str], returns: str) -> str:
    """Return one method as ruff formats it."""
    listed = [f"{name}: {kind}" for name, kind in parameters.items()]
    inside = ", ".join(["self", *(["*", *listed] if listed else [])])
    head = f"    async def {query.name}({inside}) -> {returns}:\n"
    if len(head) > WIDTH + 1:
        inside = ", ".join(["self", "*", *listed])
        head = f"    async def {query.name}(\n        {inside}\n    ) -> {returns}:\n"
        if len(f"        {inside}") > WIDTH:
            lines = "".join(f"        {p},\n" for p in ["self", "*", *listed])
            head = f"    async def {query.name}(\n{lines}    ) -> {returns}:\n"
    doc = query.doc.replace("\\", "\\\\").replace('"""', "'''")
    return f'{head}        """{doc}"""\n        ...\n'


Signature = tuple[list[str], str]
"""The parameters of a query, and the annotation of what it returns."""


def signature_of(query: Query) -> Signature:
    """Return what callers know of a query."""
    return list(query.parameters), return_type(query)


def known_signatures(source: str) -> dict[str, Signature]:
    """Read back the signature of each query, by its dotted name."""
    return {
        name: ([a.arg for a in method.args.kwonlyargs], ast.unparse(method.returns or ast.Name("")))
        for name, method in _methods(source)
    }


def known_annotations(source: str) -> dict[str, dict[str, str]]:
    """Read back the annotation of each parameter, by the query's dotted name."""
    return {
        name: {
            a.arg: ast.unparse(a.annotation) if a.annotation else "" for a in method.args.kwonlyargs
        }
        for name, method in _methods(source)
    }


def _methods(source: str) -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.AsyncFunctionDef):
                    yield f"{node.name.lower()}.{method.name}", method
