"""Service tokens as they are stored: the operations that clients call, lists, and writes that come too late."""

from __future__ import annotations

import datetime as dt
import sqlite3
from functools import partial
from typing import Any

import msgspec
import psycopg
import pytest
from rich.pretty import pretty_repr
from tests.cli.databases import run_sql
from tests.repositories.factories import NOON, Clock, Queries, follow

from orcheo_sql import (
    Database,
    InvalidCursorError,
    ServiceTokenExistsError,
    ServiceTokenRecord,
    ServiceTokenStateError,
    ServiceTokenStatus,
    Transaction,
    ValidationError,
)
from orcheo_sql.structs import ListedServiceToken

HOUR = dt.timedelta(hours=1)
FULL = ServiceTokenRecord(
    identifier="full",
    secret_hash="a" * 64,
    scopes=frozenset({"workflows:read", "admin"}),
    workspace_ids=frozenset({"w1"}),
    issued_at=NOON,
    expires_at=NOON + HOUR,
    rotation_expires_at=NOON + HOUR,
    revoked_at=NOON,
    revocation_reason="leaked",
    rotated_to="successor",
    last_used_at=NOON,
    use_count=7,
)


def record(identifier: str, **fields: Any) -> ServiceTokenRecord:
    return ServiceTokenRecord(identifier=identifier, secret_hash=f"hash of {identifier}", **fields)


async def walk(page: Any, *args: Any, **fields: Any) -> list[Any]:
    return [each for items in await follow(partial(page, *args, **fields)) for each in items]


def ids(records: Any) -> list[str]:
    return [each.identifier for each in records]


@pytest.mark.parametrize("given", [FULL, record("bare")], ids=lambda r: str(r.identifier))
async def test_all_fields_come_back(db: Database, given: ServiceTokenRecord) -> None:
    assert await db.tokens.create(given) == given
    assert await db.tokens.find_by_id(given.identifier) == given
    assert await db.tokens.find_by_hash(given.secret_hash) == given
    assert await db.tokens.list_all() == [given]
    assert await db.tokens.get_audit_log(given.identifier) == []


async def test_the_document_form(db: Database) -> None:
    document = msgspec.to_builtins(await db.tokens.create(FULL), order="deterministic")
    assert document == {
        "identifier": "full", "secret_hash": "a" * 64, "scopes": ["admin", "workflows:read"],
        "workspace_ids": ["w1"], "issued_at": "2026-01-02T12:00:00.123456Z",
        "expires_at": "2026-01-02T13:00:00.123456Z", "rotation_expires_at": "2026-01-02T13:00:00.123456Z",
        "revoked_at": "2026-01-02T12:00:00.123456Z", "revocation_reason": "leaked", "rotated_to": "successor",
        "last_used_at": "2026-01-02T12:00:00.123456Z", "use_count": 7,
    }  # fmt: skip


async def test_what_is_not_there(db: Database) -> None:
    assert await db.tokens.find_by_id("nobody") is None
    assert await db.tokens.find_by_hash("nothing") is None
    await db.tokens.delete("nobody")
    unknown = record("nobody")
    assert await db.tokens.update(unknown) is unknown
    assert await db.tokens.list_all() == []
    await db.tokens.close()


async def test_duplicates_are_an_error_of_the_domain(db: Database) -> None:
    """Weaknesses 17 and 18."""
    await db.tokens.create(record("a"))
    other = await db.tokens.create(record("b"))
    by_hash = "The hash of service token '{}' is another token's already"
    for twin, text in (
        (record("a"), "Service token 'a' exists already"),
        (ServiceTokenRecord(identifier="a", secret_hash="x"), "Service token 'a' exists already"),
        (ServiceTokenRecord(identifier="c", secret_hash="hash of a"), by_hash.format("c")),
    ):
        with pytest.raises(ServiceTokenExistsError) as caught:
            await db.tokens.create(twin)
        assert str(caught.value) == text
    with pytest.raises(ServiceTokenExistsError, match=by_hash.format("b")):
        await db.tokens.update(msgspec.structs.replace(other, secret_hash="hash of a"))
    async with db.transaction() as tx:
        with pytest.raises(ServiceTokenExistsError):
            await tx.tokens.create(record("a"))
        await tx.tokens.create(record("d"))
    assert ids(await db.tokens.list_all()) == ["d", "b", "a"]


