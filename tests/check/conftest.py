"""A copy of the SQL trees to break, and filled scratch databases that all breaks are tried on."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orcheo_sql._catalog import sql_root
from orcheo_sql.check import run
from orcheo_sql.check.query_types import path_of_types
from orcheo_sql.check.scratch import postgres_scratch, sqlite_scratch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from orcheo_sql.check.findings import Finding
    from orcheo_sql.check.scratch import PostgresConnection
    from orcheo_sql.check.scratch_postgres import ScratchPostgres

CODE = Path(run.__file__).parent.parent / "repositories"


@pytest.fixture(scope="session")
def filled_sqlite() -> Iterator[sqlite3.Connection]:
    with sqlite_scratch(sql_root()) as raw:
        yield raw


@pytest.fixture(scope="session")
def filled_postgres(postgres_server: ScratchPostgres) -> Iterator[PostgresConnection]:
    with postgres_scratch(sql_root(), postgres_server.dsn) as connection:
        yield connection


@dataclass
class Tree:
    """A copy of what is checked."""

    root: Path
    code: Path
    types: Path
    changed: list[tuple[Path, int]] = field(default_factory=list)

    def edit(self, path: str, old: str, new: str, *, after: str = "") -> int:
        """Replace a text, the first behind `after`, and return the line at which the new text begins."""
        folder = self.code if path.endswith(".py") else self.root
        file = folder / path
        text = file.read_text(encoding="utf-8")
        start = text.index(after) if after else 0
        position = text.index(old, start)
        # The line of what differs, not of what `old` and `new` begin with alike.
        same = next(
            (i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b),
            min(len(old), len(new)),
        )
        file.write_text(text[:position] + new + text[position + len(old) :], encoding="utf-8")
        return text.count("\n", 0, position + same) + 1

    def query(self, dialect: str, file: str, name: str, old: str, new: str) -> int:
        """Edit one query."""
        path = f"{dialect}/queries/workflows/{file}.sql"
        return self.edit(path, old, new, after=f"-- name: {name}(")

    def line(self, path: str, text: str, *, after: str = "") -> int:
        """Return the line of a text."""
        content = (self.root / path).read_text(encoding="utf-8")
        return content.count("\n", 0, content.index(text, content.index(after) if after else 0)) + 1


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    shutil.copytree(sql_root(), tmp_path / "sql")
    shutil.copytree(CODE, tmp_path / "code", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(path_of_types(), tmp_path / "_query_types.py")
    return Tree(tmp_path / "sql", tmp_path / "code", tmp_path / "_query_types.py")


class Checker:
    """Runs the checks on a copy; databases are shared as long as no migration is broken."""

    def __init__(self, tree: Tree, dsn: str):
        self._options = run.Options(
            tree.root, code=tree.code, types=tree.types, docs=None, postgres_dsn=dsn
        )
        self._tree = tree

    def __call__(self, *only: str, **options: Any) -> list[Finding]:
        chosen = replace(self._options, only=frozenset(only), **options)
        report = run.run_checks(chosen)
        assert report.problem is None
        return report.findings

    def static(self, **options: Any) -> list[Finding]:
        """Run only what needs no database."""
        return self(**{"dialects": (), **options})


@pytest.fixture
def check(
    tree: Tree,
    postgres_server: ScratchPostgres,
    filled_sqlite: sqlite3.Connection,
    filled_postgres: PostgresConnection,
    monkeypatch: pytest.MonkeyPatch,
) -> Checker:
    monkeypatch.setattr(run, "sqlite_scratch", lambda _root: nullcontext(filled_sqlite))
    monkeypatch.setattr(run, "postgres_scratch", lambda _root, _dsn: nullcontext(filled_postgres))
    return Checker(tree, postgres_server.dsn)


@pytest.fixture
def check_anew(tree: Tree, postgres_server: ScratchPostgres) -> Checker:
    """Build the scratch databases from the copy."""
    return Checker(tree, postgres_server.dsn)


def found(findings: list[Finding], path: Path, line: int, *words: str) -> None:
    """See that there is a finding at a place that says all this."""
    at_place = [f for f in findings if f.path == path and f.line == line]
    assert any(all(w in f.message for w in words) for f in at_place), "\n".join(
        [f"not found: {path}:{line}: {' ... '.join(words)}", *map(str, findings)]
    )
