"""Minting, rotating, revoking and authenticating, on both databases."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import Any

import msgspec
import pytest
from tests.repositories.factories import NOON, Clock, Queries

from orcheo_sql import (
    AuthenticationError,
    AuthorizationError,
    ConfigError,
    Database,
    ServiceTokenExistsError,
    ServiceTokenManager,
    ServiceTokenNotFoundError,
    ServiceTokenRecord,
    ServiceTokenStateError,
    ValidationError,
    load_settings,
)
from orcheo_sql.rules.tokens import identifier_of, is_argon2, new_token, sha256_of
from orcheo_sql.tokens import _misses

SECOND, MINUTE = dt.timedelta(seconds=1), dt.timedelta(minutes=1)
LEGACY = "Zm9vYmFyYmF6LV9xdXV4cXV1eHF1dXhxdXV4cXV1eHE"


async def refusal(manager: ServiceTokenManager, token: Any) -> tuple[str, int]:
    with pytest.raises(AuthenticationError) as caught:
        await manager.authenticate(token)
    return caught.value.code, caught.value.status_code


async def actions(db: Database, identifier: str) -> list[str]:
    return [entry.action for entry in await db.tokens.get_audit_log(identifier)]


@pytest.mark.parametrize("lasts", [None, 90, dt.timedelta(seconds=90)])
async def test_mint(timed: Database, lasts: Any) -> None:
    token, record = await timed.token_manager.mint(
        identifier="ci", scopes=["b", "a"], workspace_ids=("w",), expires_in=lasts, actor="ada"
    )
    assert identifier_of(token) == "ci"
    assert record == ServiceTokenRecord(
        identifier="ci", secret_hash=record.secret_hash, scopes=frozenset("ab"), workspace_ids=frozenset("w"),
        issued_at=NOON, expires_at=None if lasts is None else NOON + 90 * SECOND,
    )  # fmt: skip
    assert is_argon2(record.secret_hash)
    assert record.secret_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert record.matches(token)
    assert await timed.tokens.find_by_id("ci") == record
    (entry,) = await timed.tokens.get_audit_log("ci")
    assert (entry.action, entry.actor, entry.timestamp) == ("created", "ada", NOON)
    assert await timed.token_manager.all() == (record,)


async def test_a_clock_of_its_own(db: Database) -> None:
    manager = ServiceTokenManager(db, clock=lambda: NOON)
    _, record = await manager.mint()
    assert record.issued_at == NOON


async def test_random_identifiers_do_not_come_from_the_secret(db: Database) -> None:
    """Weakness 16."""
    token, record = await db.token_manager.mint()
    assert len(record.identifier) == 16
    assert record.identifier not in sha256_of(token)
    assert token.count(record.identifier) == 1


@pytest.mark.parametrize(
    "arguments",
    [{"identifier": "a b"}, {"scopes": "admin"}, {"scopes": [""]}, {"workspace_ids": [1]}, {"expires_in": "1h"},
     {"expires_in": 0}, {"expires_in": -5}, {"expires_in": dt.timedelta(0)}],
    ids=str,
)  # fmt: skip
async def test_mint_refuses(db: Database, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        await db.token_manager.mint(**arguments)
    assert await db.token_manager.all() == ()


async def test_identifiers_are_unique(db: Database) -> None:
    """Weakness 17."""
    token, first = await db.token_manager.mint(identifier="ci")
    with pytest.raises(ServiceTokenExistsError, match="'ci' exists already"):
        await db.token_manager.mint(identifier="ci")
    assert (await db.token_manager.authenticate(token)).secret_hash == first.secret_hash


async def test_authenticate(timed: Database, clock: Clock) -> None:
    token, minted = await timed.token_manager.mint(scopes=["a"])
    for times in (1, 2, 3):
        at = clock.tick()
        found = await timed.token_manager.authenticate(token)
        assert found == msgspec.structs.replace(minted, last_used_at=at, use_count=times)


async def test_what_is_no_token(observed: Database, queries: Queries) -> None:
    """Refused without a query, if it can be told."""
    token, _ = await observed.token_manager.mint(identifier="ci")
    garbage = [
        "", " ", "orc_", "orc_ci", token[:-1], token + " ", f" {token}", token.upper(), token.replace("ci", "cd"),
        token.swapcase(), f"Bearer {token}", "x" * 513, "x" * 10_000_000, "orc_" + "é" * 100, "orc_\0", "orc_\ud800",
        None, 7, b"orc_", token.encode(), [token], "garbage", "\0", "\ud800", "é" * 43, LEGACY[1:], f"{LEGACY}A",
        f"{LEGACY}\n", f"{LEGACY[:-1]}=", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.abc", "a'; DROP TABLE service_tokens; --",
    ]  # fmt: skip
    queries.take()
    for each in garbage:
        assert await refusal(observed.token_manager, each) == ("auth.invalid_token", 401)
    assert queries.take() == []


async def test_what_may_be_an_older_token_is_looked_up_once_in_a_while(
    observed: Database, queries: Queries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weakness 14: negatives are cached; briefly, and not without bound."""
    for each in (LEGACY, "orc_" + LEGACY[4:], "_" * 43):
        for _ in range(3):
            assert await refusal(observed.token_manager, each) == ("auth.invalid_token", 401)
        assert queries.take() == ["find_token_by_hash"]
    monkeypatch.setattr(_misses, "MOST_MISSES", 2)
    await refusal(observed.token_manager, "-" * 43)
    assert len(observed.token_manager._misses._until) == 3  # one came, one went
    later = time.monotonic() + _misses.MISS_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: later)
    await observed.tokens.create(
        ServiceTokenRecord(identifier="a", secret_hash=sha256_of("_" * 43))
    )
    assert (await observed.token_manager.authenticate("_" * 43)).identifier == "a"


