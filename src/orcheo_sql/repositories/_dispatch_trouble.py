"""What a dispatcher does about database errors: one run, or one schedule, must not stop the others."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._errors import (
    ConnectionLostError,
    DatabaseBusyError,
    PoolTimeoutError,
    StatementTimeoutError,
    StoreError,
    TransientError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from logging import Logger


class Trouble:
    """Collects what failed while a dispatcher goes on with the rest.

    What passes by itself (a row that is busy, a statement that took too long, a deadlock) is logged: the next call
    looks again, and to raise would hide the runs that were created. Other errors of the database are raised at the
    end. Without a database there is no going on.
    """

    def __init__(self, logger: Logger):
        self._logger = logger
        self._lasting: list[StoreError] = []

    @contextmanager
    def kept(self, what: str, who: object) -> Iterator[None]:
        """Run a block whose database errors are kept for the end."""
        try:
            yield
        except StoreError as error:
            if _is_everybodys(error):
                raise
            self._logger.warning("%s %s stays due: %s", what, who, error)
            if not isinstance(error, TransientError | StatementTimeoutError):
                self._lasting.append(error)

    def raise_if_lasting(self) -> None:
        """Raise the first error that does not pass by itself, if there was one."""
        if self._lasting:
            raise self._lasting[0]


def _is_everybodys(error: StoreError) -> bool:
    if isinstance(error, DatabaseBusyError):
        return error.dialect == "sqlite"  # its lock is the file's; PostgreSQL's is a row's
    return isinstance(error, ConnectionLostError | PoolTimeoutError)
