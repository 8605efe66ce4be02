"""Render ``docs/cli.md``; run as a module, write it to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from orcheo_sql.cli._app import PROGRAM, app
from orcheo_sql.cli._exits import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 88

_PAGE = """\
# The command `orcheo-sql`

<!-- Generated from the help of the commands. Write it anew with
     python -m orcheo_sql.cli._docs > docs/cli.md -->

`python -m orcheo_sql` is the same command. It finds its database as the library does, by the
[settings](settings.md).

What a command was asked for goes to standard output, everything else (progress, remarks,
warnings, errors) to standard error. Commands that report take `--json`. Output is styled on a
terminal only, and not there either when `NO_COLOR` is set. Secrets are never printed: a
connection string has `***` for its password.

## Exit status

{statuses}

When the reader of the output goes away (`orcheo-sql demo | head -1`), the command ends quietly
with 1. With `ORCHEO_DEBUG=1` errors come with a traceback, and the library's log is shown; both
may contain what you would not send to others.

{commands}
"""


def render_cli_page() -> str:
    """Return the text of ``docs/cli.md``."""
    statuses = [f"| {status} | {meaning} |" for status, meaning in MEANINGS.items()]
    commands = [
        f"## `{name}`\n\n```text\n{text}\n```"
        for name, text in helps(typer.main.get_command(app), PROGRAM)
    ]
    return _PAGE.format(
        statuses="\n".join(["| status | meaning |", "| --- | --- |", *statuses]),
        commands="\n\n".join(commands),
    )


def helps(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield the full name and the help of a command and of all below it."""
    # Not under a parent, whose settings would be inherited: the terminal's width among them.
    context = command.context_class(command, info_name=name, terminal_width=_WIDTH)
    context.help_option_names = ["-h", "--help"]
    text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
    yield name, text
    if hasattr(command, "list_commands"):
        for child in command.list_commands(context):
            yield from helps(command.get_command(context, child), f"{name} {child}")


if __name__ == "__main__":
    sys.stdout.write(render_cli_page())
