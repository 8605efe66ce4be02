"""Secrets at rest: sealed with AES-256-GCM, each bound to the place where it is stored.

A sealed text is ``v1:<key id>:<base64 of nonce and ciphertext>``. Its place (table, row, column) is the associated
data, so a sealed secret that is copied to another row does not open there. Keys have 32 bytes: written in base64 or
hex they are taken as they are; any other text goes through scrypt once, with a salt of this library, since a key has
to be the same on every machine. docs/decisions/secrets.md tells where keys come from.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from ._errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger("orcheo_sql.secrets")

KEY_BYTES = 32
_NONCE_BYTES = 12
_SEALED, _PLAIN = "v1:", "plain:"
_SALT = b"orcheo-sql: key of secrets, v1"


class Sealer:
    """Seals and opens the secrets of one database."""

    def __init__(self, load: Callable[[], bytes | None]):
        """Remember where the key comes from.

        Args:
            load: returns the key, or None to keep secrets as they are; called once, in a thread.
        """
        self._load = load
        self._key: asyncio.Task[bytes | None] | None = None

    async def seal(self, secret: str | None, *, place: str) -> str | None:
        """Return what is stored for a secret at a place; None for none."""
        if secret is None:
            return None
        key = await self._loaded()
        if key is None:
            logger.warning(
                "a secret is stored as it is: set ORCHEO_VAULT_ENCRYPTION_KEY to have secrets encrypted"
            )
            return _PLAIN + secret
        return _seal(key, secret, place)

    async def open(self, stored: str | None, *, place: str) -> str | None:
        """Return the secret that was stored at a place.

        Raises:
            ConfigError: the key is not the one that it was sealed with.
        """
        if stored is None or stored.startswith(_PLAIN):
            return None if stored is None else stored.removeprefix(_PLAIN)
        key = await self._loaded()
        if key is None:
            raise ConfigError(
                f"ORCHEO_VAULT_ENCRYPTION_KEY must be set: the secret of {place} is encrypted"
            )
        return _open(key, stored, place)

    async def _loaded(self) -> bytes | None:
        if self._key is None:
            self._key = asyncio.create_task(asyncio.to_thread(self._load))
        return await asyncio.shield(self._key)


def derived_key(text: str) -> bytes:
    """Return the key that a configured text stands for."""
    for decode in (base64.b64decode, base64.urlsafe_b64decode, bytes.fromhex):
        try:
            key = decode(text.strip())
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_BYTES:
            return key
    return hashlib.scrypt(text.encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=KEY_BYTES)


def key_file(path: Path) -> bytes:
    """Return the key in a file, made now if there is none: by one process, however many ask at once.

    Raises:
        ConfigError: the file has no key in it, or can't be read or made.
    """
    try:
        try:
            text = path.read_text(encoding="ascii")
        except FileNotFoundError:
            _make_key_file(path)
            text = path.read_text(encoding="ascii")
        key = base64.b64decode(text.strip(), validate=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not base64"
        raise ConfigError(f"the key file {path} can't be used: {reason}") from None
    if len(key) != KEY_BYTES:
        raise ConfigError(f"the key file {path} can't be used: a key has {KEY_BYTES} bytes")
    return key


def random_key() -> bytes:
    """Return a key that lasts as long as the process."""
    return secrets.token_bytes(KEY_BYTES)


def _make_key_file(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(random_key()) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # Whole or not at all, and never over one that is there.
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


def _seal(key: bytes, secret: str, place: str) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    text = secret.encode("utf-8", "surrogatepass")
    sealed = AESGCM(key).encrypt(nonce, text, place.encode())
    return f"{_SEALED}{_key_id(key)}:{base64.b64encode(nonce + sealed).decode()}"


def _open(key: bytes, stored: str, place: str) -> str:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    _, key_id, body = (*stored.split(":", 2), "", "")[:3]
    if key_id != _key_id(key):
        raise ConfigError(
            f"ORCHEO_VAULT_ENCRYPTION_KEY is not the key that the secret of {place} was encrypted with"
        )
    try:
        raw = base64.b64decode(body, validate=True)
        text = AESGCM(key).decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], place.encode())
    except (InvalidTag, ValueError):
        raise ConfigError(f"the secret of {place} was damaged, or is another place's") from None
    return text.decode("utf-8", "surrogatepass")


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"orcheo-sql: id of a key" + key).hexdigest()[:8]
