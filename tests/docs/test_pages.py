"""What pages say about files, links, commands and settings is there."""

from __future__ import annotations

import ast
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import typer
from tests.docs.pages import PAGES, ROOT, anchors, blocks, links, name_of, prose

from orcheo_sql.cli._app import app
from orcheo_sql.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = {f"ORCHEO_{name.upper()}" for name in Settings.model_fields}
DOCS = ROOT / "docs"
# What a page tells the reader to create.
_TO_BE_MADE = {
    "sql/sqlite/migrations/NNNN_what_it_does.sql",
    *re.findall(
        r"^`([\w./-]+)`\n\n```(?!diff)",
        (DOCS / "adding-a-subsystem.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    ),
}
every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield each command with its words: ``migrate up``."""
    if hasattr(command, "list_commands"):
        for name in command.list_commands(None):
            yield from commands(command.get_command(None, name), (*path, name))
    else:
        yield " ".join(path), command


COMMANDS = dict(commands(typer.main.get_command(app)))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for line, target in links(page):
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and not _has(path, anchor)):
            broken.append(f"{name_of(page)}:{line}: {target}")
    assert broken == []


def _has(path: Path, anchor: str) -> bool:
    """Say whether a page has a heading, or another file a line, of this name."""
    if path.suffix == ".md":
        return anchor in anchors(path)
    lines = path.read_text(encoding="utf-8").count("\n")
    return re.fullmatch(r"L\d+", anchor) is not None and 0 < int(anchor[1:]) <= lines


@every_page
def test_python_blocks_compile(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block.text, str(block), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST)


@every_page
def test_shell_blocks_are_shell(page: Path) -> None:
    for block in [*blocks(page, "bash"), *blocks(page, "sh")]:
        if "<" in block.text:  # a placeholder
            continue
        checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
        assert checked.returncode == 0, f"{block}: {checked.stderr}"


@every_page
def test_files_that_are_named_exist(page: Path) -> None:
    missing = []
    for line, text in prose(page):
        for name in re.findall(
            r"`((?:src|sql|tests|benchmarks|examples|docs|\.ci)/[\w./-]+)`", text
        ):
            if name not in _TO_BE_MADE and not (ROOT / name).exists():
                missing.append(f"{name_of(page)}:{line}: {name}")
    assert missing == []


@every_page
def test_settings_that_are_named_exist(page: Path) -> None:
    named = set(re.findall(r"\bORCHEO_[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8")))
    others = {name for name in named if name.startswith("ORCHEO_TEST_")} | {"ORCHEO_DEBUG"}
    assert named - SETTINGS - others == set()


@every_page
def test_commands_that_are_named_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for words in re.findall(r"(?:`|^|bin/)orcheo-sql ([a-z]+(?: [a-z]+)?)", text, re.MULTILINE):
        first, _, _ = words.partition(" ")
        known = {name.split()[0] for name in COMMANDS}
        assert first in known, f"{name_of(page)}: orcheo-sql {first}"
        if first not in COMMANDS and " " in words:
            assert words in COMMANDS, f"{name_of(page)}: orcheo-sql {words}"


def test_every_setting_is_documented() -> None:
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert {name for name in SETTINGS if f"`{name}`" not in page} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert COMMANDS[name].help, f"orcheo-sql {name} has no help"
    assert f"orcheo-sql {name}" in (DOCS / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", [DOCS, DOCS / "decisions"], ids=name_of)
def test_the_index_names_every_page(folder: Path) -> None:
    named = {target.partition("#")[0] for _, target in links(folder / "index.md")}
    assert {p.name for p in folder.glob("*.md")} - named - {"index.md"} == set()


@pytest.mark.parametrize(
    "page", sorted((DOCS / "decisions").glob("*.md")), ids=lambda path: path.stem
)
def test_decisions_have_one_form(page: Path) -> None:
    if page.name == "index.md":
        return
    sections = [line for _, line in prose(page) if line.startswith("## ")]
    assert sections[:2] == ["## To be solved", "## Decided"]


@every_page
def test_no_page_names_a_place_on_the_authors_machine(page: Path) -> None:
    for line, text in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        assert not re.search(r"/(?:root|work|tmp|home/\w+)/", text), f"{name_of(page)}:{line}"