async def test_nothing_is_remembered_when_the_settings_say_so(
    settings_of: dict[str, Any], queries: Queries
) -> None:
    async with Database(**settings_of, observer=queries, auth_service_token_cache_seconds=0) as db:
        for _ in range(3):
            assert await refusal(db.token_manager, LEGACY) == ("auth.invalid_token", 401)
    assert queries.take() == ["find_token_by_hash"] * 3


async def test_another_secret_and_an_unknown_identifier(
    observed: Database, queries: Queries
) -> None:
    await observed.token_manager.mint(identifier="ci")
    await refusal(observed.token_manager, new_token("ci"))
    # Once: what the stored hashes cost.
    assert queries.take() == ["insert_token", "list_hash_kinds", "get_token"]
    for forged in (new_token("ci"), new_token("nobody")):
        assert await refusal(observed.token_manager, forged) == ("auth.invalid_token", 401)
        assert queries.take() == ["get_token"]
    # The hash itself is no token, and opens nothing.
    record = await observed.tokens.find_by_id("ci")
    assert record is not None
    assert await refusal(observed.token_manager, record.secret_hash) == ("auth.invalid_token", 401)


async def test_revoked_and_expired(timed: Database, clock: Clock) -> None:
    """Revoked is told first, and only to who has the secret; whatever other tokens there are (weakness 14)."""
    token, record = await timed.token_manager.mint(expires_in=60)
    clock.tick(59.999999)
    assert await timed.token_manager.authenticate(token)
    clock.tick(0.000001)
    assert await refusal(timed.token_manager, token) == ("auth.token_expired", 403)
    await timed.token_manager.revoke(record.identifier)
    assert await refusal(timed.token_manager, token) == ("auth.token_revoked", 403)
    forged = new_token(record.identifier)
    assert await refusal(timed.token_manager, forged) == ("auth.invalid_token", 401)
    await timed.tokens.delete(record.identifier)
    assert await refusal(timed.token_manager, token) == ("auth.invalid_token", 401)


async def test_nothing_stale_is_believed(db: Database, other: Database) -> None:
    """What another process did a moment ago counts, whatever this one remembers."""
    token, record = await db.token_manager.mint()
    await db.token_manager.authenticate(token)
    await other.token_manager.revoke(record.identifier)
    assert await refusal(db.token_manager, token) == ("auth.token_revoked", 403)

    token, record = await db.token_manager.mint()
    await db.token_manager.authenticate(token)
    await other.token_manager.rotate(record.identifier, overlap_seconds=0)
    assert await refusal(db.token_manager, token) == ("auth.token_expired", 403)

    token, record = await db.token_manager.mint()
    await db.token_manager.authenticate(token)
    await other.tokens.update(msgspec.structs.replace(record, secret_hash="another"))
    assert await refusal(db.token_manager, token) == ("auth.invalid_token", 401)


