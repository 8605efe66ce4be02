"""The programs of README and quickstart run as they stand."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from types import FunctionType
from typing import TYPE_CHECKING, Any

import pytest
from tests.docs.pages import ROOT, between, blocks

from orcheo_sql import Database

if TYPE_CHECKING:
    from pathlib import Path

README = ROOT / "README.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"


def fenced(text: str, language: str) -> str:
    head, found, tail = text.partition(f"```{language}\n")
    assert found, text
    assert not head.strip(), head
    code, _, rest = tail.partition("```\n")
    assert not rest.strip(), rest
    return code


@pytest.fixture
def environment(settings_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Put the settings of an empty database into the environment."""
    for name, value in settings_of.items():
        monkeypatch.setenv(f"ORCHEO_{name.upper()}", str(value))
    return dict(os.environ)


def run(program: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**environment, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_shows_the_sql_that_runs() -> None:
    shown = fenced(between(README, "shown-query sqlite workflows.start_run"), "sql")
    text = (ROOT / "sql/sqlite/queries/workflows/runs.sql").read_text(encoding="utf-8")
    assert shown.startswith("-- name: start_run(")
    assert f"\n{shown}\n" in text


def test_the_program_of_the_readme(environment: dict[str, str]) -> None:
    program = fenced(between(README, "example-program"), "python")
    for _ in range(2):  # it can be run again
        assert run(program, environment) == "succeeded {'team': 'billing'}\n"
    assert "`succeeded {'team': 'billing'}`" in README.read_text(encoding="utf-8")


def test_it_needs_no_setting_at_all(tmp_path: Path) -> None:
    home = tmp_path / "home"
    program = fenced(between(README, "example-program"), "python")
    run(program, {"PATH": os.environ["PATH"], "HOME": str(home)})
    assert (home / ".orcheo" / "orcheo.sqlite").exists()


def test_the_test_command_of_the_readme() -> None:
    command = fenced(between(README, "test-command"), "bash")
    for part in (
        "python3 -m venv .venv",
        "-c requirements-dev.lock -e '.[dev]'",
        ".venv/bin/pytest",
    ):
        assert part in command


async def test_the_worker_of_the_scheduling_page(environment: dict[str, str], dialect: str) -> None:
    """Each run that is handed off is worked off, once."""
    async with Database() as db:
        workflow = await db.workflows.create_workflow(
            name="w", slug=None, description=None, tags=None, draft_access="personal", actor="ada"
        )
        version = await db.workflows.create_version(
            workflow.id, graph={}, metadata={}, notes=None, created_by="ada"
        )
        for n in range(3):
            await db.workflows.create_run(
                workflow.id,
                workflow_version_id=version.id,
                triggered_by="manual",
                input_payload={"n": n},
                hand_off=True,
            )
        run(
            (ROOT / "docs/scheduling.md").read_text().split("```python\n")[1].split("```")[0],
            environment,
        )
        assert (await db.workflows.count_runs_by_status()).succeeded == 3
        assert (await db.workflows.count_outbox()).total == 0


async def test_the_quickstart(environment: dict[str, str], dialect: str) -> None:
    first, *rest = blocks(QUICKSTART, "python")
    assert run(first.text, environment).startswith(f"{dialect} ")
    assert len(rest) >= 4
    # One program: every block goes on where the one before it ended.
    program = "\n".join(block.text for block in rest)
    code = compile(program, str(QUICKSTART), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with Database() as db:
        names: dict[str, Any] = {"db": db}
        returned = FunctionType(code, names)()
        assert inspect.isawaitable(returned)
        await returned
    assert names["counts"].total == 1
