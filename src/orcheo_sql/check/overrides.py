"""Check a user's folder of replaced queries (``ORCHEO_SQL_OVERRIDE_DIR``) against what they replace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orcheo_sql._catalog import DIALECTS, checked_override
from orcheo_sql._errors import QueryError

from .conventions import check_overrides
from .findings import Finding, of_error
from .trees import Tree, read_tree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orcheo_sql._catalog import Query
    from orcheo_sql.codecs.rows import Dialect


def read_overrides(
    folder: Path, trees: Mapping[Dialect, Tree]
) -> tuple[dict[Dialect, list[Query]], list[Finding]]:
    """Return the replacements that fit what they replace, by dialect, and what is wrong with the others."""
    found: dict[Dialect, list[Query]] = {}
    findings: list[Finding] = []
    if not any((folder / d / "queries").is_dir() for d in DIALECTS):
        message = "no folder sqlite/queries or postgres/queries here: nothing is replaced"
        return {}, [Finding(folder, 1, message)]
    for dialect in DIALECTS:
        tree = read_tree(folder, dialect, overrides=True)
        findings += tree.findings
        found[dialect] = []
        for name, query in tree.queries.items():
            try:
                found[dialect].append(checked_override(query, trees[dialect].queries.get(name)))
            except QueryError as error:
                findings.append(of_error(error, otherwise=query.path))
        findings += check_overrides(found[dialect])
    return found, findings
