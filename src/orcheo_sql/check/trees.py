"""Compare the trees of the two dialects: same files, names, operators, parameters, results and migrations."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orcheo_sql._catalog import DIALECTS, OPERATORS, Query, blocks_of, read_block
from orcheo_sql._errors import OrcheoSqlError, QueryError
from orcheo_sql.engines.base import gin_parameters

from .analysis import declared_null
from .findings import Finding, of_error, place, shown
from .query_types import Signature, signature_of
from .sqltext import tag_line
from .twins import differ

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set
    from pathlib import Path

    from orcheo_sql.codecs.rows import Dialect

_MIGRATION = re.compile(r"^(\d{4})_(\w+)\.sql$")


@dataclass
class Tree:
    """The queries of one dialect, as far as they can be read."""

    dialect: Dialect
    folder: Path
    queries: dict[str, Query] = field(default_factory=dict)
    files: dict[str, list[Query]] = field(default_factory=dict)
    """Queries by file, ``workflows/runs.sql``, in their order."""
    broken: set[str] = field(default_factory=set)
    """Queries that can't be read, by dotted name."""
    findings: list[Finding] = field(default_factory=list)


def read_tree(root: Path, dialect: Dialect, *, overrides: bool = False) -> Tree:
    """Read all queries of a dialect; what can't be read becomes findings.

    A folder of `overrides` may lack the dialect, and its queries take `Returns:` from those they replace.
    """
    tree = Tree(dialect, root / dialect / "queries")
    if not tree.folder.is_dir() and not overrides:
        tree.findings.append(Finding(tree.folder, 1, "the folder of queries does not exist"))
    for path in sorted(tree.folder.rglob("*.sql")):
        relative = path.relative_to(tree.folder)
        if len(relative.parts) != 2:
            tree.findings.append(
                Finding(path, 1, "query files are in folders: queries/<folder>/<file>.sql")
            )
            continue
        tree.files[str(relative)] = list(_read(tree, path))
    if not overrides:
        for query in tree.queries.values():
            tree.findings += check_tags(query)
    return tree


def _read(tree: Tree, path: Path) -> Iterator[Query]:
    try:
        blocks = list(blocks_of(path))
    except QueryError as error:
        tree.findings.append(of_error(error, otherwise=path))
        return
    for line, block in blocks:
        namespace = path.parent.name
        try:
            query, _ = read_block(path, line, block, namespace, tree.dialect)
        except QueryError as error:
            name = re.search(r"name\s*:\s*(\w+)", block)
            tree.broken.add(f"{namespace}.{name[1] if name else ''}")
            tree.findings.append(of_error(error, otherwise=path))
            continue
        known = tree.queries.setdefault(query.qualified_name, query)
        if known is query:
            yield query
        else:
            message = f"{query.name} is already defined at {place(known)}"
            tree.findings.append(Finding(path, line, message))


def check_tags(query: Query) -> Iterator[Finding]:
    """Yield tags that are missing, or name what is not there."""

    def at(message: str, line: int) -> Finding:
        return Finding(query.path, line, f"{query.name}: {message}")

    if query.dialect == "postgres" and len(query.statements) > 1:
        yield at("has several statements; write them as one, with CTEs", query.line)
    if query.shape != "count" and "Returns" not in query.tags:
        yield at("has no tag `Returns:`", query.line)
    if query.shape == "count" and "Returns" in query.tags:
        yield at("`Returns:` without meaning: operator ! gives a number of rows", query.line)
    try:
        _ = query.returns
    except OrcheoSqlError as error:
        message = of_error(error, otherwise=query.path).message.removeprefix(f"{query.name}: ")
        yield at(message, tag_line(query, "Returns"))
    for tag, names in (("Null", declared_null(query)), ("Plan", gin_parameters(query) or [])):
        unknown = [n for n in names if n not in query.parameters]
        if unknown:
            yield at(f"tag {tag} names no parameter: {', '.join(unknown)}", tag_line(query, tag))
    if "Plan" in query.tags and gin_parameters(query) is None:
        yield at(
            "the tag reads `Plan: custom; GIN for parameter, parameter`", tag_line(query, "Plan")
        )


