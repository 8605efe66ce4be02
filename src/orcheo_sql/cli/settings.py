"""``orcheo-sql settings``: every setting in force, and where each value came from."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from typing import TYPE_CHECKING, Annotated

import typer

from orcheo_sql._errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from orcheo_sql.settings import Settings

# What a table has to itself when it is not written to a terminal: no path is broken in two.
_FILE_WIDTH = 240


def settings(
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object for scripts.")
    ] = False,
) -> None:
    """Show every setting, its value and its source, and where each part keeps its data.

    Secrets are masked. Exits with 2 when a setting is wrong.
    """
    settings_command(json)


def settings_command(json: bool) -> None:
    """Print the settings in force; raise typer.Exit(2) after naming what is wrong with them."""
    from orcheo_sql.settings import load_settings

    try:
        loaded = load_settings()
    except ConfigError as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(2) from None
    if json:
        typer.echo(jsonlib.dumps(_document(loaded), indent=2))
        return
    _print_tables(loaded)
    for item in loaded.explain():
        if item.warning:
            typer.echo(f"Warning: {item.warning} ({item.source})", err=True)


def _document(loaded: Settings) -> dict[str, object]:
    from orcheo_sql.settings import Subsystem

    return {
        "settings": [dataclasses.asdict(item) for item in loaded.explain()],
        "locations": {part.value: str(loaded.location(part)) for part in Subsystem},
    }


def _print_tables(loaded: Settings) -> None:
    from rich.console import Console

    from orcheo_sql.settings import Subsystem

    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    rows = [
        [item.name, item.value or "", item.source] for item in loaded.explain() if not item.warning
    ]
    console.print(_table(["name", "value", "source"], rows))
    places = [[part.value, str(loaded.location(part))] for part in Subsystem]
    console.print(_table(["part", "lives in"], places))


def _table(head: list[str], rows: list[list[str]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(*head)
    for row in rows:
        # Text, because a value may hold what rich takes for markup, e.g. an IPv6 address.
        table.add_row(*(Text(cell, overflow="fold") for cell in row))
    return table
