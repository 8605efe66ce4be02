"""Read the Markdown of this repository: its blocks, headings and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(
            ROOT / name
            for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "sql/README.md")
        ),
        *(ROOT / "docs").rglob("*.md"),
    ]
)

_FENCE = re.compile(r"^```(\S*)$")
_HEADING = re.compile(r"^#+ (.*)$")
_LINK = re.compile(r"(?<!!)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")


@dataclass(frozen=True)
class Block:
    """One fenced block and where it is."""

    path: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.path)}:{self.line}"


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(path: Path, language: str | None = None) -> list[Block]:
    return [b for b in _blocks(path) if language in (None, b.language)]


def _blocks(path: Path) -> Iterator[Block]:
    begun: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and begun is None:
            begun, lines = (number, fence[1]), []
        elif fence and begun is not None:
            assert not fence[1], f"{name_of(path)}:{number}: a block begins inside a block"
            yield Block(path, *begun, "\n".join(lines) + "\n")
            begun = None
        else:
            lines.append(line)
    assert begun is None, f"{name_of(path)}:{begun}: the block has no end"


def prose(path: Path) -> list[tuple[int, str]]:
    """Return the lines outside of fenced blocks, with their numbers."""
    found: list[tuple[int, str]] = []
    inside = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside = not inside
        elif not inside:
            found.append((number, line))
    return found


def links(path: Path) -> list[tuple[int, str]]:
    return [
        (number, target)
        for number, line in prose(path)
        for target in _LINK.findall(line)
        if not re.match(r"[a-z]+:", target)
    ]


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    slugs: set[str] = set()
    for _, line in prose(path):
        heading = _HEADING.match(line)
        if heading is None:
            continue
        words = re.sub(r"[^\w\- ]", "", heading[1].lower())
        slug = words.replace(" ", "-")
        copies = 1
        unique = slug
        while unique in slugs:
            unique = f"{slug}-{copies}"
            copies += 1
        slugs.add(unique)
    return slugs


def between(path: Path, marker: str) -> str:
    """Return what stands between ``<!-- marker -->`` and ``<!-- /name -->``, each alone on its line."""
    name = marker.split()[0]
    text = path.read_text(encoding="utf-8")
    found = re.findall(
        rf"^<!-- {re.escape(marker)} -->$(.*?)^<!-- /{name} -->$", text, re.MULTILINE | re.DOTALL
    )
    assert len(found) == 1, f"{name_of(path)} has {len(found)} blocks marked {marker}"
    return str(found[0])
