"""Service tokens: credentials of machines, and the log of what happened to them."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

import msgspec

from orcheo_sql.structs.base import Record, utc_now


class ServiceTokenStatus(StrEnum):
    """What a token is good for."""

    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ServiceTokenRecord(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a token: everything but its secret."""

    identifier: str
    secret_hash: str
    scopes: frozenset[str] = frozenset()
    workspace_ids: frozenset[str] = frozenset()
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    rotation_expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revocation_reason: str | None = None
    rotated_to: str | None = None
    last_used_at: datetime | None = None
    use_count: int = 0

    def matches(self, token: str) -> bool:
        """Tell whether this is the record of a token. Takes long on purpose: not for the event loop."""
        from orcheo_sql.rules.tokens import token_matches

        return token_matches(self.secret_hash, token)

    def is_revoked(self) -> bool:
        """Tell whether it was revoked."""
        return self.revoked_at is not None

    def is_expired(self, *, now: datetime | None = None) -> bool:
        """Tell whether it has expired; at its very expiry it has."""
        return self.expires_at is not None and (now or utc_now()) >= self.expires_at

    def is_active(self, *, now: datetime | None = None) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return not self.is_revoked() and not self.is_expired(now=now)

    def used(self, *, at: datetime, times: int) -> Self:
        """Return the record after that many more uses, the last one at a time."""
        return msgspec.structs.replace(self, last_used_at=at, use_count=self.use_count + times)

    def __repr__(self) -> str:
        """Leave the hash out: it belongs into no log."""
        shown = ", ".join(f"{field}={value!r}" for field, value in self.__rich_repr__())
        return f"{type(self).__name__}({shown})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Leave it out of what rich prints as well, such as tracebacks with local variables."""
        fields = (field for field in self.__struct_fields__ if field != "secret_hash")
        return [(field, getattr(self, field)) for field in fields]


class HashKind(Record, frozen=True, kw_only=True):
    """With which parameters argon2id hashes were made: what they begin with."""

    kind: str


class ListedServiceToken(ServiceTokenRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token with its place in the list."""

    created_at: datetime


class ServiceTokenAuditEntry(Record, frozen=True, kw_only=True):
    """One event in the life of a token: created, rotated, revoked, used, or what a client has logged."""

    id: int
    token_id: str
    action: str
    actor: str | None
    ip_address: str | None
    user_agent: str | None
    timestamp: datetime
    details: dict[str, Any] | None
