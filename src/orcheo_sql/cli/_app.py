"""The list of commands, and what becomes of their errors."""

from __future__ import annotations

import importlib
import logging
import os
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from ._exits import FAILURE, INTERRUPTED, describe, status_of
from ._output import complain, prepare_streams

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "orcheo-sql"
WIDTH = 100


class _Entry(NamedTuple):
    """A command, or a group of them: its module, what to take from there, and its line in the list."""

    module: str
    attribute: str
    help: str


# A module is imported when one of its commands is wanted, so that no command pays for the others.
COMMANDS: dict[str, _Entry] = {
    "demo": _Entry(".demo", "demo", "Store real agent-flow graphs, run and search them, and show."),
    "migrate": _Entry(".migrate", "migrate_app", "Look at the schema, or bring it up to date."),
    "health": _Entry(".health", "health", "Say whether each database answers and is up to date."),
    "schedules": _Entry(
        ".schedules", "schedules_app", "List, pause and resume schedules; sweep abandoned runs."
    ),
    "listeners": _Entry(
        ".listeners", "listeners_app", "List, pause and resume listeners; forget what is over."
    ),
    "outbox": _Entry(".outbox", "outbox_app", "List what waits for workers; offer it again."),
    "history": _Entry(".history", "history_app", "Delete old run histories."),
    "tokens": _Entry(".tokens", "tokens_app", "Mint, list, rotate and revoke service tokens."),
    "bench": _Entry(".bench", "bench", "Measure the configured database against the targets."),
    "settings": _Entry(".settings", "settings", "Show every setting, its value and its source."),
    "sql": _Entry(".sql", "sql_app", "List, show, explain and check the queries."),
}


class Commands(TyperGroup):
    """The commands of `COMMANDS`, loaded when used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the list above."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a command, or return None when there is none of this name."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else _load(cmd_name, entry)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


def _load(name: str, entry: _Entry) -> Any:
    found = getattr(importlib.import_module(entry.module, __package__), entry.attribute)
    if not isinstance(found, typer.Typer):
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name)(found)
        found = single
    # Plain help: the same on a terminal, in a file and in docs/cli.md.
    found.rich_markup_mode = None
    found._add_completion = False  # noqa: SLF001 - the option belongs to the root alone, which has none
    command = typer.main.get_command(found)
    command.name = name
    return command


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)


def _version(wanted: bool) -> None:
    if wanted:
        from orcheo_sql import __version__

        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def root(
    _version_option: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Persistence for agent-workflow backends, on SQLite or PostgreSQL.

    Which database is used is decided by ORCHEO_ variables, see: orcheo-sql settings
    """


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line; whatever goes wrong becomes a readable message and an exit status."""
    prepare_streams()
    _quiet_logging()
    try:
        typer.main.get_command(app)(
            args=list(sys.argv[1:] if argv is None else argv), prog_name=PROGRAM
        )
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILURE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:  # of standard output: nothing else gets here
        with suppress(OSError):
            complain(f"can't write the output: {error.strerror or error}")
        return FAILURE
    except Exception as error:  # noqa: BLE001 - nobody is to see a traceback who did not ask for one
        if os.environ.get("ORCHEO_DEBUG"):
            traceback.print_exc()
        complain(describe(error))
        return status_of(error)
    return 0


def _quiet_logging() -> None:
    """Keep the library's and the pool's log lines out of the output: what fails is said once, in the message."""
    if os.environ.get("ORCHEO_DEBUG"):
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
        return
    for name in ("orcheo_sql", "psycopg"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
