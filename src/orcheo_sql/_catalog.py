"""Load the SQL trees.

aiosql is the librarian: it parses the files, checks the parameter lists and builds the functions that people may call
directly. This module adds what aiosql leaves open: a stable order, duplicates refused with both places, errors that
begin with ``file:line``, the tags in the comments, and single queries replaced from a folder of the user's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aiosql import SQLParseException
from aiosql.queries import Queries
from aiosql.query_loader import QueryLoader
from aiosql.types import QueryDatum, SQLOperationType

from . import structs
from ._columns import result_columns
from ._errors import ContractMismatchError, DuplicateQueryError, QueryError, UnknownQueryError
from .codecs.rows import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .codecs.rows import Dialect

Shape = Literal["rows", "one", "value", "count"]

DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgres")
_SHAPES: dict[SQLOperationType, Shape] = {
    SQLOperationType.SELECT: "rows",
    SQLOperationType.SELECT_ONE: "one",
    SQLOperationType.SELECT_VALUE: "value",
    SQLOperationType.INSERT_UPDATE_DELETE: "count",
}
OPERATORS: dict[Shape, str] = {"rows": "", "one": "^", "value": "$", "count": "!"}
_NAME = re.compile(r"^--\s*name\s*:\s*(\w+)", re.MULTILINE)
_TAG = re.compile(r"^(Returns|Index|Plan|Scan|Null|Differs|Conflict|Locks|Single|Order):\s*(.*)$")
_WRITES = re.compile(r"\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:''|[^'])*'")


@dataclass(frozen=True)
class Query:
    """One named query of one dialect, as its file declares it."""

    namespace: str
    name: str
    shape: Shape
    parameters: tuple[str, ...]
    sql: str
    """The text as aiosql hands it over: comments removed, placeholders still ``:name``."""
    doc: str
    tags: Mapping[str, str]
    path: Path
    line: int
    dialect: Dialect
    overridden: bool = False

    @property
    def qualified_name(self) -> str:
        """The dotted name: ``workflows.get_run``."""
        return f"{self.namespace}.{self.name}"

    @property
    def place(self) -> str:
        """``file:line`` of its ``-- name:`` line."""
        return f"{self.path}:{self.line}"

    @cached_property
    def statements(self) -> tuple[str, ...]:
        """The statements of the text; PostgreSQL queries have one, SQLite queries may have several."""
        return tuple(split_statements(self.sql))

    @cached_property
    def writes(self) -> bool:
        """Whether the query changes anything."""
        return bool(_WRITES.search(_QUOTED.sub("''", self.sql)))

    @cached_property
    def returns(self) -> type | None:
        """The struct or scalar that its `Returns:` tag names."""
        name = self.tags.get("Returns")
        if name is None:
            return None
        found = SCALARS.get(name) or getattr(structs, name, None)
        if not isinstance(found, type):
            raise QueryError(
                f"{self.place}: {self.name}: no struct is named {name!r} (tag Returns)"
            )
        return found


def split_statements(sql: str) -> Iterator[str]:
    """Split a text at its top-level semicolons."""
    # The import is here because reading the catalogue of PostgreSQL needs no SQLite.
    import sqlite3

    rest = ""
    for piece in re.split(r"(?<=;)", sql):
        rest += piece
        if sqlite3.complete_statement(rest):
            yield rest.strip()
            rest = ""
    if rest.strip():
        yield rest.strip()


@cache
def sql_root() -> Path:
    """Return the folder of both trees: inside an installed package, or the checkout's ``sql/``.

    Raises:
        QueryError: neither is there.
    """
    here = Path(__file__).resolve()
    for candidate in (here.parent / "sql", here.parents[2] / "sql"):
        if (candidate / "sqlite").is_dir():
            return candidate
    raise QueryError(
        f"the SQL files are missing: neither {here.parent / 'sql'} nor a checkout's sql/ exists"
    )


class Catalog:
    """All queries of one dialect."""

    def __init__(self, dialect: Dialect, queries: Mapping[str, Query], data: list[QueryDatum]):
        self.dialect = dialect
        self._queries = queries
        self._data = data

    def __iter__(self) -> Iterator[Query]:
        return iter(self._queries.values())

    def __len__(self) -> int:
        return len(self._queries)

    def __getitem__(self, qualified_name: str) -> Query:
        try:
            return self._queries[qualified_name]
        except KeyError:
            raise UnknownQueryError(
                f"no query is named {qualified_name!r} in {self.dialect}"
            ) from None

    def __contains__(self, qualified_name: object) -> bool:
        return qualified_name in self._queries

    def namespace(self, name: str) -> list[Query]:
        """Return the queries of one folder, in file order."""
        return [q for q in self if q.namespace == name]

    @property
    def namespaces(self) -> list[str]:
        """The folders, sorted."""
        return sorted({q.namespace for q in self})

    def aiosql_queries(self, adapter: Any) -> Queries:
        """Return the tree as aiosql builds it, for `queries.workflows.get_run(connection, id=…)`."""
        tree: dict[str, Any] = {}
        for datum in self._data:
            namespace, _, _ = datum.query_name.partition(".")
            sql = adapter.process_sql(datum.query_name, datum.operation_type, datum.sql)
            tree.setdefault(namespace, {})[datum.query_name] = datum._replace(sql=sql)
        queries: Queries = Queries(adapter, False).load_from_tree(tree)
        return queries


def load_catalog(
    dialect: Dialect, *, overrides: Path | None = None, root: Path | None = None
) -> Catalog:
    """Load one tree, and let single queries be replaced from a folder of the same layout.

    Args:
        dialect: which tree.
        overrides: folder that may hold ``<dialect>/queries/<namespace>/*.sql`` (``ORCHEO_SQL_OVERRIDE_DIR``).
        root: another place for the trees themselves; for tools and tests.

    Raises:
        QueryError: a file can't be parsed, a name is taken twice, or a replacement does not fit what it replaces.
    """
    folder = (root or sql_root()) / dialect / "queries"
    queries, data = _read_tree(folder, dialect)
    if overrides is not None:
        if not overrides.is_dir():
            raise QueryError(
                f"{overrides}: the folder of SQL overrides does not exist (ORCHEO_SQL_OVERRIDE_DIR)"
            )
        _check_layout(overrides)
        replaced, replaced_data = _read_tree(overrides / dialect / "queries", dialect)
        for name, query in replaced.items():
            queries[name] = checked_override(query, queries.get(name))
            data[name] = replaced_data[name]
    return Catalog(dialect, queries, list(data.values()))


def _check_layout(overrides: Path) -> None:
    """Refuse SQL files of overrides that would not be found."""
    for path in sorted(overrides.rglob("*.sql")):
        match path.relative_to(overrides).parts:
            case ("sqlite" | "postgres", "queries", _, _):
                pass
            case _:
                raise QueryError(
                    f"{path}:1: overrides are looked for in <dialect>/queries/<folder>/*.sql, such as "
                    f"{overrides}/sqlite/queries/workflows/mine.sql"
                )


def checked_override(query: Query, original: Query | None) -> Query:
    """Return a user's query if it can stand in for the packaged one.

    Raises:
        QueryError: it replaces nothing, or breaks the contract of what it replaces.
    """
    if original is None:
        raise UnknownQueryError(
            f"{query.place}: {query.qualified_name} replaces nothing: no packaged query has this name"
        )
    if query.shape != original.shape:
        raise ContractMismatchError(
            f"{query.place}: {query.qualified_name} has operator {OPERATORS[query.shape] or '(none)'!r}, "
            f"the query it replaces {OPERATORS[original.shape] or '(none)'!r}"
        )
    if set(query.parameters) != set(original.parameters):
        raise ContractMismatchError(
            f"{query.place}: {query.qualified_name} takes ({', '.join(query.parameters)}), "
            f"the query it replaces ({', '.join(original.parameters)})"
        )
    if query.writes and not original.writes:
        raise ContractMismatchError(
            f"{query.place}: {query.qualified_name} writes, the query it replaces only reads"
        )
    columns, expected = _columns_of(query), _columns_of(original)
    if original.shape != "value" and sorted(columns) != sorted(expected):
        raise ContractMismatchError(
            f"{query.place}: {query.qualified_name} returns the columns ({', '.join(columns)}), "
            f"the query it replaces ({', '.join(expected)})"
        )
    tags = (
        {**query.tags, "Returns": original.tags["Returns"]}
        if "Returns" in original.tags
        else query.tags
    )
    return replace(query, tags=tags, doc=query.doc or original.doc, overridden=True)


def _columns_of(query: Query) -> tuple[str, ...]:
    """Return the columns of a query's result: those of its first statement that returns rows."""
    if query.shape == "count":
        return ()
    return next((found for s in query.statements if (found := result_columns(s)) is not None), ())


def _read_tree(folder: Path, dialect: Dialect) -> tuple[dict[str, Query], dict[str, QueryDatum]]:
    queries: dict[str, Query] = {}
    data: dict[str, QueryDatum] = {}
    for path in sorted(folder.glob("*/*.sql")):
        for query, datum in read_file(path, path.parent.name, dialect):
            name = query.qualified_name
            if name in queries:
                raise DuplicateQueryError(
                    f"{query.place}: {name} is already defined at {queries[name].place}"
                )
            queries[name], data[name] = query, datum
    return queries, data


