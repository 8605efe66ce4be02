"""What every repository has: its queries, a clock, and the way to make audit events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from .._documents import clean_text
from .._errors import ValidationError
from ..codecs.encode import instant_text, utc
from ..rules import require_text

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from .._transaction import Transaction

Clock = Callable[[], datetime]

EARLIEST = datetime(1, 1, 1, tzinfo=UTC)
LATEST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
LOWEST_ID = UUID(int=0)
HIGHEST_ID = UUID(int=2**128 - 1)
NO_LIMIT = 2**62
DEFAULT_PAGE = 50
LARGEST_PAGE = 1000


class Scope(Protocol):
    """Where a repository works: on the database, or inside one unit of work."""

    now: Clock

    @property
    def in_transaction(self) -> bool:
        """Whether a unit of work is open here."""
        ...

    def attempt(self) -> AbstractAsyncContextManager[None]:
        """Guard statements that may conflict: in a unit of work they get a savepoint, so that it stays usable."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a unit of work for several statements, or a savepoint of the one that is open."""
        ...


class Repository:
    """Base of the repositories. `q` runs the queries of its folder."""

    def __init__(self, queries: Any, scope: Scope):
        self.q = queries
        self._scope = scope

    def _now(self) -> datetime:
        return self._scope.now()


def audit_event(actor: str, action: str, at: datetime, **metadata: Any) -> dict[str, Any]:
    """Return one audit record as a document; a query appends it to the trail in the statement that makes the change."""
    return {
        "actor": require_text(actor, "actor"),
        "action": action,
        "at": instant_text(at),
        "metadata": {k: clean_text(v) if isinstance(v, str) else v for k, v in metadata.items()},
    }


def as_uuid(value: object, name: str) -> UUID:
    """Return an id as UUID; its text is accepted too.

    Raises:
        ValidationError: it is neither.
    """
    if isinstance(value, UUID):
        return value
    try:
        if isinstance(value, str):
            return UUID(value)
    except ValueError:
        pass
    raise ValidationError(f"{name} must be a UUID, got {type(value).__name__}")


def as_instant(value: object, name: str) -> datetime:
    """Return a time in UTC; a naive one is in UTC already.

    Raises:
        ValidationError: it is not a datetime, or is outside of the years 1 to 9999 in UTC.
    """
    if not isinstance(value, datetime):
        raise ValidationError(f"{name} must be a datetime, got {type(value).__name__}")
    return utc(value)