async def test_rotation_with_overlap(timed: Database, clock: Clock) -> None:
    old_token, old = await timed.token_manager.mint(scopes=["a"], workspace_ids=["w"])
    clock.tick()
    token, new = await timed.token_manager.rotate(old.identifier, overlap_seconds=60, actor="ada")
    assert (new.scopes, new.workspace_ids, new.issued_at) == (
        old.scopes,
        old.workspace_ids,
        clock.at,
    )
    assert new.expires_at is None
    both = [await timed.token_manager.authenticate(each) for each in (old_token, token)]
    assert [each.identifier for each in both] == [old.identifier, new.identifier]
    end = clock.at + MINUTE
    assert (both[0].rotated_to, both[0].rotation_expires_at, both[0].expires_at) == (
        new.identifier,
        end,
        end,
    )
    clock.tick(60)
    assert await refusal(timed.token_manager, old_token) == ("auth.token_expired", 403)
    assert await timed.token_manager.authenticate(token)
    first, created = await timed.tokens.get_audit_log(old.identifier)
    assert (first.action, first.actor) == ("rotated", "ada")
    assert first.details == {"rotated_to": new.identifier, "overlap_seconds": 60}
    assert created.action == "created"
    (entry,) = await timed.tokens.get_audit_log(new.identifier)
    assert (entry.action, entry.details) == ("created", {"rotated_from": old.identifier})


@pytest.mark.parametrize("overlap", [0, -5, 0.9])
async def test_rotation_without_overlap_ends_the_old_one_at_once(
    timed: Database, overlap: float
) -> None:
    """Weakness 1."""
    old_token, old = await timed.token_manager.mint()
    token, new = await timed.token_manager.rotate(old.identifier, overlap_seconds=overlap)
    assert await refusal(timed.token_manager, old_token) == ("auth.token_expired", 403)
    assert (await timed.token_manager.authenticate(token)).identifier == new.identifier
    ended = await timed.tokens.find_by_id(old.identifier)
    assert ended is not None
    assert (ended.rotated_to, ended.expires_at) == (new.identifier, NOON)


async def test_an_overlap_is_never_longer_than_what_was_left(timed: Database, clock: Clock) -> None:
    for lasts, left in ((3600, 300), (60, 60)):
        _, old = await timed.token_manager.mint(expires_in=lasts)
        await timed.token_manager.rotate(old.identifier)
        rotated = await timed.tokens.find_by_id(old.identifier)
        assert rotated is not None
        assert rotated.expires_at == clock.at + left * SECOND
        assert rotated.rotation_expires_at == clock.at + 300 * SECOND


async def test_the_successor_lasts_as_long_as_the_old_one_was_to_last(
    timed: Database, clock: Clock
) -> None:
    """Weakness 9."""
    _, first = await timed.token_manager.mint(expires_in=60)
    clock.tick(30)
    _, second = await timed.token_manager.rotate(first.identifier)
    assert second.expires_at == clock.at + MINUTE
    _, third = await timed.token_manager.rotate(second.identifier, expires_in=5)
    assert third.expires_at == clock.at + 5 * SECOND


async def test_what_can_not_be_rotated(timed: Database, clock: Clock) -> None:
    """Weakness 8."""
    with pytest.raises(KeyError) as caught:
        await timed.token_manager.rotate("nobody")
    assert isinstance(caught.value, ServiceTokenNotFoundError)
    assert (caught.value.args, str(caught.value)) == (
        ("nobody",),
        "Service token 'nobody' not found",
    )
    _, revoked = await timed.token_manager.mint(identifier="revoked")
    await timed.token_manager.revoke("revoked")
    _, expired = await timed.token_manager.mint(identifier="expired", expires_in=1)
    _, rotated = await timed.token_manager.mint(identifier="rotated")
    _, successor = await timed.token_manager.rotate("rotated")
    clock.tick()
    count = len(await timed.tokens.list_all())
    for each, reason in ((revoked, "revoked"), (expired, "expired"), (rotated, "rotated to")):
        with pytest.raises(ServiceTokenStateError, match=f"has (been )?{reason}"):
            await timed.token_manager.rotate(each.identifier)
        with pytest.raises(ServiceTokenStateError):
            await timed.token_manager.rotate(each.identifier, expires_in=60, overlap_seconds=0)
    assert len(await timed.tokens.list_all()) == count
    assert await actions(timed, "rotated") == ["rotated", "created"]
    assert successor.is_active(now=clock.at)


