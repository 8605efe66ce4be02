"""The reference pages are complete: public names, methods, errors."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from typing import Any

import pytest
from tests.docs.pages import ROOT, blocks

import orcheo_sql
from orcheo_sql import OrcheoSqlError, WorkflowRepository, _errors
from orcheo_sql.check.api_docs import render_api_page

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
PUBLIC = [name for name in orcheo_sql.__all__ if not name.startswith("_")]
ERRORS = {
    name: found
    for name in PUBLIC
    if isinstance(found := getattr(orcheo_sql, name), type) and issubclass(found, OrcheoSqlError)
}


def test_the_page_is_up_to_date() -> None:
    assert render_api_page() == API, "run: python -m orcheo_sql.check.docs --write"


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name: str) -> None:
    found = getattr(orcheo_sql, name)
    assert inspect.getdoc(found), f"{name} has no docstring"
    assert f"### {name}\n" in API or f"| `{name}` |" in API
    for attribute, member in vars(found).items() if isinstance(found, type) else ():
        if not attribute.startswith("_") and _is_api(member):
            assert inspect.getdoc(member), f"{name}.{attribute} has no docstring"


def _is_api(member: Any) -> bool:
    ours = getattr(member, "__module__", "orcheo_sql").startswith("orcheo_sql")
    return isinstance(member, property | cached_property) or (inspect.isfunction(member) and ours)


def test_every_operation_is_on_the_page() -> None:
    operations = [
        name
        for name, _ in inspect.getmembers(WorkflowRepository, inspect.iscoroutinefunction)
        if not name.startswith("_")
    ]
    assert len(operations) > 25
    assert [n for n in operations if f"#### WorkflowRepository.{n}\n" not in API] == []


def tree() -> str:
    """Return the drawing in the docstring of the module."""
    drawing = str(_errors.__doc__).split("::\n\n")[1].split("\n\n")[0]
    return inspect.cleandoc(drawing) + "\n"


def test_the_drawn_tree_is_the_one_of_the_page() -> None:
    assert tree() == blocks(ROOT / "docs" / "errors.md", "text")[0].text


def test_the_drawn_tree_is_the_real_one() -> None:
    path: list[str] = []
    drawn: dict[str, tuple[str | None, str]] = {}
    for line in tree().splitlines():
        branch, name, note = re.fullmatch(r"([│├└─ ]*)(\w+)(.*)", line).groups()  # type: ignore[union-attr]
        depth = len(branch) // 3
        path[depth:] = [name]
        drawn[name] = (path[depth - 1] if depth else None, note)
    assert drawn.keys() == ERRORS.keys()
    builtin = (ValueError, TypeError, RuntimeError)
    for name, (parent, note) in drawn.items():
        found = ERRORS[name]
        if parent is not None:
            assert issubclass(found, ERRORS[parent]), name
            assert len(found.__mro__) > len(ERRORS[parent].__mro__), name
            named = {kind for kind in builtin if kind.__name__ in note}
            inherited = {kind for kind in builtin if issubclass(ERRORS[parent], kind)}
            assert {kind for kind in builtin if issubclass(found, kind)} == named | inherited, name


def test_errors_have_advice() -> None:
    page = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    advised = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    for name, error in ERRORS.items():
        lineage = {base.__name__ for base in error.__mro__}
        assert lineage & advised or error is OrcheoSqlError or name == "StoreError", name
