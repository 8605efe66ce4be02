"""Hashing of tokens, which takes long on purpose: in threads, a few at a time, and not twice for what was just verified."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import time
from base64 import b64encode
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from .._errors import AuthenticationError
from ..rules.tokens import token_matches
from ._queue import Job

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

MOST_REMEMBERED = 4096
MOST_WAITING = 256
"""Verifications that wait for a thread; more are refused at once, since each would wait for seconds."""

_SALT_BYTES = 16
_HASH_BYTES = 32


MOST_COSTS = 4
"""Kinds of hashes that are paid for; there is more than one only after the settings were changed."""
_KIND = re.compile(r"\$argon2id\$v=19\$m=(\d{1,9}),t=(\d{1,9}),p=(\d{1,9})")
_REST = re.compile(r"\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}")


class Cost(NamedTuple):
    """What hashing costs: the parameters of argon2id."""

    memory_kib: int
    passes: int
    lanes: int

    @property
    def work(self) -> int:
        """How much there is to do; lanes share it."""
        return self.memory_kib * self.passes

    @property
    def parameters(self) -> str:
        """How a hash writes it."""
        return f"m={self.memory_kib},t={self.passes},p={self.lanes}"

    def decoy(self) -> str:
        """Return a hash that costs as much to compare with as a real one, and fits nothing."""
        salt, digest = _base64(_SALT_BYTES), _base64(_HASH_BYTES)
        return f"$argon2id$v=19${self.parameters}${salt}${digest}"


def cost_of(secret_hash: str) -> Cost | None:
    """Return what a stored hash costs; None when it is not one as they are made here."""
    kind = _KIND.match(secret_hash)
    return _cost(kind) if kind and _REST.fullmatch(secret_hash, kind.end()) else None


def _cost(kind: re.Match[str] | None) -> Cost | None:
    return None if kind is None else Cost(*map(int, kind.groups()))


class TokenHasher:
    """Hashes tokens with argon2id and compares them, off the event loop.

    A token that was verified is remembered until it has not been used for a while: as a digest, keyed by a key of this
    object, of the token together with the hash that it was compared with. So a flood of forged tokens, which all have to
    be hashed, does not reach those in use. Whether a token is revoked or has expired is not its business.
    """

    def __init__(
        self,
        *,
        memory_kib: int,
        passes: int,
        lanes: int,
        threads: int,
        remember_seconds: float,
    ):
        self._cost = Cost(memory_kib, passes, lanes)
        self._remember_seconds = remember_seconds
        self._threads = asyncio.Semaphore(threads)
        self._key = secrets.token_bytes(64)
        self._verified: OrderedDict[bytes, float] = OrderedDict()
        self._verifying: dict[bytes, Job[bool | None]] = {}
        self._decoys = {self._cost: self._cost.decoy()}
        self._made_now = f"$argon2id$v=19${self._cost.parameters}$"

    def learn(self, kinds: Iterable[str]) -> None:
        """Take note of what stored hashes cost, since a token that fits none has to cost the same whoever it names.

        Of too many kinds those that cost most stay known.
        """
        costs = filter(None, map(_cost, map(_KIND.fullmatch, kinds)))
        for cost in sorted(costs, key=lambda each: each.work):
            self._learn(cost)

    def _learn(self, cost: Cost) -> None:
        if cost not in self._decoys:
            if len(self._decoys) >= MOST_COSTS:
                del self._decoys[next(c for c in self._decoys if c != self._cost)]
            self._decoys[cost] = cost.decoy()

    def is_outdated(self, secret_hash: str) -> bool:
        """Tell whether a hash costs less than those that are made now."""
        if secret_hash.startswith(self._made_now):
            return False  # at every authentication: two patterns would take as long as all the rest of it
        cost = cost_of(secret_hash)
        return cost is not None and cost.work < self._cost.work

    async def hash(self, token: SecretStr) -> str:
        """Return what is stored for a token.

        Raises:
            MemoryError: there is not enough to hash in.
        """
        secret_hash = await Job(self._threads, self._hash, token).result()
        if secret_hash is None:
            raise MemoryError("not enough memory to hash a token")
        return secret_hash

    async def verify(self, secret_hash: str | None, token: SecretStr) -> bool:
        """Compare a token with a stored hash; without one, take as long and say no.

        Raises:
            AuthenticationError: too many are waiting already, or there is no memory to hash in.
        """
        key = self._digest(secret_hash, token)
        if self._is_remembered(key):
            return True
        job = self._verifying.get(key)
        if job is None or job.is_abandoned:
            if len(self._verifying) >= MOST_WAITING:
                raise _busy()
            if secret_hash is not None and (cost := cost_of(secret_hash)) is not None:
                self._learn(cost)
            decoys = tuple(self._decoys.items())
            job = Job(self._threads, self._fits, secret_hash, token, decoys)
            self._verifying[key] = job
            job.task.add_done_callback(partial(self._ended, key, job))
        fits = await job.result()
        if fits is None:
            raise _busy()
        return fits

    def _ended(self, key: bytes, job: Job[bool | None], task: asyncio.Task[bool | None]) -> None:
        if self._verifying.get(key) is job:
            del self._verifying[key]
        # Whoever waits raises what it has raised; if nobody does any more, nobody needs to hear of it.
        if not task.cancelled() and task.exception() is None and task.result():
            self._remember(key)

    def _hash(self, token: SecretStr) -> str | None:
        """Hash; None when there was no memory. Like comparing, it raises nothing that has the token in its frames."""
        from argon2 import PasswordHasher
        from argon2.exceptions import HashingError

        hasher = PasswordHasher(
            time_cost=self._cost.passes,
            memory_cost=self._cost.memory_kib,
            parallelism=self._cost.lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        try:
            return hasher.hash(token.get_secret_value())
        except HashingError:
            return None

    def _fits(
        self, secret_hash: str | None, token: SecretStr, decoys: Iterable[tuple[Cost, str]]
    ) -> bool | None:
        """Compare; None when there was no memory."""
        try:
            if secret_hash is not None and token_matches(secret_hash, token.get_secret_value()):
                return True
            # What does not fit pays for one hash of every kind that is stored, its own among them. So neither unknown
            # identifiers nor brought-along ones nor those with older parameters stand out by their time.
            paid = secret_hash and cost_of(secret_hash)
            for cost, decoy in decoys:
                if cost != paid:
                    token_matches(decoy, token.get_secret_value())
        except MemoryError:
            return None
        return False

    def _digest(self, secret_hash: str | None, token: SecretStr) -> bytes:
        text = f"{secret_hash}\0{token.get_secret_value()}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key).digest()

    def _remember(self, key: bytes) -> None:
        if self._remember_seconds:
            self._verified[key] = time.monotonic() + self._remember_seconds
            self._verified.move_to_end(key)
            if len(self._verified) > MOST_REMEMBERED:
                self._verified.popitem(last=False)

    def _is_remembered(self, key: bytes) -> bool:
        until = self._verified.get(key)
        if until is None:
            return False
        if until <= time.monotonic():
            del self._verified[key]
            return False
        self._remember(key)
        return True


def _busy() -> AuthenticationError:
    return AuthenticationError(
        "Too many tokens are being verified; try again",
        code="auth.busy",
        status_code=503,
        headers={"Retry-After": "1"},
        websocket_code=1013,
    )


def _base64(size: int) -> str:
    return b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()
