"""docs/adding-a-subsystem.md, followed to the letter in a copy of the checkout, gives a working subsystem."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from orcheo_sql.check.scratch_postgres import ScratchPostgres

GUIDE = (ROOT / "docs" / "adding-a-subsystem.md").read_text(encoding="utf-8")
_STEP = re.compile(
    r"(?:^`(?P<path>[\w./-]+)`\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("guide") / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("src", "sql", "docs", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    for name in ("conftest.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, target / name)
    follow(target)
    return target


def follow(target: Path) -> None:
    path = ""
    for step in _STEP.finditer(GUIDE):
        path = step["path"] or path
        if step["language"] == "diff":
            edit(target / path, step["text"])
        elif step["path"]:
            new = target / path
            assert not new.exists(), (
                f"{path} is there already: the guide needs another number or name"
            )
            new.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(step["text"], encoding="utf-8")


def edit(path: Path, change: str) -> None:
    lines = change.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name} has {text.count(old)} places like\n{old}"
    path.write_text(text.replace(old, new), encoding="utf-8")


def run(copy: Path, *arguments: str, dsn: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "ORCHEO_TEST_POSTGRES_DSN": dsn}
    for name in os.environ:
        # Neither options meant for our own run nor its coverage, which would count the copy's files.
        if name.startswith(("PYTEST_", "COVERAGE_")):
            del environment[name]
    done = subprocess.run(
        [sys.executable, *arguments], cwd=copy, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_tests_pass_on_both_databases(copy: Path, postgres_server: ScratchPostgres) -> None:
    path = "tests/repositories/test_notes.py"
    out = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", path, dsn=postgres_server.dsn)
    assert re.search(r"\b6 passed", out), out


def test_it_is_generated_and_checked(copy: Path, postgres_server: ScratchPostgres) -> None:
    dsn = postgres_server.dsn
    run(copy, "-m", "orcheo_sql", "sql", "types", dsn=dsn)
    run(copy, "-m", "orcheo_sql.check.docs", "--write", dsn=dsn)
    assert "class Notes" in (copy / "src/orcheo_sql/_query_types.py").read_text(encoding="utf-8")
    assert "### NoteRepository" in (copy / "docs/api.md").read_text(encoding="utf-8")
    run(copy, "-m", "orcheo_sql", "sql", "check", dsn=dsn)
