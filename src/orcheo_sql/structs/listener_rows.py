"""Rows about listeners that are not entities."""

from .base import Record
from .listeners import ListenerCursor, ListenerSubscription


class LeasedListener(ListenerSubscription, frozen=True, kw_only=True):
    """A subscription with the epoch of its lease."""

    lease_epoch: int


class ListenerState(Record, frozen=True, kw_only=True):
    """What the refusal of a change may rest on."""

    is_current: bool
    is_archived: bool
    is_leased: bool


class StoredCursor(Record, frozen=True, kw_only=True):
    """The cursor as it stands with its listener; it names the subscription that saved it."""

    cursor: ListenerCursor | None