def compare(sqlite: Tree, postgres: Tree, contract: Mapping[str, Signature]) -> list[Finding]:
    """Return where the trees are not twins; `contract` has what callers know, to tell who changed."""
    findings = [*_missing_files(sqlite, postgres), *_missing_files(postgres, sqlite)]
    for name in sorted(sqlite.files.keys() & postgres.files.keys()):
        findings += _missing(sqlite, postgres, name)
        findings += _missing(postgres, sqlite, name)
        findings += _order(sqlite.files[name], postgres.files[name])
    for name in sqlite.queries.keys() & postgres.queries.keys():
        findings += _twins(sqlite.queries[name], postgres.queries[name], contract.get(name))
    return findings


def _missing_files(tree: Tree, other: Tree) -> Iterator[Finding]:
    for name in sorted(tree.files.keys() - other.files.keys()):
        yield Finding(
            tree.folder / name, 1, f"the {other.dialect} tree has no {shown(other.folder / name)}"
        )


def _missing(tree: Tree, other: Tree, name: str) -> Iterator[Finding]:
    for query in tree.files[name]:
        twin = other.queries.get(query.qualified_name)
        if query.qualified_name in other.broken:
            continue
        if twin is None:
            message = f"{query.name} has no twin in {shown(other.folder / name)}"
            yield Finding(query.path, query.line, message)
        elif twin.path.name != query.path.name:
            message = f"{query.name} has its twin in another file: {place(twin)}"
            yield Finding(query.path, query.line, message)


def _order(sqlite: list[Query], postgres: list[Query]) -> Iterator[Finding]:
    shared = {q.name for q in sqlite} & {q.name for q in postgres}
    for one, other in zip(
        [q for q in sqlite if q.name in shared],
        [q for q in postgres if q.name in shared],
        strict=True,
    ):
        if one.name != other.name:
            message = f"{other.name} is out of order: {place(one)} has {one.name} in its place"
            yield Finding(other.path, other.line, message)
            return


def _twins(one: Query, other: Query, contract: Signature | None) -> Iterator[Finding]:
    culprit, reference = (other, one)
    if contract == signature_of(other) != signature_of(one):
        culprit, reference = (one, other)

    def at(message: str) -> Finding:
        return Finding(culprit.path, culprit.line, f"{culprit.name}: {message}")

    if one.shape != other.shape:
        yield at(
            f"has operator {_operator(culprit)}, its twin {_operator(reference)} ({place(reference)})"
        )
    if one.parameters != other.parameters:
        yield at(
            f"takes ({', '.join(culprit.parameters)}), its twin ({', '.join(reference.parameters)}) "
            f"({place(reference)})"
        )
    if one.tags.get("Returns") != other.tags.get("Returns"):
        yield at(
            f"returns {culprit.tags.get('Returns', 'nothing')}, "
            f"its twin {reference.tags.get('Returns', 'nothing')} ({place(reference)})"
        )
    if one.doc != other.doc:
        yield at(f"its comment says something else than its twin's ({place(reference)})")
    if one.writes != other.writes:
        yield at(f"one of the twins writes, the other only reads ({place(reference)})")


def unexplained(sqlite: Tree, postgres: Tree, broken: Set[str]) -> Iterator[Finding]:
    """Yield twins that differ by more than the dialects do and have no tag that says why; `broken` ones are left out."""
    for name in sqlite.queries.keys() & postgres.queries.keys() - broken:
        pair = sqlite.queries[name], postgres.queries[name]
        if not differ(*pair):
            continue
        for query, twin in (pair, pair[::-1]):
            if "Differs" not in query.tags:
                yield Finding(
                    query.path,
                    query.line,
                    f"{query.name}: differs from its twin ({place(twin)}) by more than the dialects do: "
                    "say why in a tag `Differs:`",
                )


def _operator(query: Query) -> str:
    return OPERATORS[query.shape] or "none"


def compare_migrations(root: Path) -> Iterator[Finding]:
    """Yield migrations that only one dialect has."""
    names = {
        d: {p.name for p in (root / d / "migrations").glob("*.sql") if _MIGRATION.match(p.name)}
        for d in DIALECTS
    }
    for dialect, other in (DIALECTS, DIALECTS[::-1]):
        for name in sorted(names[dialect] - names[other]):
            yield Finding(
                root / dialect / "migrations" / name,
                1,
                f"the {other} tree has no migration {name}; one without work to do says so in a comment",
            )
