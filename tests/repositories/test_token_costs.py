"""Hashes that were made with other parameters than those of today."""

from __future__ import annotations

from typing import Any

import pytest
from tests.repositories.test_token_secrets import count_comparisons, hasher

from orcheo_sql import AuthenticationError, Database, DatabaseBusyError, ServiceTokenRecord
from orcheo_sql.rules.tokens import new_token, sha256_of
from orcheo_sql.tokens import _hashing


async def test_raising_the_cost_does_not_tell_unknown_identifiers_from_wrong_secrets(
    settings_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the stored hashes cost: who has no right token pays for one of each kind."""
    async with Database(**settings_of) as db:
        await db.token_manager.mint(identifier="old")
        await db.tokens.create(ServiceTokenRecord(identifier="legacy", secret_hash=sha256_of("x")))
    raised = {**settings_of, "auth_service_token_hash_passes": 3}
    async with Database(**raised) as db:
        await db.token_manager.mint(identifier="new")
    for first in ("nobody", "old", "new", "legacy"):
        async with Database(**raised) as db:
            calls = count_comparisons(monkeypatch)
            for name in (first, "nobody", "old", "new", "legacy"):
                with pytest.raises(AuthenticationError, match="Invalid bearer token"):
                    await db.token_manager.authenticate(new_token(name))
                paid = sorted(call.split("$")[3] for call in calls if "$" in call)
                assert paid == ["m=19456,t=2,p=1", "m=19456,t=3,p=1"], (first, name)
                calls.clear()
            monkeypatch.undo()


async def test_the_kinds_of_hashes_that_are_stored(db: Database) -> None:
    assert await db.tokens.list_hash_kinds() == []
    begin = "$argon2id$v=19$m="
    stored = [
        *(f"{begin}8,t=1,p={lanes}$salt$hash{n}" for lanes in (1, 10, 2) for n in range(3)),
        f"{begin}8,t=1",
        f"{begin}8,t=1,p=1!",
        "$argon2i$v=19$m=8,t=1,p=1$salt$hash",
        "$argon2id$v=18$m=8,t=1,p=1$salt$hash",
        "$argon2id$v=19$n",
        sha256_of("x"),
    ]
    for n, secret_hash in enumerate(stored):
        await db.tokens.create(ServiceTokenRecord(identifier=f"t{n}", secret_hash=secret_hash))
    rest = ["8,t=1", "8,t=1,p=1", "8,t=1,p=1!", "8,t=1,p=10", "8,t=1,p=2"]
    kinds = [f"{begin}{each}" for each in rest]
    assert sorted(await db.tokens.list_hash_kinds()) == kinds
    assert len(await db.tokens.list_hash_kinds(limit=2)) == 2


def test_kinds_of_hashes_are_bounded() -> None:
    own = "$argon2id$v=19$m=64,t=1,p=1$"
    few = hasher()
    few.learn(["", "x", "$argon2id$", "$argon2id$v=19$m=8,t=x,p=1", sha256_of("x")])
    assert len(few._decoys) == 1
    few.learn(f"$argon2id$v=19$m={8 * n},t=1,p=1" for n in range(19, 8, -1))
    assert len(few._decoys) == _hashing.MOST_COSTS
    assert [cost.memory_kib for cost in few._decoys][1:] == [136, 144, 152]
    assert own in str(next(iter(few._decoys.values())))


async def test_an_older_hash_is_renewed_when_its_token_is_used(
    settings_of: dict[str, Any],
) -> None:
    async with Database(**settings_of) as db:
        token, old = await db.token_manager.mint(identifier="old")
        await db.token_manager.mint(identifier="idle")
    async with Database(**settings_of, auth_service_token_hash_passes=3) as db:
        with pytest.raises(AuthenticationError):
            await db.token_manager.authenticate(new_token("old"))
        async with db.transaction():  # it is not part of it
            await db.token_manager.authenticate(token)
        await db.token_manager.authenticate(token)
    # Closing has waited for it. A process that asks for less, or knows less, changes nothing back.
    async with Database(**settings_of) as db:
        renewed = await db.tokens.find_by_id("old")
        assert renewed is not None
        assert "$m=19456,t=3,p=1$" in renewed.secret_hash
        assert (await db.token_manager.authenticate(token)).secret_hash == renewed.secret_hash
        how = {"secret_hash": old.secret_hash, "renewed": "late"}
        assert not await db.tokens.renew_hash("old", **how)
    async with Database(**settings_of) as db:
        assert (await db.token_manager.authenticate(token)).secret_hash == renewed.secret_hash
        idle = await db.tokens.find_by_id("idle")
        assert idle is not None
        assert "t=2" in idle.secret_hash


async def test_a_renewal_that_fails_refuses_nobody(
    settings_of: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def busy(*_: Any, **__: Any) -> None:
        raise DatabaseBusyError("somebody else is writing")

    async with Database(**settings_of) as db:
        token, _ = await db.token_manager.mint()
    async with Database(**settings_of, auth_service_token_hash_passes=3) as db:
        monkeypatch.setattr(type(db.tokens.q), "renew_hash", busy)
        for _ in range(2):
            await db.token_manager.authenticate(token)
            for worker in list(db.workers):
                await worker.finish()
    assert caplog.text.count("could not be renewed: somebody else is writing") == 1