async def test_revoke_keeps_the_first_time_and_reason(timed: Database, clock: Clock) -> None:
    """Weakness 22."""
    with pytest.raises(KeyError, match="nobody"):
        await timed.token_manager.revoke("nobody")
    _, record = await timed.token_manager.mint()
    first = await timed.token_manager.revoke(record.identifier, reason="leaked", actor="ada")
    assert (first.revoked_at, first.revocation_reason) == (NOON, "leaked")
    clock.tick()
    assert await timed.token_manager.revoke(record.identifier, reason="again") == first
    revoked, _ = await timed.tokens.get_audit_log(record.identifier)
    assert (revoked.action, revoked.actor, revoked.details) == (
        "revoked",
        "ada",
        {"reason": "leaked"},
    )
    assert await timed.token_manager.all() == ()


async def test_tokens_of_the_older_product_authenticate(timed: Database, clock: Clock) -> None:
    await timed.tokens.create(
        ServiceTokenRecord(
            identifier="0a1b2c3d",
            secret_hash=sha256_of(LEGACY),
            issued_at=NOON,
            expires_at=NOON + MINUTE,
        )
    )
    assert (await timed.token_manager.authenticate(LEGACY)).identifier == "0a1b2c3d"
    token, record = await timed.token_manager.rotate("0a1b2c3d", overlap_seconds=10)
    assert is_argon2(record.secret_hash)
    assert record.expires_at == NOON + MINUTE
    assert await timed.token_manager.authenticate(LEGACY)
    assert await timed.token_manager.authenticate(token)
    clock.tick(10)
    assert await refusal(timed.token_manager, LEGACY) == ("auth.token_expired", 403)
    # Its identifier in a token of ours, or its hash instead of it, is of no use.
    for forged in (new_token("0a1b2c3d"), sha256_of(LEGACY)):
        assert await refusal(timed.token_manager, forged) == ("auth.invalid_token", 401)


async def test_a_lifetime_that_nobody_knows_has_to_be_given(timed: Database) -> None:
    await timed.tokens.create(
        ServiceTokenRecord(identifier="a", secret_hash="x", expires_at=NOON + MINUTE)
    )
    with pytest.raises(ValidationError, match="expires_in must be given"):
        await timed.token_manager.rotate("a")
    assert (await timed.token_manager.rotate("a", expires_in=60))[1].expires_at == NOON + MINUTE


async def test_uses_are_written_once_in_an_interval(
    settings_of: dict[str, Any], queries: Queries
) -> None:
    """Weaknesses 5, 11 and 13."""
    async with Database(
        **settings_of, observer=queries, auth_service_token_usage_seconds=0.2
    ) as db:
        token, record = await db.token_manager.mint()
        await db.token_manager.mint()
        await db.token_manager.authenticate(token)
        queries.take()
        for n in range(20):
            await db.token_manager.authenticate(token, ip=f"192.0.2.{n % 2}", user_agent="ci/1")
        assert queries.take() == ["get_token"] * 20
        await asyncio.sleep(0.5)
        assert queries.take() == ["record_uses"]
        stored = await db.tokens.find_by_id(record.identifier)
        assert stored is not None
        assert stored.use_count == 21
        assert stored.last_used_at is not None
        used = [e for e in await db.tokens.get_audit_log(record.identifier) if e.action == "used"]
        assert sorted((e.ip_address or "", (e.details or {}).get("uses")) for e in used) == [
            ("", None), ("192.0.2.0", 10), ("192.0.2.1", 10),
        ]  # fmt: skip
        assert db.workers == set()  # the task has ended