async def test_active_tokens_at_a_time(timed: Database, clock: Clock) -> None:
    await timed.tokens.create(record("forever"))
    await timed.tokens.create(record("ends", expires_at=NOON + HOUR))
    await timed.tokens.create(record("revoked", revoked_at=NOON))
    assert ids(await timed.tokens.list_active()) == ["forever", "ends"]
    assert ids(await timed.tokens.list_active(now=NOON + HOUR)) == ["forever"]
    late = (NOON + HOUR - dt.timedelta(microseconds=1)).replace(tzinfo=None)
    assert ids(await timed.tokens.list_active(now=late)) == ["forever", "ends"]
    clock.tick(3600)
    assert ids(await timed.tokens.list_active()) == ["forever"]
    assert ids(await timed.tokens.list_all()) == ["revoked", "forever", "ends"]


async def test_expiry_is_compared_as_an_instant(timed: Database) -> None:
    """Weakness 19: whatever offset it was given with."""
    east = dt.timezone(dt.timedelta(hours=14))
    await timed.tokens.create(record("a", expires_at=(NOON + HOUR).astimezone(east)))
    assert ids(await timed.tokens.list_active()) == ["a"]
    assert await timed.tokens.list_active(now=(NOON + HOUR).astimezone(east)) == []


async def test_pages_by_status(timed: Database, clock: Clock) -> None:
    """Weakness 15."""
    for n in range(9):
        clock.tick(n % 3)
        ends = {0: {}, 1: {"expires_at": NOON}, 2: {"revoked_at": NOON}}[n % 3]
        await timed.tokens.create(record(f"t{n}", **ends))
    every = ids(await timed.tokens.list_all())
    for limit in (1, 2, 9, 1000):
        found = await walk(timed.tokens.page_tokens, limit=limit)
        assert ids(found) == every
        for status, kind in (("active", 0), (ServiceTokenStatus.EXPIRED, 1), ("revoked", 2)):
            found = await walk(timed.tokens.page_tokens, status=status, limit=limit)
            assert ids(found) == [each for each in every if int(each[1]) % 3 == kind]
    with pytest.raises(ValidationError, match="status must be one of active, expired, revoked"):
        await timed.tokens.page_tokens(status="asleep")
    with pytest.raises(ValidationError, match="negative"):
        await timed.tokens.page_tokens(limit=-1)
    with pytest.raises(InvalidCursorError):
        await timed.tokens.page_tokens(cursor="x")


async def test_update_rewrites_all_but_uses(timed: Database, clock: Clock) -> None:
    await timed.tokens.create(record("a", last_used_at=NOON, use_count=3))
    changed = msgspec.structs.replace(FULL, identifier="a", revoked_at=None, revocation_reason=None)
    expected = msgspec.structs.replace(changed, last_used_at=NOON, use_count=3)
    assert await timed.tokens.update(changed) == expected
    assert await timed.tokens.find_by_id("a") == expected
    assert await timed.tokens.update(msgspec.structs.replace(expected, revoked_at=NOON))
    assert [r.is_revoked() for r in await timed.tokens.list_all()] == [True]


async def test_a_stale_write_neither_unrevokes_nor_unrotates(db: Database) -> None:
    """Weakness 6."""
    stale = await db.tokens.create(record("a"))
    await db.tokens.revoke("a", reason="leaked")
    revoked = await db.tokens.find_by_id("a")
    for late in (stale, revoked):
        assert late is not None
        with pytest.raises(ServiceTokenStateError, match="'a' has been revoked"):
            await db.tokens.update(late)
    assert await db.tokens.find_by_id("a") == revoked

    stale = await db.tokens.create(record("b"))
    now = db.now()
    how: Any = {"expires_at": None, "overlap_end": now, "now": now}
    await db.tokens.rotate("b", successor="c", secret_hash="next", **how)
    with pytest.raises(ServiceTokenStateError, match="'b' has been rotated to 'c'"):
        await db.tokens.update(stale)
    rotated = await db.tokens.find_by_id("b")
    assert rotated is not None
    assert not rotated.is_active(now=now)
    assert await db.tokens.update(rotated) == rotated


