"""Keep the generated pages of ``docs/`` current: ``python -m orcheo_sql.check.docs --check`` (or ``--write``).

A page is an entry of `PAGES`: its file, and the function that renders it, as ``module:function``.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from itertools import zip_longest
from typing import TYPE_CHECKING

from orcheo_sql._catalog import sql_root

from .findings import Finding, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

PAGES: dict[str, str] = {
    "api.md": "orcheo_sql.check.api_docs:render_api_page",
    "cli.md": "orcheo_sql.cli._docs:render_cli_page",
    "queries.md": "orcheo_sql.check.queries_page:render_queries_page",
    "settings.md": "orcheo_sql.settings._settings_docs:render_settings_page",
}


def docs_folder() -> Path | None:
    """Return the checkout's ``docs/``; an installed package has none."""
    folder = sql_root().parent / "docs"
    return folder if folder.is_dir() else None


def render(page: str) -> str:
    """Return the text that a page should have."""
    module, _, name = PAGES[page].partition(":")
    function: Callable[[], str] = getattr(importlib.import_module(module), name)
    return function()


def stale_pages(folder: Path, pages: Iterable[str] = PAGES) -> list[Finding]:
    """Return a finding for each page that is not what its source says, at the first line that differs."""
    return [finding for page in pages if (finding := stale(folder / page, render(page), COMMAND))]


COMMAND = "python -m orcheo_sql.check.docs --write"


def stale(path: Path, wanted: str, command: str) -> Finding | None:
    """Return a finding when a generated file is missing or not what it should be."""
    if not path.exists():
        return Finding(path, 1, f"the generated file is missing; run: {command}")
    found = path.read_text(encoding="utf-8")
    if found == wanted:
        return None
    pairs = zip_longest(found.splitlines(), wanted.splitlines())
    line = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), 1)
    return Finding(path, line, f"the generated file is not current; run: {command}")


def write_pages(folder: Path, pages: Iterable[str] = PAGES) -> list[Path]:
    """Write the pages that are not current and return them."""
    written: list[Path] = []
    for page in pages:
        path, wanted = folder / page, render(page)
        if not path.exists() or path.read_text(encoding="utf-8") != wanted:
            path.write_text(wanted, encoding="utf-8")
            written.append(path)
    return written


def main(arguments: Sequence[str] | None = None) -> int:
    """Check or write all pages; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    folder = docs_folder()
    if list(arguments) not in (["--check"], ["--write"]) or folder is None:
        sys.stderr.write(
            "usage, in a checkout: python -m orcheo_sql.check.docs (--check | --write)\n"
        )
        return 2
    if arguments[0] == "--write":
        for path in write_pages(folder):
            sys.stdout.write(f"{shown(path)} written\n")
        return 0
    findings = stale_pages(folder)
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
        _show_difference(finding.path)
    return 1 if findings else 0


def _show_difference(path: Path) -> None:
    found = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    wanted = render(path.name).splitlines()
    lines = difflib.unified_diff(found, wanted, "in the file", "from its source", lineterm="", n=1)
    sys.stdout.writelines(f"{line}\n" for line in list(lines)[:40])


if __name__ == "__main__":
    sys.exit(main())