class _Plain:
    """Adapter that leaves the text alone: placeholders are ours to compile."""

    is_aio_driver = True

    def process_sql(self, _name: str, _operation: SQLOperationType, sql: str) -> str:
        return sql


def read_file(path: Path, namespace: str, dialect: Dialect) -> Iterator[tuple[Query, QueryDatum]]:
    """Parse one file, query by query, so that each error knows its line."""
    for line, block in blocks_of(path):
        yield read_block(path, line, block, namespace, dialect)


def blocks_of(path: Path) -> Iterator[tuple[int, str]]:
    """Split a file at its ``-- name:`` lines; yield the line and the text of each query."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise QueryError(f"{path}:1: the file is not UTF-8 text") from None
    starts = [match.start() for match in _NAME.finditer(text)]
    if not starts:
        raise QueryError(f"{path}:1: there is no query in this file: each begins with `-- name:`")
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text.count("\n", 0, start) + 1, text[start:end]


def read_block(
    path: Path, line: int, block: str, namespace: str, dialect: Dialect
) -> tuple[Query, QueryDatum]:
    """Parse one query."""
    loader = QueryLoader(_Plain(), None)  # type: ignore[arg-type]
    try:
        [datum] = loader.load_query_data_from_sql(block, [namespace], path)
    except SQLParseException as error:
        raise QueryError(f"{path}:{line}: {str(error).split(' at ' + str(path))[0]}") from None
    shape = _SHAPES.get(datum.operation_type)
    if shape is None:
        raise QueryError(
            f"{path}:{line}: operators <!, *! and # are not used here; write ^ or $ with RETURNING, or pass rows as JSON"
        )
    doc, tags = _doc_and_tags(_comment_above(block))
    query = Query(
        namespace=namespace,
        name=datum.query_name.rpartition(".")[2],
        shape=shape,
        parameters=tuple(datum.parameters or ()),
        sql=datum.sql,
        doc=doc,
        tags=tags,
        path=path,
        line=line,
        dialect=dialect,
    )
    return query, datum


def _comment_above(block: str) -> str:
    """Return the comment between a query's name and its SQL; one among the SQL is about a line there."""
    lines: list[str] = []
    for line in block.splitlines()[1:]:
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return "\n".join(lines)


def _doc_and_tags(comments: str) -> tuple[str, dict[str, str]]:
    """Separate what a query does from its tags; a tag runs on until the next one."""
    doc: list[str] = []
    tags: dict[str, str] = {}
    current: str | None = None
    for line in comments.splitlines():
        tag = _TAG.match(line)
        if tag:
            current = tag.group(1)
            tags[current] = tag.group(2).strip()
        elif current:
            tags[current] = f"{tags[current]} {line.strip()}"
        else:
            doc.append(line.strip())
    return " ".join(doc), tags
