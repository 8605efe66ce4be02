"""Secrets at rest: what is sealed opens with its key at its place, and nowhere else."""

from __future__ import annotations

import base64
import multiprocessing
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql import ConfigError
from orcheo_sql._sealing import Sealer, _open, _seal, derived_key, key_file, random_key


@given(st.text(st.characters()), st.text(st.characters(exclude_categories=["Cs"])))
def test_what_is_sealed_opens(secret: str, place: str) -> None:
    key = random_key()
    sealed = _seal(key, secret, place)
    assert _open(key, sealed, place) == secret
    assert sealed != _seal(key, secret, place), "equal secrets can't be told"


@pytest.mark.parametrize(
    "damage",
    [
        lambda sealed: sealed[:-4] + "AAAA",
        lambda sealed: sealed + "AAAA",
        lambda sealed: sealed[:20],
        lambda sealed: sealed.replace(":", ";"),
        lambda sealed: "",
        lambda sealed: "v1:",
        lambda sealed: sealed + "!",
    ],
)
def test_what_is_damaged_does_not_open(damage: object) -> None:
    key = random_key()
    sealed = damage(_seal(key, "geheim", "a"))  # type: ignore[operator]
    with pytest.raises(ConfigError) as caught:
        _open(key, sealed, "a")
    assert "geheim" not in str(caught.value)


def test_another_place_or_another_key_does_not_open() -> None:
    key = random_key()
    sealed = _seal(key, "geheim", "a")
    with pytest.raises(ConfigError, match="another place's"):
        _open(key, sealed, "b")
    with pytest.raises(ConfigError, match="not the key"):
        _open(random_key(), sealed, "a")


def test_keys_are_taken_as_written_or_derived() -> None:
    raw = random_key()
    assert derived_key(base64.b64encode(raw).decode()) == raw
    assert derived_key(base64.urlsafe_b64encode(raw).decode()) == raw
    assert derived_key(raw.hex()) == raw
    assert len(derived_key("a passphrase")) == 32
    assert derived_key("a passphrase") == derived_key("a passphrase") != derived_key("another")


def test_a_key_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "db.key"
    path.parent.mkdir()
    key = key_file(path)
    assert key_file(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["db.key"]
    for text in ("", "short", "ü", base64.b64encode(b"x" * 31).decode()):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"db\.key can't be used"):
            key_file(path)
    with pytest.raises(ConfigError, match="can't be used"):
        key_file(tmp_path / "nowhere" / "db.key")


def test_processes_that_start_together_share_one_key(tmp_path: Path) -> None:
    """In the older product some of them kept a key that nobody else had."""
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        for round_ in range(5):
            keys = pool.map(key_file, [tmp_path / f"{round_}.key"] * 8, chunksize=1)
            assert len(set(keys)) == 1


async def test_without_a_key_secrets_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    plain = Sealer(lambda: None)
    stored = await plain.seal("geheim", place="a")
    assert "geheim" not in caplog.text
    assert "ORCHEO_VAULT_ENCRYPTION_KEY" in caplog.text
    assert await plain.open(stored, place="a") == "geheim"
    assert await Sealer(random_key).open(stored, place="a") == "geheim"
    sealed = await Sealer(random_key).seal("geheim", place="a")
    with pytest.raises(ConfigError, match="must be set"):
        await plain.open(sealed, place="a")
    assert await plain.seal(None, place="a") is None
    assert await plain.open(None, place="a") is None
