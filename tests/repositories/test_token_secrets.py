"""What an attacker or a curious colleague may try: no secret is to be found anywhere, and hashing stops nobody."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from traceback import StackSummary, TracebackException
from typing import Any

import pytest
from pydantic import SecretStr
from tests.repositories.factories import rows

from orcheo_sql import (
    AuthenticationError,
    Database,
    DatabaseBusyError,
    ServiceTokenExistsError,
    ServiceTokenManager,
    ServiceTokenRecord,
)
from orcheo_sql.rules.tokens import new_token, sha256_of, token_matches
from orcheo_sql.tokens import _hashing, _manager
from orcheo_sql.tokens._hashing import TokenHasher


def secret_of(token: str) -> str:
    """Return the part of a token that nobody may see."""
    return token.split("_")[-2] if "_" in token else token


def hasher(**fields: Any) -> TokenHasher:
    cheap = {"memory_kib": 64, "passes": 1, "lanes": 1, "threads": 2, "remember_seconds": 60.0}
    return TokenHasher(**{**cheap, **fields})


async def everything_stored(settings: dict[str, Any]) -> str:
    tables = "service_tokens", "service_token_audit"
    return str([await rows(settings, f"SELECT * FROM {table}") for table in tables])


async def test_no_table_no_log_and_no_repr_has_a_secret(
    settings_of: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    async with Database(**settings_of, slow_query_seconds=1e-9) as db:
        manager = db.token_manager
        first, record = await manager.mint(identifier="first")
        second, successor = await manager.rotate("first")
        for token in (first, second, first):
            await manager.authenticate(token)
        await manager.revoke("first", reason="leaked")
        forged = new_token("first")
        for token in (first, forged, f"{second}0"):
            with pytest.raises(AuthenticationError) as caught:
                await manager.authenticate(token)
            assert secret_of(token) not in repr(caught.value) + str(caught.value.__dict__)
        inside = [manager, vars(manager._hasher), vars(manager._usage), record, successor, db]
    texts = f"{await everything_stored(settings_of)} {caplog.text} {inside!r}"
    assert len(caplog.text) > 1000
    assert [token for token in (first, second, forged) if secret_of(token) in texts] == []
    assert record.secret_hash not in f"{caplog.text} {inside!r}"


async def test_tracebacks_with_local_variables_have_no_secret(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: Any, **__: Any) -> None:
        raise DatabaseBusyError("somebody else is writing")

    made: list[str] = []

    def make(identifier: str) -> str:
        made.append(new_token(identifier))
        return made[-1]

    monkeypatch.setattr(_manager, "new_token", make)
    token, _ = await db.token_manager.mint(identifier="ci")
    legacy = "bGVnYWN5LXNlY3JldC1sZWdhY3ktc2VjcmV0LWxlZ2F"
    await db.tokens.create(ServiceTokenRecord(identifier="old", secret_hash=sha256_of(legacy)))

    async def report(work: Any, expected: type[Exception]) -> str:
        with pytest.raises(expected) as caught:
            await work
        error = TracebackException.from_exception(caught.value, capture_locals=True)
        # Those in this file were handed the token.
        error.stack = StackSummary.from_list([f for f in error.stack if f.filename != __file__])
        frames = list(error.stack)
        assert len(frames) > 0
        return "".join(error.format())

    manager = db.token_manager
    twin = ServiceTokenRecord(identifier="twin", secret_hash=sha256_of(legacy))
    conflict = await report(db.tokens.create(twin), ServiceTokenExistsError)
    assert "already exists" not in conflict  # the driver's text, which has the hash
    reports = [
        conflict,
        await report(manager.mint(identifier="ci"), ServiceTokenExistsError),
        await report(manager.authenticate(new_token("ci")), AuthenticationError),
    ]
    await manager.revoke("ci")
    await manager.revoke("old")
    for each in (token, legacy):
        reports.append(await report(manager.authenticate(each), AuthenticationError))
    monkeypatch.setattr(type(db.tokens.q), "get_token", busy)
    monkeypatch.setattr(type(db.tokens.q), "find_token_by_hash", busy)
    for each in (token, legacy):
        reports.append(await report(manager.authenticate(each), DatabaseBusyError))
    assert len(made) == 2
    for text in reports:
        assert [each for each in (*made, token, legacy) if secret_of(each) in text] == []


async def test_the_event_loop_is_not_blocked_by_hashing(
    settings_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    compare = token_matches

    def watched(secret_hash: str, token: str) -> bool:
        threads.add(threading.get_ident())
        return compare(secret_hash, token)

    monkeypatch.setattr(_hashing, "token_matches", watched)
    async with Database(**settings_of, auth_service_token_hash_memory_kib=65_536) as db:
        forged = [db.token_manager.authenticate(new_token("nobody")) for _ in range(8)]
        hashing = asyncio.gather(*forged, return_exceptions=True)
        turns = 0
        while not hashing.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert {type(error) for error in hashing.result()} == {AuthenticationError}
    assert threading.get_ident() not in threads
    assert turns > 24, "the loop stood still while one hashed"


async def test_few_hash_at_a_time_whoever_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    running, most = 0, 0
    guard = threading.Lock()

    def slow(*_: Any) -> bool:
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with guard:
            running -= 1
        return True

    monkeypatch.setattr(TokenHasher, "_fits", slow)
    two = hasher()
    tasks = [asyncio.create_task(two.verify("x", SecretStr(str(n)))) for n in range(20)]
    await asyncio.sleep(0.005)
    for task in tasks[::2]:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(r, asyncio.CancelledError) for r in results] == [True, False] * 10
    while two._verifying:
        await asyncio.sleep(0.01)
    assert most == 2


async def test_too_many_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hashing, "MOST_WAITING", 3)
    few = hasher(memory_kib=8192)
    tokens = [SecretStr(new_token("a")) for _ in range(5)]
    work = [few.verify(None, token) for token in tokens]
    results = await asyncio.gather(*work, return_exceptions=True)
    assert results[:3] == [False] * 3
    for error in results[3:]:
        assert isinstance(error, AuthenticationError)
        assert (error.code, error.status_code, error.websocket_code) == ("auth.busy", 503, 1013)
    assert await few.verify(None, tokens[4]) is False


async def test_one_token_that_many_present_is_hashed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_comparisons(monkeypatch)
    one, token = hasher(), SecretStr(new_token("a"))
    stored = await one.hash(token)
    assert await asyncio.gather(*(one.verify(stored, token) for _ in range(50))) == [True] * 50
    assert len(calls) == 1
    assert await one.verify(stored, token)
    assert len(calls) == 1
    # It is remembered together with the hash; a wrong one is not remembered at all.
    assert not await one.verify(await one.hash(SecretStr("other")), token)
    assert not await one.verify(stored, SecretStr("other"))
    assert not await one.verify(stored, SecretStr("other"))
    assert len(calls) == 4


async def test_what_was_verified_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_comparisons(monkeypatch)
    token = SecretStr(new_token("a"))
    for seconds, expected in ((0.0, 2), (0.02, 2), (60.0, 1)):
        some = hasher(remember_seconds=seconds)
        stored = await some.hash(token)
        assert await some.verify(stored, token)
        await asyncio.sleep(0.03)
        assert await some.verify(stored, token)
        assert len(calls) == expected
        calls.clear()
    renewed = hasher(remember_seconds=0.5)
    stored = await renewed.hash(token)
    for _ in range(4):
        assert await renewed.verify(stored, token)
        await asyncio.sleep(0.2)
    assert len(calls) == 1
    monkeypatch.setattr(_hashing, "MOST_REMEMBERED", 3)
    for n in range(10):
        another = SecretStr(str(n))
        assert await some.verify(await some.hash(another), another)
    assert len(some._verified) == 3


def count_comparisons(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list to which each comparison adds the hash that it was made with."""
    calls: list[str] = []
    compare = token_matches

    def counted(secret_hash: str, token: str) -> bool:
        calls.append(secret_hash)
        return compare(secret_hash, token)

    monkeypatch.setattr(_hashing, "token_matches", counted)
    return calls


