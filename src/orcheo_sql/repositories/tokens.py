"""Service tokens and their audit log. Whoever wants to mint or authenticate uses `ServiceTokenManager`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

import msgspec

from .._documents import clean_text, encode_record
from .._errors import (
    ServiceTokenExistsError,
    ServiceTokenNotFoundError,
    ServiceTokenStateError,
    UniqueViolationError,
    ValidationError,
)
from .._pages import Page, check_limit, decode_cursor, encode_cursor, page_of
from ..rules import require_int, require_text
from ..rules.tokens import (
    LONGEST_HASH,
    parse_names,
    record_identifier,
    shown_identifier,
    without_tokens,
)
from ..structs import ServiceTokenRecord, ServiceTokenStatus
from .base import DEFAULT_PAGE, LARGEST_PAGE, LATEST, NO_LIMIT, as_instant
from .token_audit import ServiceTokenAudit, actor_name, details_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._query_types import Tokens
    from ..structs import ListedServiceToken


class ServiceTokenRepository(ServiceTokenAudit):
    """Service tokens and their audit log. SQL: ``sql/<dialect>/queries/tokens/``."""

    q: Tokens

    async def list_all(self) -> list[ServiceTokenRecord]:
        """Return every token, newest first, revoked and expired ones too."""
        return await self._records(None, self._now())

    async def list_active(self, *, now: datetime | None = None) -> list[ServiceTokenRecord]:
        """Return the tokens that are neither revoked nor expired, newest first."""
        at = self._now() if now is None else as_instant(now, "now")
        return await self._records(ServiceTokenStatus.ACTIVE, at)

    async def page_tokens(
        self,
        *,
        status: ServiceTokenStatus | str | None = None,
        limit: int = DEFAULT_PAGE,
        cursor: str | None = None,
    ) -> Page[ServiceTokenRecord]:
        """Return up to `limit` (at most 1000) tokens, newest first, of one status or of all.

        Raises:
            InvalidCursorError: the cursor is not one of this list's.
            ValidationError: there is no such status.
        """
        limit = check_limit(limit, maximum=LARGEST_PAGE)
        before_at, before_id = LATEST, ""
        if cursor is not None:
            before_at, before_id = decode_cursor("tokens", cursor, (datetime, str))
        rows = await self.q.list_tokens(
            status=_status(status),
            now=self._now(),
            before_at=before_at,
            before_id=before_id,
            limit=limit + 1,
        )
        page = page_of(
            rows, limit, lambda row: encode_cursor("tokens", row.created_at, row.identifier)
        )
        return Page(_tokens_of(page.items), page.next_cursor)

    async def find_by_id(self, identifier: str) -> ServiceTokenRecord | None:
        """Return a token by its identifier, if there is one, in whatever state."""
        return await self.q.get_token(identifier=record_identifier(identifier))

    async def find_by_hash(self, secret_hash: str) -> ServiceTokenRecord | None:
        """Return the token whose stored hash is this text, in whatever state.

        Finds tokens of the older product by their SHA-256; an argon2id hash has a salt, and is known to nobody else.
        """
        return await self.q.find_token_by_hash(secret_hash=require_text(secret_hash, "secret_hash"))

    async def list_hash_kinds(self, *, limit: int = 100) -> list[str]:
        """Return what the hashes of argon2id begin with, salt and hash left out: each kind once, at most `limit`."""
        return [row.kind for row in await self.q.list_hash_kinds(limit=check_limit(limit))]

    async def create(self, record: ServiceTokenRecord) -> ServiceTokenRecord:
        """Add a token as it is, such as one that is brought along; nothing is logged.

        Raises:
            ServiceTokenExistsError: its identifier or its hash is taken.
            ValidationError: a field breaks its rule.
        """
        return await self._insert(record, now=self._now(), is_minted=False, actor=None)

    async def issue(
        self, record: ServiceTokenRecord, *, now: datetime, actor: str | None = None
    ) -> ServiceTokenRecord:
        """Add a token that was just minted, and log that.

        Raises:
            ServiceTokenExistsError: its identifier is taken.
            ValidationError: a field breaks its rule.
        """
        return await self._insert(record, now=now, is_minted=True, actor=actor)

    async def update(self, record: ServiceTokenRecord) -> ServiceTokenRecord:
        """Rewrite a token, but for its uses, and return it as it is stored; an unknown one is returned as it was given.

        A record that was read before the token was revoked or rotated changes nothing.

        Raises:
            ServiceTokenExistsError: another token has its hash.
            ServiceTokenStateError: it has been revoked, or rotated, since the record was read.
            ValidationError: a field breaks its rule.
        """
        fields: _Changeable = _changeable(record)
        try:
            async with self._scope.attempt():
                updated = await self.q.update_token(**fields)
        except UniqueViolationError:
            raise ServiceTokenExistsError(record.identifier, by_hash=True) from None
        if updated is not None:
            return updated
        found = await self.find_by_id(record.identifier)
        if found is None:
            return record
        raise ServiceTokenStateError(_why_not(found))

    async def rotate(
        self,
        identifier: str,
        *,
        successor: str,
        secret_hash: str,
        expires_at: datetime | None,
        overlap_end: datetime,
        now: datetime,
        actor: str | None = None,
    ) -> ServiceTokenRecord:
        """Add the successor of a token, with the same scopes and workspaces, and return it; the token ends with the overlap.

        Raises:
            ServiceTokenNotFoundError: there is no such token.
            ServiceTokenExistsError: the successor's identifier is taken.
            ServiceTokenStateError: the token is not active, or was rotated already.
        """
        identifier = record_identifier(identifier)
        seconds = (overlap_end - now).total_seconds()
        details = {"rotated_to": successor, "overlap_seconds": int(seconds)}
        try:
            async with self._scope.attempt():
                added = await self.q.rotate_token(
                    identifier=identifier,
                    successor=record_identifier(successor),
                    secret_hash=_hash(secret_hash),
                    expires_at=expires_at,
                    overlap_end=overlap_end,
                    now=now,
                    actor=actor_name(actor),
                    details=encode_record(details),
                    successor_details=encode_record({"rotated_from": identifier}),
                )
        except UniqueViolationError as error:
            raise await self._taken(successor, error) from None
        if added is None:
            raise ServiceTokenStateError(_why_not(await self._require(identifier)))
        return added

    async def revoke(
        self,
        identifier: str,
        *,
        reason: str | None = None,
        now: datetime | None = None,
        actor: str | None = None,
    ) -> ServiceTokenRecord:
        """End a token for good, and log that; of one that is revoked already, the first time and reason stay.

        Raises:
            ServiceTokenNotFoundError: there is no such token.
        """
        identifier = record_identifier(identifier)
        reason = _reason(reason)
        revoked = await self.q.revoke_token(
            identifier=identifier,
            reason=reason,
            now=self._now() if now is None else as_instant(now, "now"),
            actor=actor_name(actor),
            details=details_text(None if reason is None else {"reason": reason}),
        )
        return revoked or await self._require(identifier)

    async def renew_hash(self, identifier: str, *, secret_hash: str, renewed: str) -> bool:
        """Put another hash of the same token in the place of one, and tell whether that was still there."""
        count = await self.q.renew_hash(
            identifier=record_identifier(identifier),
            secret_hash=_hash(secret_hash),
            renewed=_hash(renewed),
        )
        return count == 1

    async def delete(self, identifier: str) -> None:
        """Delete a token, if there is one; its audit log stays."""
        await self.q.delete_token(identifier=record_identifier(identifier))

    async def close(self) -> None:
        """Do nothing: the connections are the database's, which closes them."""

    async def _records(
        self, status: ServiceTokenStatus | None, now: datetime
    ) -> list[ServiceTokenRecord]:
        rows = await self.q.list_tokens(
            status=status, now=now, before_at=LATEST, before_id="", limit=NO_LIMIT
        )
        return _tokens_of(rows)

    async def _insert(
        self, record: ServiceTokenRecord, *, now: datetime, is_minted: bool, actor: str | None
    ) -> ServiceTokenRecord:
        fields: _Changeable = _changeable(record)
        try:
            async with self._scope.attempt():
                added = await self.q.insert_token(
                    **fields,
                    last_used_at=_instant(record.last_used_at, "last_used_at"),
                    use_count=require_int(record.use_count, "use_count", 0, 2**62),
                    now=now,
                    is_minted=is_minted,
                    actor=actor_name(actor),
                )
        except UniqueViolationError as error:
            # Without its cause, here as elsewhere: PostgreSQL's text has the hash in it.
            raise await self._taken(record.identifier, error) from None
        assert added is not None
        return added

    async def _taken(self, identifier: str, error: UniqueViolationError) -> ServiceTokenExistsError:
        """Say what is taken. When both are, the databases don't agree on which they name: it is the identifier then."""
        by_hash = "secret_hash" in (error.constraint or "")
        return ServiceTokenExistsError(
            identifier, by_hash=by_hash and await self.find_by_id(identifier) is None
        )

    async def _require(self, identifier: str) -> ServiceTokenRecord:
        found = await self.find_by_id(identifier)
        if found is None:
            raise ServiceTokenNotFoundError(shown_identifier(identifier))
        return found