async def test_usage(timed: Database, clock: Clock) -> None:
    await timed.tokens.create(record("a"))
    await timed.tokens.record_usage("a")
    clock.tick()
    await timed.tokens.record_usage("a", ip="192.0.2.1")
    clock.tick()
    await timed.tokens.record_usage("a", ip="192.0.2.1", user_agent="ci\0\ud800" + "x" * 1000)
    used = await timed.tokens.find_by_id("a")
    assert used is not None
    assert (used.use_count, used.last_used_at) == (3, clock.at)
    last, middle, first = await timed.tokens.get_audit_log("a")
    assert {e.action for e in (last, middle, first)} == {"used"}
    assert (first.actor, first.ip_address, first.user_agent, first.details) == (None,) * 4
    assert middle.details == {"ip": "192.0.2.1"}
    assert middle.timestamp == NOON + dt.timedelta(seconds=1)
    assert last.user_agent is not None
    assert last.user_agent.startswith(r"ci\u0000\ud800xxx")
    assert last.details == {"ip": "192.0.2.1", "user_agent": last.user_agent}
    assert len(last.user_agent) < 300


async def test_usage_of_an_unknown_token_is_logged(db: Database) -> None:
    await db.tokens.record_usage("nobody")
    assert [e.action for e in await db.tokens.get_audit_log("nobody")] == ["used"]


async def test_a_clock_behind_does_not_move_the_last_use_back(
    timed: Database, clock: Clock
) -> None:
    await timed.tokens.create(record("a"))
    await timed.tokens.record_usage("a")
    clock.tick(-60)
    await timed.tokens.record_usage("a")
    used = await timed.tokens.find_by_id("a")
    assert used is not None
    assert (used.use_count, used.last_used_at) == (2, NOON)


async def test_the_log_is_typed_and_newest_first(timed: Database, clock: Clock) -> None:
    """Weakness 21."""
    for n in range(5):
        await timed.tokens.record_audit_event(
            "a", f"event {n}", actor="ada", details={"n": float("nan")}
        )
        clock.tick(n % 2)
    await timed.tokens.record_audit_event("b", "other", ip="192.0.2.1", details={})
    log = await timed.tokens.get_audit_log("a")
    assert [e.action for e in log] == [f"event {n}" for n in (4, 3, 2, 1, 0)]
    assert {(e.actor, e.ip_address, e.user_agent) for e in log} == {("ada", None, None)}
    assert log[0].details == {"n": "NaN"}
    assert log[-1].timestamp == NOON
    assert await timed.tokens.get_audit_log("a", limit=2) == log[:2]
    assert await timed.tokens.get_audit_log("a", limit=0) == []
    assert await timed.tokens.get_audit_log("nobody") == []
    for limit in (1, 2, 5, 1000):
        assert await walk(timed.tokens.page_audit_log, "a", limit=limit) == log
        every = await walk(timed.tokens.page_audit_log, limit=limit)
        assert [e.action for e in every][:1] == ["other"]
        assert every[1:] == log
    assert (every[0].ip_address, every[0].details) == ("192.0.2.1", None)
    assert isinstance(every[0].id, int)
    with pytest.raises(ValidationError, match="negative"):
        await timed.tokens.get_audit_log("a", limit=-1)
    with pytest.raises(ValidationError, match="action"):
        await timed.tokens.record_audit_event("a", " ")


async def test_the_log_outlives_its_token_and_is_pruned_in_batches(
    timed: Database, clock: Clock
) -> None:
    """Weakness 11: there is retention."""
    await timed.tokens.create(record("a"))
    for _ in range(10):
        await timed.tokens.record_usage("a")
        clock.tick()
    await timed.tokens.delete("a")
    before = NOON + dt.timedelta(seconds=7)
    assert [await timed.tokens.prune_audit_log(before, limit=3) for _ in range(4)] == [3, 3, 1, 0]
    log = await timed.tokens.get_audit_log("a")
    assert [(e.timestamp - NOON).seconds for e in log] == [9, 8, 7]


