"""The life of service tokens: mint, rotate, revoke, authenticate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from .._errors import AuthenticationError, ServiceTokenNotFoundError
from ..codecs.encode import utc
from ..rules.tokens import (
    check_identifier,
    expiry,
    identifier_of,
    is_brought_along,
    lifetime_of,
    new_identifier,
    new_token,
    overlap_end,
    parse_names,
    sha256_of,
    shown_identifier,
)
from ..structs.tokens import ServiceTokenRecord
from ._hashing import TokenHasher
from ._misses import MISS_SECONDS, Misses
from ._renewal import Renewals
from ._usage import UsageLog

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from .._database import Database
    from ..repositories.base import Clock


class ServiceTokenManager:
    """Mints, rotates, revokes and authenticates service tokens.

    A secret is shown once, to whoever mints or rotates; what is stored is its hash. Every call commits by itself. Use one
    manager for all requests of a process, such as `Database.token_manager`: it remembers what it has just verified, and
    counts uses.
    """

    def __init__(self, database: Database, *, clock: Clock | None = None):
        """Describe a manager; nothing is read.

        Args:
            database: where the tokens are, open by the time that one is asked for.
            clock: gives the time, aware; that of the database when None.
        """
        settings = database.settings
        self._database = database
        self._clock = clock or database.now
        self._usage = UsageLog(database, settings.auth_service_token_usage_seconds)
        self._hasher = TokenHasher(
            memory_kib=settings.auth_service_token_hash_memory_kib,
            passes=settings.auth_service_token_hash_passes,
            lanes=settings.auth_service_token_hash_lanes,
            threads=settings.auth_service_token_hash_threads,
            remember_seconds=settings.auth_service_token_cache_seconds,
        )
        self._renewals = Renewals(database, self._hasher)
        self._misses = Misses(min(MISS_SECONDS, settings.auth_service_token_cache_seconds))
        self._knows_costs = False

    async def all(self) -> tuple[ServiceTokenRecord, ...]:
        """Return the active tokens, newest first, as they are stored now."""
        return tuple(await self._database.tokens.list_active(now=self._now()))

    async def mint(
        self,
        *,
        identifier: str | None = None,
        scopes: Iterable[str] = (),
        workspace_ids: Iterable[str] = (),
        expires_in: timedelta | int | None = None,
        actor: str | None = None,
    ) -> tuple[str, ServiceTokenRecord]:
        """Make a token, and return it with its record. The token is not stored and can't be had again.

        Args:
            identifier: 1 to 128 letters, digits and ``._~:@+-``; a random one when None.
            scopes: what it permits.
            workspace_ids: the workspaces it is for.
            expires_in: how long it lasts, more than 0, as a timedelta or in seconds; for ever when None.
            actor: who mints it, for the audit log.

        Raises:
            ServiceTokenExistsError: the identifier is taken.
            ValidationError: an argument breaks its rule.
        """
        now = self._now()
        identifier = new_identifier() if identifier is None else check_identifier(identifier)
        names = parse_names(scopes, "scopes"), parse_names(workspace_ids, "workspace_ids")
        expires_at = expiry(now, expires_in)
        token = SecretStr(new_token(identifier))
        record = ServiceTokenRecord(
            identifier=identifier,
            secret_hash=await self._hasher.hash(token),
            scopes=names[0],
            workspace_ids=names[1],
            issued_at=now,
            expires_at=expires_at,
        )
        issued = await self._database.tokens.issue(record, now=now, actor=actor)
        return token.get_secret_value(), issued

    async def rotate(
        self,
        identifier: str,
        *,
        overlap_seconds: float = 300,
        expires_in: timedelta | int | None = None,
        actor: str | None = None,
    ) -> tuple[str, ServiceTokenRecord]:
        """Make a successor with the same scopes and workspaces, and return it with its record.

        Args:
            identifier: of an active token that was not rotated yet.
            overlap_seconds: how long the old token stays good; 0 ends it at once.
            expires_in: how long the successor lasts; as long as the old one was to last when None.
            actor: who rotates it, for the audit log.

        Raises:
            ServiceTokenNotFoundError: there is no such token; also a KeyError.
            ServiceTokenStateError: it is revoked, expired, or rotated already.
            ValidationError: an argument breaks its rule.
        """
        tokens = self._database.tokens
        now = self._now()
        end = overlap_end(now, overlap_seconds)
        old = await tokens.find_by_id(identifier)
        if old is None:
            raise ServiceTokenNotFoundError(shown_identifier(identifier))
        lasts = lifetime_of(old) if expires_in is None else expires_in
        expires_at = expiry(now, lasts)
        successor = new_identifier()
        token = SecretStr(new_token(successor))
        record = await tokens.rotate(
            identifier,
            successor=successor,
            secret_hash=await self._hasher.hash(token),
            expires_at=expires_at,
            overlap_end=end,
            now=now,
            actor=actor,
        )
        return token.get_secret_value(), record

    async def revoke(
        self, identifier: str, *, reason: str | None = None, actor: str | None = None
    ) -> ServiceTokenRecord:
        """End a token for good and at once, for all processes; revoked already, the first time and reason stay.

        Raises:
            ServiceTokenNotFoundError: there is no such token; also a KeyError.
        """
        return await self._database.tokens.revoke(
            identifier, reason=reason, now=self._now(), actor=actor
        )

    async def authenticate(
        self, token: str, *, ip: str | None = None, user_agent: str | None = None
    ) -> ServiceTokenRecord:
        """Return the record of a token, its use counted.

        Whether it was revoked or has expired is read from the database at every call, by its key. What has not the shape of
        a token is refused without a query.

        Args:
            token: what the caller presents.
            ip: where from, for the audit log.
            user_agent: with what, for the audit log.

        Raises:
            AuthenticationError: 401 ``auth.invalid_token``, 403 ``auth.token_revoked`` or ``auth.token_expired``; 503
                ``auth.busy`` when too many tokens are being verified.
        """
        # Rebound at once, so that tracebacks with local variables don't show it.
        presented = SecretStr(token if isinstance(token, str) else "")
        del token
        record = await self._verified(presented)
        if record is None:
            raise AuthenticationError("Invalid bearer token")
        now = self._now()
        if record.is_revoked():
            raise _refusal("Service token has been revoked", "auth.token_revoked")
        if record.is_expired(now=now):
            raise _refusal("Service token has expired", "auth.token_expired")
        self._usage.note(record.identifier, now, ip, user_agent)
        self._renewals.begin(record, presented)
        return record.used(at=now, times=self._usage.unwritten(record.identifier))

    async def flush_usage(self) -> None:
        """Write the uses that are counted in memory, as closing the database does."""
        await self._usage.flush()

    async def _verified(self, token: SecretStr) -> ServiceTokenRecord | None:
        """Return the record that a token belongs to, whatever its state."""
        tokens = self._database.tokens
        identifier = identifier_of(token.get_secret_value())
        if identifier is not None:
            if not self._knows_costs:
                self._hasher.learn(await tokens.list_hash_kinds())
                self._knows_costs = True
            record = await tokens.find_by_id(identifier)
            fits = await self._hasher.verify(None if record is None else record.secret_hash, token)
            return record if fits else None
        if not is_brought_along(token.get_secret_value()):
            return None
        secret_hash = sha256_of(token.get_secret_value())
        if secret_hash in self._misses:
            return None
        record = await tokens.find_by_hash(secret_hash)
        if record is None:
            self._misses.add(secret_hash)
        return record

    def _now(self) -> datetime:
        return utc(self._clock())


def _refusal(message: str, code: str) -> AuthenticationError:
    return AuthenticationError(message, code=code, status_code=403)
