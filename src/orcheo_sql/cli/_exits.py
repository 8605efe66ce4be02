"""Exit statuses, and errors as people read them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from orcheo_sql._errors import (
    ConfigError,
    ConnectionLostError,
    DatabaseBusyError,
    MigrationError,
    MigrationFailedError,
    OrcheoSqlError,
    PoolTimeoutError,
)

if TYPE_CHECKING:
    from collections.abc import Coroutine

OK = 0
FAILURE = 1
USAGE = 2
SCHEMA = 3
INTERRUPTED = 130

MEANINGS = {
    OK: "done, and nothing was found to be wrong",
    FAILURE: "something failed, or a check found something; the message says what",
    USAGE: "the command line or a setting is wrong; nothing was done",
    SCHEMA: "the schema is not the one this version needs: migrations are pending or were edited, "
    "or the database belongs to a newer version or to the older product",
    INTERRUPTED: "interrupted with Ctrl-C; what was committed before stays",
}

_HINTS: dict[type[OrcheoSqlError], str] = {
    ConfigError: "Every setting in force: orcheo-sql settings",
    ConnectionLostError: "Which database is used, and which variable says so: orcheo-sql settings",
    PoolTimeoutError: "Is the server up? orcheo-sql health",
    DatabaseBusyError: "It may be tried again.",
}

T = TypeVar("T")


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine; Ctrl-C ends it quietly, after what it began is undone."""
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def status_of(error: BaseException) -> int:
    """Return the exit status that an error ends a command with."""
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, MigrationError) and not isinstance(error, MigrationFailedError):
        return SCHEMA
    return FAILURE


def describe(error: BaseException) -> str:
    """Return the message for an error, with what to do next."""
    if isinstance(error, OrcheoSqlError):
        return "\n".join([str(error) or type(error).__name__, *_hint(error)])
    from orcheo_sql.settings._masking import looks_like_dsn

    text = str(error)
    shown = f": {text}" if text and not looks_like_dsn(text) else ""
    return (
        f"{type(error).__name__}{shown}\n"
        "This should not happen and is worth a report. ORCHEO_DEBUG=1 shows where it happened."
    )


def _hint(error: OrcheoSqlError) -> list[str]:
    hint = next((_HINTS[kind] for kind in type(error).__mro__ if kind in _HINTS), None)
    return [] if hint is None or "orcheo-sql " in str(error) else [hint]