async def test_everything_is_one_query(observed: Database, queries: Queries) -> None:
    await observed.tokens.create(record("a"))
    await observed.tokens.record_usage("a")
    await observed.tokens.revoke("a")
    await observed.tokens.page_tokens()
    assert queries.take() == ["insert_token", "record_uses", "revoke_token", "list_tokens"]
    # Weakness 10: successor, predecessor and log in one statement, after a look at what is inherited.
    await observed.token_manager.mint(identifier="b")
    await observed.token_manager.rotate("b")
    assert queries.take() == ["insert_token", "get_token", "rotate_token"]


async def test_rows_that_others_inserted_can_be_read(
    db: Database, settings_of: dict[str, Any]
) -> None:
    run_sql(
        settings_of,
        "INSERT INTO service_tokens (identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at) "
        """VALUES ('by-hand', 'h', '["a","b"]', '["w"]', '2026-01-01T00:00:00+00:00', '2026-01-01T00:00:00+00:00', NULL)""",
    )
    found = await db.tokens.find_by_id("by-hand")
    first = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert found == ServiceTokenRecord(
        identifier="by-hand", secret_hash="h", scopes=frozenset("ab"), workspace_ids=frozenset("w"), issued_at=first
    )  # fmt: skip
    assert await db.tokens.list_active() == [found]


@pytest.mark.parametrize("value", ["", "{", "{}", "7", '"a"', "null"])
@pytest.mark.parametrize("column", ["scopes", "workspace_ids"])
async def test_no_row_breaks_the_lists(
    db: Database, settings_of: dict[str, Any], column: str, value: str
) -> None:
    await db.tokens.create(record("a"))
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.IntegrityError, psycopg.DataError)):
        run_sql(settings_of, f"UPDATE service_tokens SET {column} = '{value}'")
    assert ids(await db.tokens.list_active()) == ["a"]


@pytest.mark.parametrize("given", [None, 7, "a", {}, {"identifier": "a"}, frozenset()], ids=repr)
async def test_what_is_no_record(db: Database, given: Any) -> None:
    for write in (db.tokens.create, db.tokens.update):
        with pytest.raises(ValidationError, match="record must be a ServiceTokenRecord, not "):
            await write(given)


def test_rich_does_not_show_the_hash() -> None:
    listed = ListedServiceToken(**msgspec.structs.asdict(FULL), created_at=NOON)
    for each in (FULL, listed):
        shown = pretty_repr(each) + pretty_repr({"record": [each]}, max_width=20)
        assert "full" in shown
        assert FULL.secret_hash not in shown
        assert "secret_hash" not in shown + repr(each)


@pytest.mark.parametrize(
    "fields",
    [
        {"identifier": ""}, {"identifier": "x" * 257}, {"identifier": "a\0"}, {"identifier": 7},
        {"secret_hash": ""}, {"secret_hash": "x" * 513}, {"secret_hash": None},
        {"scopes": frozenset({"a\0"})}, {"scopes": "admin"}, {"scopes": frozenset({" "})}, {"workspace_ids": [7]},
        {"expires_at": "tomorrow"}, {"use_count": -1}, {"use_count": True}, {"revocation_reason": 7},
        {"rotated_to": "\ud800"},
    ],
    ids=str,
)  # fmt: skip
async def test_records_that_are_refused(db: Database, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        await db.tokens.create(msgspec.structs.replace(record("a"), **fields))
    assert "hash of" not in str(caught.value)


async def test_a_reason_may_be_anything_that_was_said(db: Database) -> None:
    await db.tokens.create(record("a"))
    revoked = await db.tokens.revoke("a", reason="leaked\0\ud800", actor="ada")
    assert revoked.revocation_reason == r"leaked\u0000\ud800"
    (entry,) = await db.tokens.get_audit_log("a")
    assert (entry.actor, entry.details) == ("ada", {"reason": r"leaked\u0000\ud800"})
    assert await db.tokens.revoke("a", reason="again") == revoked


async def test_tokens_take_part_in_units_of_work(db: Database) -> None:
    async def fail(tx: Transaction) -> None:
        await tx.tokens.create(record("a"))
        await tx.tokens.record_usage("a")
        await tx.tokens.create(record("a"))

    with pytest.raises(ServiceTokenExistsError):
        await db.retry(fail)
    assert await db.tokens.list_all() == []
    assert await db.tokens.get_audit_log("a") == []
