"""The command ``orcheo-sql``. Each module here is one group of commands; docs/cli.md lists them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status."""
    from ._app import run

    return run(argv)