class _Changeable(TypedDict):
    """What `update` rewrites, by the parameters of its query."""

    identifier: str
    secret_hash: str
    scopes: list[str]
    workspace_ids: list[str]
    issued_at: datetime | None
    expires_at: datetime | None
    rotation_expires_at: datetime | None
    revoked_at: datetime | None
    revocation_reason: str | None
    rotated_to: str | None


def _tokens_of(rows: Sequence[ListedServiceToken]) -> list[ServiceTokenRecord]:
    """Return the tokens without their places in the list."""
    return msgspec.convert(rows, list[ServiceTokenRecord], from_attributes=True)


def _changeable(record: ServiceTokenRecord) -> _Changeable:
    """Return the fields of a record, checked, that may be written again."""
    if not isinstance(record, ServiceTokenRecord):
        raise ValidationError(f"record must be a ServiceTokenRecord, not {type(record).__name__}.")
    return {
        "identifier": record_identifier(record.identifier),
        "secret_hash": _hash(record.secret_hash),
        "scopes": sorted(parse_names(record.scopes, "scopes")),
        "workspace_ids": sorted(parse_names(record.workspace_ids, "workspace_ids")),
        "issued_at": _instant(record.issued_at, "issued_at"),
        "expires_at": _instant(record.expires_at, "expires_at"),
        "rotation_expires_at": _instant(record.rotation_expires_at, "rotation_expires_at"),
        "revoked_at": _instant(record.revoked_at, "revoked_at"),
        "revocation_reason": _reason(record.revocation_reason),
        "rotated_to": None if record.rotated_to is None else record_identifier(record.rotated_to),
    }


def _why_not(record: ServiceTokenRecord) -> str:
    """Say what has become of a token."""
    if record.is_revoked():
        return f"Service token {record.identifier!r} has been revoked"
    if record.rotated_to is not None:
        return f"Service token {record.identifier!r} has been rotated to {record.rotated_to!r}"
    return f"Service token {record.identifier!r} has expired"


def _status(status: ServiceTokenStatus | str | None) -> ServiceTokenStatus | None:
    try:
        return None if status is None else ServiceTokenStatus(status)
    except ValueError:
        known = ", ".join(ServiceTokenStatus)
        raise ValidationError(f"status must be one of {known}.") from None


def _hash(secret_hash: object) -> str:
    text = require_text(secret_hash, "secret_hash")
    if not 0 < len(text) <= LONGEST_HASH:
        raise ValidationError(f"secret_hash must have 1 to {LONGEST_HASH} characters.")
    return text


def _instant(value: object, name: str) -> datetime | None:
    return None if value is None else as_instant(value, name)


def _reason(reason: object) -> str | None:
    if reason is not None and not isinstance(reason, str):
        raise ValidationError(f"reason must be text, not {type(reason).__name__}.")
    return None if reason is None else clean_text(without_tokens(reason))
