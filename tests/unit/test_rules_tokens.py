"""How a token is written, recognised, and compared with its hash."""

from __future__ import annotations

import datetime as dt
import secrets
import uuid
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orcheo_sql import ServiceTokenRecord, ValidationError
from orcheo_sql.rules import tokens as rules

BASE64 = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
IDENTIFIERS = [
    "a",
    "ci",
    "deploy_bot",
    "user@host:8080+x",
    "9",
    "a" * 128,
    "a_" + "0" * 64,
    "b" * 43,
]


@pytest.mark.parametrize("identifier", IDENTIFIERS)
def test_a_token_tells_its_identifier(identifier: str) -> None:
    token = rules.new_token(rules.check_identifier(identifier))
    assert rules.identifier_of(token) == identifier
    assert len(token) <= rules.LONGEST_TOKEN
    assert token.isascii()


def test_secrets_have_256_bits_and_identifiers_say_nothing_about_them() -> None:
    tokens = {rules.new_token("ci") for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token.split("_")[2]) * 4 == 256 for token in tokens)
    assert len({rules.new_identifier() for _ in range(100)}) == 100


@given(st.data())
def test_a_damaged_token_is_refused_by_its_check(data: st.DataObject) -> None:
    token = "orc_deploy_bot_" + "3f" * 32
    token += f"_{zlib.crc32(token.encode()):08x}"
    assert rules.identifier_of(token) == "deploy_bot"
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters().filter(lambda char: char != token[place]))
    assert rules.identifier_of(token[:place] + other + token[place + 1 :]) is None
    assert rules.identifier_of(token[:place]) is None
    assert rules.identifier_of(token + other) is None


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_can_be_asked_about(text: str) -> None:
    assert rules.identifier_of(text) is None
    assert rules.identifier_of(f"orc_{text}") is None
    assert rules.is_brought_along(text) == (
        len(text) == 43 and text.isascii() and not set(text) - BASE64
    )
    assert len(rules.sha256_of(text)) == 64
    assert not rules.token_matches(text, "another")


def test_no_token_stands_in_another() -> None:
    inner = rules.new_token("ci")
    outer = f"orc_{inner}_" + "0" * 64
    outer += f"_{zlib.crc32(outer.encode()):08x}"
    assert rules.identifier_of(outer) is None


@pytest.mark.parametrize(
    "identifier",
    ["", " ", "-x", "_x", "a b", "a/b", "é", "a\0", "a" * 129, "orc_x", None, 7, b"a", "a\n"],
)
def test_identifiers_that_can_not_stand_in_a_token(identifier: Any) -> None:
    with pytest.raises(ValidationError, match="identifier"):
        rules.check_identifier(identifier)


def test_a_whole_token_is_no_identifier_and_is_not_repeated() -> None:
    token = rules.new_token("ci")
    with pytest.raises(ValidationError, match="must not be the token itself") as caught:
        rules.record_identifier(token)
    assert token not in str(caught.value)


def test_tokens_are_found_in_texts_however_they_are_damaged() -> None:
    for _ in range(100):
        token, legacy = rules.new_token("ci"), secrets.token_urlsafe(32)
        if not (any(c.isdigit() for c in legacy)):
            continue
        for text in (
            token, f"{token} ", f"{token}\n", f"Bearer {token}", token[:-1], token[:-9], token[:-40], token.upper(),
            f"x{token}x", token.replace("ci", "c%i")[:7] + token, legacy, f"{legacy} ", f"Bearer {legacy}\n",
        ):  # fmt: skip
            assert rules.has_token(text), text
            with pytest.raises(ValidationError, match="must not be the token itself"):
                rules.record_identifier(text)
            hidden = rules.without_tokens(text)
            assert token[10:40].lower() not in hidden.lower()
            assert legacy not in hidden
    for text in (
        "ci",
        "orc_",
        "a" * 43,
        "0" * 64,
        uuid.uuid4().hex,
        str(uuid.uuid4()),
        "deploy-bot-" * 11,
    ):
        assert not rules.has_token(text), text
        assert rules.without_tokens(text) == text


@pytest.mark.parametrize("length", [0, 513, 10_000_000])
def test_texts_that_are_too_short_or_too_long_are_no_tokens(length: int) -> None:
    assert not rules.is_brought_along("x" * length)
    assert rules.identifier_of("x" * length) is None


def test_a_record_matches_its_token_only() -> None:
    legacy = ServiceTokenRecord(identifier="a", secret_hash=rules.sha256_of("sésame"))
    assert legacy.matches("sésame")
    assert not legacy.matches("sesame")
    for no_hash in ("", "x", "$argon2id$", "$argon2id$é", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"):
        assert not ServiceTokenRecord(identifier="a", secret_hash=no_hash).matches("sésame")


def test_active_expired_revoked() -> None:
    record = ServiceTokenRecord(identifier="a", secret_hash="x")
    assert record.is_active()
    assert not record.is_expired(now=NOW)
    ends = ServiceTokenRecord(identifier="a", secret_hash="x", expires_at=NOW)
    before = NOW - dt.timedelta(microseconds=1)
    assert ends.is_active(now=before)
    assert ends.is_expired(now=NOW)
    assert ends.is_expired()
    revoked = ServiceTokenRecord(identifier="a", secret_hash="x", expires_at=NOW, revoked_at=before)
    assert revoked.is_revoked()
    assert not revoked.is_active(now=before)


@pytest.mark.parametrize("given", [60, dt.timedelta(minutes=1)])
def test_expiry(given: Any) -> None:
    assert rules.expiry(NOW, given) == NOW + dt.timedelta(seconds=60)
    assert rules.expiry(NOW, None) is None


@pytest.mark.parametrize(
    "given", [True, "60", 60.5, 10**30, dt.timedelta.max, -(10**11), 0, -5, dt.timedelta(0)]
)
def test_lifetimes_that_can_not_be_kept(given: Any) -> None:
    with pytest.raises(ValidationError, match="expires_in"):
        rules.expiry(NOW, given)


def test_overlap() -> None:
    assert rules.overlap_end(NOW, -5) == NOW
    assert rules.overlap_end(NOW, 90.9) == NOW + dt.timedelta(seconds=90)


@pytest.mark.parametrize("given", [True, "5", None, float("nan"), float("inf"), 10**30])
def test_overlaps_that_can_not_be_kept(given: Any) -> None:
    with pytest.raises(ValidationError, match="overlap_seconds"):
        rules.overlap_end(NOW, given)
