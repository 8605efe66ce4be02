"""What commands print: data on standard output, all else on standard error; styled on a terminal only."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console, Group

LONGEST_CELL = 400
"""A longer text is cut: laying it out would take for ever."""

# The width of what is written to a file or a pipe, unless COLUMNS says otherwise.
_FILE_WIDTH = 110
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def prepare_streams() -> None:
    """Let no character that a terminal's encoding lacks end a command, nor a stream that is closed."""
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - for as long as the process lives


def printable(text: str) -> str:
    """Return a text without what a terminal would obey: names in a database are anybody's."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def complain(message: str) -> None:
    """Write an error to standard error."""
    _write(sys.stderr, f"Error: {printable(message)}\n")


def note(message: str) -> None:
    """Write a remark to standard error."""
    _write(sys.stderr, f"{printable(message)}\n")


def emit_text(text: str) -> None:
    """Write a text to standard output as it is."""
    _write(sys.stdout, text if text.endswith("\n") else f"{text}\n")


def emit_json(document: Any) -> None:
    """Write a document to standard output."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    plain = msgspec.to_builtins(document)
    emit_text(json.dumps(plain, indent=2, ensure_ascii=not readable))


def emit(*parts: Group | str) -> None:
    """Write tables and lines to standard output."""
    from rich.text import Text

    console = console_for(sys.stdout)
    with console.capture() as captured:
        for part in parts:
            if isinstance(part, str):
                console.print(Text(printable(part)), soft_wrap=True)
            else:
                console.print(part, "")
    # Written in one go by us and not by rich, so that a reader that has left is noticed here.
    emit_text("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def console_for(stream: Any) -> Console:
    """Return a console: plain off a terminal, and on one whose owner has set NO_COLOR."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR")) or not stream.isatty()
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _FILE_WIDTH
    return Console(
        file=stream, width=width, color_system=None if plain else "auto", highlight=False
    )


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Group:
    """Return a titled table; ``#`` before a column's name is for numbers, ``=`` for text kept on one line."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in head:
        made.add_column(
            name.lstrip("#="),
            justify="right" if name.startswith("#") else "left",
            no_wrap=name.startswith(("=", "#")),
        )
    for row in rows:
        made.add_row(*(Text(cell(value), overflow="fold") for value in row))
    return Group(Text(printable(title), style="bold", overflow="fold"), made)


def cell(value: Any) -> str:
    """Return a value as it stands in a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return printable(text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…")


def milliseconds(seconds: float | None) -> str:
    """Return a duration as it stands in a table."""
    return "-" if seconds is None else f"{seconds * 1000:.2f} ms"


def _write(stream: Any, text: str) -> None:
    stream.write(text)
    stream.flush()