async def test_an_unknown_identifier_costs_as_much_as_a_wrong_secret(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await db.token_manager.mint(identifier="known")
    await db.tokens.create(ServiceTokenRecord(identifier="legacy", secret_hash=sha256_of("x")))
    calls = count_comparisons(monkeypatch)
    # Each pays for one argon2id with the same parameters.
    for name in ("known", "unknown", "legacy"):
        calls.clear()
        with pytest.raises(AuthenticationError, match="Invalid bearer token"):
            await db.token_manager.authenticate(new_token(name))
        costly = [call.split("$")[3] for call in calls if call.startswith("$argon2id$")]
        assert costly == ["m=19456,t=2,p=1"], name


async def test_no_memory_to_hash_in_is_not_a_wrong_token(monkeypatch: pytest.MonkeyPatch) -> None:
    from argon2 import PasswordHasher
    from argon2.exceptions import HashingError, VerificationError

    def fail(*_: Any) -> bool:
        raise VerificationError("Memory allocation error")

    some, token = hasher(), SecretStr("token")
    stored = await some.hash(token)
    monkeypatch.setattr(PasswordHasher, "verify", fail)
    with pytest.raises(AuthenticationError) as caught:
        await some.verify(stored, token)
    assert caught.value.status_code == 503

    def refuse(*_: Any) -> str:
        raise HashingError("Memory allocation error")

    monkeypatch.setattr(PasswordHasher, "hash", refuse)
    with pytest.raises(MemoryError, match="not enough memory"):
        await some.hash(token)


async def test_raised_parameters_hold_for_new_tokens_and_old_ones_still_fit(
    settings_of: dict[str, Any],
) -> None:
    async with Database(**settings_of) as db:
        token, _ = await db.token_manager.mint(identifier="old")
    async with Database(**settings_of, auth_service_token_hash_passes=3) as db:
        assert (await db.token_manager.authenticate(token)).identifier == "old"
        _, record = await db.token_manager.mint()
        assert "$m=19456,t=3,p=1$" in record.secret_hash


async def test_two_managers_share_nothing_but_the_database(db: Database) -> None:
    one, two = ServiceTokenManager(db), ServiceTokenManager(db)
    token, record = await one.mint()
    assert (await two.authenticate(token)).identifier == record.identifier
    assert one._hasher._key != two._hasher._key


async def test_who_has_gone_leaves_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    free = threading.Event()

    def slow(_: TokenHasher, secret_hash: str, token: SecretStr, decoys: Any) -> bool:
        free.wait(10)
        hashed.append(token.get_secret_value())
        return True

    monkeypatch.setattr(TokenHasher, "_fits", slow)
    one = hasher(threads=1)

    def ask(name: str) -> asyncio.Task[bool]:
        return asyncio.create_task(one.verify("x", SecretStr(name)))

    tasks = [ask(name) for name in ("first", "gone", "shared", "shared", "again")]
    making = asyncio.create_task(one.hash(SecretStr("minted")))
    await asyncio.sleep(0.01)
    for task in (tasks[0], tasks[1], tasks[2], tasks[4], making):
        task.cancel()
    await asyncio.sleep(0)
    # Somebody else comes with one that is just leaving.
    again = ask("again")
    await asyncio.sleep(0.01)
    assert len(one._verifying) == 3
    free.set()
    assert list(await asyncio.gather(tasks[3], again)) == [True, True]
    # The first had begun, so its thread went on, and what it found out counts.
    assert hashed == ["first", "shared", "again"]
    assert await one.verify("x", SecretStr("first"))
    assert len(hashed) == 3
    assert one._verifying == {}
