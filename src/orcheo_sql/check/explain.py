"""Show the plan of one query, on the configured database or a scratch one; nothing is run, nothing is written."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from orcheo_sql._catalog import sql_root
from orcheo_sql._errors import ConfigError, StoreError, ValidationError
from orcheo_sql.engines.base import CompiledQuery

from .proof import Trials, optional_parameters
from .query_types import known_annotations, path_of_types
from .samples import SEARCH, as_argument, load_samples
from .scratch import connect, one_line, postgres_scratch, seed_files, sqlite_scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orcheo_sql._catalog import Query

_TYPE_NAMES = {
    "UUID": "uuid",
    "datetime": "timestamp with time zone",
    "bool": "boolean",
    "int": "bigint",
    "str": "text",
    "Json": "jsonb",
}


@dataclass(frozen=True)
class Explained:
    """A plan, and what it is the plan for."""

    arguments: dict[str, Any]
    lines: list[str]


def arguments_of(query: Query, given: Sequence[str]) -> dict[str, Any]:
    """Return the arguments to explain a query with: those given as ``name=value``, samples for the others.

    Raises:
        ValidationError: one names no parameter, or its value does not fit.
    """
    annotations = known_annotations(path_of_types().read_text(encoding="utf-8"))
    known = annotations.get(query.qualified_name, {})
    types = {n: _TYPE_NAMES.get(a.removesuffix(" | None"), "") for n, a in known.items()}
    samples = load_samples(seed_files(sql_root(), "postgres"))
    trials = Trials(samples, optional_parameters([query]), {query.qualified_name: types})
    _, arguments = next(trials.of(query))
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or name not in query.parameters:
            parameters = ", ".join(query.parameters) or "none"
            raise ValidationError(f"-p {item}: expected name=value with a name of: {parameters}")
        arguments[name] = _argument(name, text, types.get(name, ""))
    return arguments


def _argument(name: str, text: str, type_name: str) -> Any:
    """Read a value from the command line: text as it is, everything else as JSON would have it."""
    if text == "null":
        return None
    if name == SEARCH or type_name in ("", "text", "uuid", "timestamp with time zone"):
        return as_argument(name, text, type_name)
    try:
        value = json.loads(text)
    except ValueError:
        raise ValidationError(f"{name}: {text!r} is no {type_name}") from None
    return as_argument(name, value, type_name)


def explain_sqlite(query: Query, arguments: Mapping[str, Any], path: Path | None) -> Explained:
    """Return the plan on a database file, which is opened read-only; on a filled scratch database without a path.

    Raises:
        StoreError: SQLite refuses the query or the file.
    """
    compiled = CompiledQuery(query)
    bound = compiled.bind(arguments)
    try:
        with _sqlite(path) as raw:
            steps = [
                [(r[0], r[1], r[3]) for r in raw.execute(f"EXPLAIN QUERY PLAN {s}", bound)]
                for s in compiled.statements
            ]
    except sqlite3.Error as error:
        raise StoreError(
            f"{query.name}: {_with_advice(one_line(error))}", dialect="sqlite"
        ) from error
    return Explained(dict(bound), [line for part in steps for line in tree_lines(part)])


@contextmanager
def _sqlite(path: Path | None) -> Iterator[sqlite3.Connection]:
    if path is None:
        with sqlite_scratch(sql_root()) as raw:
            raw.execute("ANALYZE")
            yield raw
        return
    from orcheo_sql.engines.sqlite_connection import register_functions

    if not path.exists():
        raise ConfigError(
            f"{path} does not exist yet: orcheo-sql migrate up, or explain with --scratch"
        )
    raw = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
    try:
        raw.execute("PRAGMA query_only = ON")
        register_functions(raw)
        yield raw
    finally:
        raw.close()


def tree_lines(steps: Sequence[tuple[int, int, str]]) -> list[str]:
    """Indent the steps of EXPLAIN QUERY PLAN by what they belong to."""
    depth = {0: -1}
    lines: list[str] = []
    for step, parent, text in steps:
        depth[step] = depth.get(parent, -1) + 1
        lines.append(f"{'  ' * depth[step]}{text}")
    return lines


def explain_postgres(query: Query, arguments: Mapping[str, Any], dsn: str | None) -> Explained:
    """Return the plan on a server, in a read-only transaction; on a filled scratch database without a DSN.

    Raises:
        StoreError: the server refuses the query, or can't be reached.
    """
    compiled = CompiledQuery(query)
    bound = compiled.bind(arguments)
    try:
        with _postgres(dsn) as connection, connection.transaction(force_rollback=True):
            connection.execute("SET TRANSACTION READ ONLY", prepare=False)
            text = f"EXPLAIN {compiled.sql}".encode()
            rows = connection.execute(text, bound, prepare=False).fetchall()
    except psycopg.Error as error:
        message = _with_advice(one_line(error))
        raise StoreError(f"{query.name}: {message}", dialect="postgres") from None
    return Explained(dict(zip(compiled.order, bound, strict=True)), [line for (line,) in rows])


@contextmanager
def _postgres(dsn: str | None) -> Iterator[psycopg.Connection[Any]]:
    if dsn is None:
        with postgres_scratch(sql_root()) as connection:
            yield connection
        return
    with connect(dsn) as connection:
        yield connection


def _with_advice(message: str) -> str:
    """Say what to do about a table that is missing."""
    if "no such table" in message or ("relation" in message and "does not exist" in message):
        return f"{message}; is the schema there? orcheo-sql migrate status"
    return message
