"""Hashing of tokens, which takes long on purpose: in threads, a few at a time, and not twice for what was just verified."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from base64 import b64encode
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .._errors import AuthenticationError
from ..rules.tokens import is_argon2, token_matches

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

T = TypeVar("T")

MOST_REMEMBERED = 4096
MOST_WAITING = 256
"""Verifications that wait for a thread; more are refused at once, since each would wait for seconds."""

_SALT_BYTES = 16
_HASH_BYTES = 32


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
        self._memory_kib = memory_kib
        self._passes = passes
        self._lanes = lanes
        self._remember_seconds = remember_seconds
        self._threads = asyncio.Semaphore(threads)
        self._key = secrets.token_bytes(64)
        self._verified: OrderedDict[bytes, float] = OrderedDict()
        self._verifying: dict[bytes, asyncio.Task[bool]] = {}
        # Costs as much to compare with as a real one, and fits nothing.
        salt, digest = _base64(_SALT_BYTES), _base64(_HASH_BYTES)
        self._decoy = f"$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${digest}"

    async def hash(self, token: SecretStr) -> str:
        """Return what is stored for a token.

        Raises:
            MemoryError: there is not enough to hash in.
        """
        secret_hash = await asyncio.shield(asyncio.create_task(self._in_thread(self._hash, token)))
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
        running = self._verifying.get(key)
        if running is None:
            if len(self._verifying) >= MOST_WAITING:
                raise _busy()
            running = asyncio.create_task(self._verify(key, secret_hash, token))
            self._verifying[key] = running
            running.add_done_callback(partial(self._forget, key))
        return await asyncio.shield(running)

    def _forget(self, key: bytes, task: asyncio.Task[bool]) -> None:
        del self._verifying[key]
        if not task.cancelled():
            task.exception()  # whoever waits raises it; if nobody does any more, nobody needs to hear of it

    async def _verify(self, key: bytes, secret_hash: str | None, token: SecretStr) -> bool:
        fits = await self._in_thread(self._fits, secret_hash, token)
        if fits is None:
            raise _busy()
        if fits:
            self._remember(key)
        return fits

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        """Run something in a thread; in a task of its own: who asks may give up, the thread goes on and counts."""
        async with self._threads:
            return await asyncio.to_thread(work, *args)

    def _hash(self, token: SecretStr) -> str | None:
        """Hash; None when there was no memory. Like comparing, it raises nothing that has the token in its frames."""
        from argon2 import PasswordHasher
        from argon2.exceptions import HashingError

        hasher = PasswordHasher(
            time_cost=self._passes,
            memory_cost=self._memory_kib,
            parallelism=self._lanes,
            hash_len=_HASH_BYTES,
            salt_len=_SALT_BYTES,
        )
        try:
            return hasher.hash(token.get_secret_value())
        except HashingError:
            return None

    def _fits(self, secret_hash: str | None, token: SecretStr) -> bool | None:
        """Compare; None when there was no memory."""
        try:
            if secret_hash is None or not is_argon2(secret_hash):
                token_matches(self._decoy, token.get_secret_value())
            return secret_hash is not None and token_matches(secret_hash, token.get_secret_value())
        except MemoryError:
            return None

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
