"""Look at what the queries answered: whether there was anything, and whether both databases say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .findings import Finding
from .proof import BASE, is_struct

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orcheo_sql._catalog import Query

    from .proof import Proof


def empty_answers(proof: Proof, queries: Mapping[str, Query]) -> Iterator[Finding]:
    """Yield queries that found or changed nothing: without a row nothing is known of the values in it."""
    for (name, variant), answer in proof.answers.items():
        query = queries[name]
        if variant == BASE and query.shape != "count" and answer in (None, []):
            message = (
                f"{query.name}: no row for the sample arguments, so its values are not proved; name better ones in the "
                f"seeds: -- sample: {query.name}.{next(iter(query.parameters), 'parameter')} = ..."
            )
            yield Finding(query.path, query.line, message)
    for (name, variant), changes in proof.effects.of.items():
        query = queries[name]
        if variant == BASE and query.shape == "count" and not changes:
            message = (
                f"{query.name}: it changes no row with the sample arguments, so what it writes is not proved; name "
                f"better ones in the seeds: -- sample: {query.name}.{next(iter(query.parameters), 'parameter')} = ..."
            )
            yield Finding(query.path, query.line, message)


def compare_proofs(
    sqlite: Proof, postgres: Proof, queries: Mapping[str, Query]
) -> Iterator[Finding]:
    """Yield queries whose twins give other columns, or another answer to the same arguments on the same data."""
    for name, query in queries.items():
        ours, theirs = postgres.columns.get(name), sqlite.columns.get(name)
        if ours is None or theirs is None or not is_struct(query):
            continue
        if ours != theirs:
            yield Finding(
                query.path,
                query.line,
                f"{query.name}: result columns are {', '.join(ours)}; on SQLite {', '.join(theirs)}",
            )
    for (name, variant), answer in postgres.answers.items():
        other = sqlite.answers.get((name, variant), answer)
        if other != answer:
            query = queries[name]
            given = f" with {variant}" if variant else ""
            what = _first_difference(answer, other)
            yield Finding(
                query.path,
                query.line,
                f"{query.name}: the databases answer differently{given}: {what}",
            )


def _first_difference(answer: Any, other: Any) -> str:
    """Say in short where two answers differ; the data is made up, so values may be shown."""
    if isinstance(answer, list) is not isinstance(other, list):
        forms = ("rows" if isinstance(each, list) else "one row" for each in (answer, other))
        return "PostgreSQL {}, SQLite {}".format(*forms)
    ours = answer if isinstance(answer, list) else [answer]
    theirs = other if isinstance(other, list) else [other]
    if len(ours) != len(theirs):
        return f"PostgreSQL {len(ours)} rows, SQLite {len(theirs)}"
    number, mine, twin = next(
        (i, a, b) for i, (a, b) in enumerate(zip(ours, theirs, strict=True), 1) if a != b
    )
    for name in getattr(mine, "__struct_fields__", ()) if type(mine) is type(twin) else ():
        if getattr(mine, name) != getattr(twin, name):
            values = _short(getattr(mine, name)), _short(getattr(twin, name))
            return f"row {number}, {name}: PostgreSQL {values[0]}, SQLite {values[1]}"
    return f"row {number}: PostgreSQL {_short(mine)}, SQLite {_short(twin)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