async def test_closing_writes_what_was_counted(
    settings_of: dict[str, Any], other: Database
) -> None:
    async with Database(**settings_of) as db:
        token, record = await db.token_manager.mint()
        async with db.transaction():  # counted, whether a unit of work is undone or not
            for _ in range(5):
                await db.token_manager.authenticate(token)
        own = ServiceTokenManager(db)
        await own.authenticate(token)
    stored = await other.tokens.find_by_id(record.identifier)
    assert stored is not None
    assert stored.use_count == 6
    async with db:  # it can be opened again, and counts on
        assert (await db.token_manager.authenticate(token)).use_count == 7
        await db.token_manager.flush_usage()
        again = await db.tokens.find_by_id(record.identifier)
    assert again is not None
    assert again.use_count == 7


async def test_closing_writes_when_all_tasks_were_cancelled_before(
    settings_of: dict[str, Any], other: Database
) -> None:
    async with Database(**settings_of) as db:
        token, record = await db.token_manager.mint()
        await db.token_manager.authenticate(token)
        await asyncio.sleep(0)
        task = db.token_manager._usage._task
        assert task is not None
        task.cancel()
        await asyncio.sleep(0.01)
        assert task.cancelled()
    stored = await other.tokens.find_by_id(record.identifier)
    assert stored is not None
    assert stored.use_count == 1


async def test_uses_that_could_not_be_written_are_kept(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from orcheo_sql import DatabaseBusyError

    async def fail(uses: Any) -> None:
        raise DatabaseBusyError("somebody else is writing")

    token, record = await db.token_manager.mint()
    with monkeypatch.context() as patched:
        patched.setattr(db.tokens, "record_uses", fail)
        await db.token_manager.authenticate(token)
        with pytest.raises(DatabaseBusyError):
            await db.token_manager.flush_usage()
        assert (await db.token_manager.authenticate(token)).use_count == 2
        for worker in list(db.workers):
            await worker.finish()
        assert "could not be written: somebody else is writing" in caplog.text
    assert (await db.token_manager.authenticate(token)).use_count == 3
    await db.token_manager.flush_usage()
    stored = await db.tokens.find_by_id(record.identifier)
    assert stored is not None
    assert stored.use_count == 3


async def test_many_origins_are_counted_and_not_all_remembered(db: Database) -> None:
    token, record = await db.token_manager.mint()
    for n in range(40):
        await db.token_manager.authenticate(token, ip=f"192.0.2.{n}", user_agent="x" * 10_000)
    await db.token_manager.flush_usage()
    used = [e for e in await db.tokens.get_audit_log(record.identifier) if e.action == "used"]
    assert len(used) == 17
    assert sum((e.details or {}).get("uses", 1) for e in used) == 40


def test_errors_have_codes() -> None:
    """Weakness 7."""
    invalid = AuthenticationError("no")
    assert (invalid.code, invalid.status_code, invalid.websocket_code, invalid.headers) == (
        "auth.invalid_token", 401, 4401, None,
    )  # fmt: skip
    forbidden = AuthorizationError("no")
    assert isinstance(forbidden, AuthenticationError)
    assert (forbidden.code, forbidden.status_code, forbidden.websocket_code) == (
        "auth.forbidden", 403, 4403,
    )  # fmt: skip


def test_settings_have_one_home_for_tokens(tmp_path: Any) -> None:
    """Weaknesses 3 and 4: the default is a file, and tokens alone are reason enough for a DSN."""
    from orcheo_sql import Subsystem

    assert str(load_settings().location(Subsystem.TOKENS)).endswith("/.orcheo/orcheo.sqlite")
    own = load_settings(auth_service_token_db_path=tmp_path / "a.sqlite")
    assert own.location(Subsystem.TOKENS).path == tmp_path / "a.sqlite"
    with pytest.raises(ConfigError, match="ORCHEO_POSTGRES_DSN"):
        load_settings(auth_service_token_backend="postgres")
    with pytest.raises(ConfigError, match="ORCHEO_AUTH_SERVICE_TOKEN_BACKEND"):
        load_settings(auth_service_token_backend="redis")
    for name, low in (("memory_kib", 19_455), ("passes", 1), ("lanes", 0)):
        with pytest.raises(ConfigError, match=f"ORCHEO_AUTH_SERVICE_TOKEN_HASH_{name.upper()}"):
            load_settings(env_file=None, **{f"auth_service_token_hash_{name}": low})
