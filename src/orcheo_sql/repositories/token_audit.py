"""The audit log of service tokens, and the counting of their uses."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from .._documents import JsonText, clean_text, encode_record
from .._errors import ValidationError
from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from ..codecs.encode import instant_text
from ..rules import optional_text, require_text
from ..rules.tokens import (
    LONGEST_ADDRESS,
    LONGEST_IDENTIFIER,
    LONGEST_USER_AGENT,
    record_identifier,
    without_tokens,
)
from .base import DEFAULT_PAGE, LARGEST_PAGE, LATEST, Repository, as_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._query_types import Tokens
    from ..structs import ServiceTokenAuditEntry

HIGHEST_ENTRY = 2**63 - 1
PRUNED_AT_ONCE = 1000
_LONGEST_SEARCHED = 16_384
"""Of what a caller says of itself: more than servers let through in a header."""


class Uses(NamedTuple):
    """How often a token was used from one place, and when last."""

    token_id: str
    ip: str | None
    user_agent: str | None
    times: int
    last_at: datetime

    @classmethod
    def once(cls, token_id: str, ip: str | None, user_agent: str | None, at: datetime) -> Self:
        """Return one use; what the caller says of itself is kept as far as it is worth it."""
        origin = _short(ip, LONGEST_ADDRESS), _short(user_agent, LONGEST_USER_AGENT)
        return cls(record_identifier(token_id), *origin, 1, at)


class ServiceTokenAudit(Repository):
    """The part of `ServiceTokenRepository` about what happened to tokens."""

    q: Tokens

    async def record_usage(
        self, token_id: str, *, ip: str | None = None, user_agent: str | None = None
    ) -> None:
        """Count and log one use, now. An unknown token's is logged all the same."""
        await self.record_uses([Uses.once(token_id, ip, user_agent, self._now())])

    async def record_uses(self, uses: Sequence[Uses]) -> None:
        """Count and log many uses of many tokens in one statement."""
        await self.q.record_uses(uses=[_use(each) for each in uses])

    async def get_audit_log(
        self, token_id: str, *, limit: int = 100
    ) -> list[ServiceTokenAuditEntry]:
        """Return what happened to one token, newest first, at most `limit` entries; it may be deleted by now."""
        return await self.q.list_audit_of_token(
            token_id=record_identifier(token_id),
            before_at=LATEST,
            before_id=HIGHEST_ENTRY,
            limit=check_limit(limit),
        )

    async def page_audit_log(
        self,
        token_id: str | None = None,
        *,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[ServiceTokenAuditEntry]:
        """Return up to `limit` (at most 1000) entries, newest first, of one token or of all.

        Raises:
            InvalidCursorError: the cursor is not one of this list's.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, before_id = LATEST, HIGHEST_ENTRY
        if cursor is not None:
            before_at, before_id = decode_cursor("token audit", cursor, (datetime, int))
        if token_id is None:
            rows = await self.q.list_audit(
                before_at=before_at, before_id=before_id, limit=limit + 1
            )
        else:
            rows = await self.q.list_audit_of_token(
                token_id=record_identifier(token_id),
                before_at=before_at,
                before_id=before_id,
                limit=limit + 1,
            )
        return page_of(
            rows, limit, lambda entry: encode_cursor("token audit", entry.timestamp, entry.id)
        )

    async def record_audit_event(
        self,
        token_id: str,
        action: str,
        *,
        actor: str | None = None,
        ip: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Log an event of a client's own, now; empty details are none."""
        action = without_tokens(require_text(action, "action")).strip()
        if not action:
            raise ValidationError("action must not be blank.")
        await self.q.insert_audit_entry(
            token_id=record_identifier(token_id),
            action=action,
            actor=actor_name(actor),
            ip_address=_short(ip, LONGEST_ADDRESS),
            user_agent=None,
            now=self._now(),
            details=details_text(details),
        )

    async def prune_audit_log(self, logged_before: datetime, *, limit: int = PRUNED_AT_ONCE) -> int:
        """Delete up to `limit` entries from before a time, oldest first, and return how many went.

        One bounded batch: call it until it returns less than `limit`.
        """
        return await self.q.prune_audit(
            logged_before=as_instant(logged_before, "logged_before"), limit=check_limit(limit)
        )


def actor_name(actor: object) -> str | None:
    """Return who did something, for the log."""
    text = optional_text(actor, "actor")
    return None if text is None else without_tokens(text)[:LONGEST_IDENTIFIER]


def details_text(details: object) -> JsonText | None:
    """Return the details of an entry as they are stored; empty ones are none."""
    if details is not None and not isinstance(details, Mapping):
        raise ValidationError(f"details must be a mapping, not {type(details).__name__}.")
    # What hides a token has no character that JSON writes in another way.
    return (
        JsonText(without_tokens(encode_record(dict(details), name="details"))) if details else None
    )


def _use(uses: Uses) -> dict[str, Any]:
    many = uses.times if uses.times > 1 else None
    details = {"uses": many, "ip": uses.ip, "user_agent": uses.user_agent}
    return {
        "token_id": uses.token_id,
        "uses": uses.times,
        "used_at": instant_text(uses.last_at),
        "ip_address": uses.ip,
        "user_agent": uses.user_agent,
        "details": {name: value for name, value in details.items() if value is not None} or None,
    }


def _short(given: object, longest: int) -> str | None:
    """Return what a caller says of itself, as far as it is worth keeping, without tokens."""
    if given is None:
        return None
    try:
        text = str(given)
    except Exception:  # noqa: BLE001 - whatever it is, it refuses nobody who has the right token
        text = f"<{type(given).__name__}>"
    # Tokens are looked for before it is cut, so that none is cut to what nothing is known by.
    return clean_text(without_tokens(text[:_LONGEST_SEARCHED])[:longest])
