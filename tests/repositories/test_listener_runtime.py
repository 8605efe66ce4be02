"""Listeners as runtimes see them: leases that fence, cursors, and events that become runs once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from tests.repositories.factories import (
    MISSING,
    Clock,
    Queries,
    direct,
    new_version,
    rows,
)
from tests.repositories.listeners import (
    ACTIVE,
    BLOCKED,
    DISABLED,
    ERROR,
    PAUSED,
    TELEGRAM,
    actions,
    count,
    dispatch,
    event,
    graph,
    listen,
    set_status,
)

from orcheo_sql import (
    Database,
    ListenerCursor,
    ListenerLease,
    ListenerLeaseLostError,
    ListenerNotCurrentError,
    ListenerSubscription,
    StoreError,
    ValidationError,
    WorkflowNotFoundError,
)


async def claim(
    db: Database, subscription: ListenerSubscription, runtime: str = "a", seconds: float = 60
) -> ListenerLease | None:
    return await db.workflows.claim_listener_lease(
        subscription.id, runtime_id=runtime, lease_seconds=seconds
    )


async def held(
    db: Database, subscription: ListenerSubscription, runtime: str = "a", seconds: float = 60
) -> ListenerLease:
    lease = await claim(db, subscription, runtime, seconds)
    assert lease is not None
    return lease


# --- Leases --------------------------------------------------------------------------------------


async def test_a_lease(timed: Database, clock: Clock) -> None:
    bot = await listen(timed)
    clock.tick()
    lease = await held(timed, bot, "a", 60)
    assert (lease.runtime_id, lease.expires_at) == ("a", clock.at + timedelta(seconds=60))
    claimed = lease.subscription
    assert (claimed.assigned_runtime, claimed.lease_expires_at) == ("a", lease.expires_at)
    assert claimed.updated_at == clock.at
    assert actions(claimed) == ["synced", "claimed"]
    assert (claimed.audit_log[-1].actor, claimed.audit_log[-1].metadata) == ("a", {})
    assert await timed.workflows.get_listener_subscription(bot.id) == claimed
    assert msgspec.convert(msgspec.to_builtins(lease), ListenerLease) == lease


async def test_one_runtime_at_a_time(timed: Database, clock: Clock) -> None:
    bot = await listen(timed)
    lease = await held(timed, bot, "a", 60)
    assert await claim(timed, bot, "b") is None
    clock.tick(59.999)
    assert await claim(timed, bot, "b") is None
    clock.tick(0.001)
    taken = await held(timed, bot, "b")
    assert taken.epoch == lease.epoch + 1
    assert await claim(timed, bot, "a") is None
    assert actions(taken.subscription) == ["synced", "claimed", "claimed"]


async def test_claiming_again_renews(timed: Database, clock: Clock) -> None:
    bot = await listen(timed)
    lease = await held(timed, bot)
    clock.tick(10)
    again = await held(timed, bot)
    assert (again.epoch, again.expires_at) == (lease.epoch, clock.at + timedelta(seconds=60))
    assert again.subscription.audit_log == lease.subscription.audit_log
    assert again.subscription.updated_at == lease.subscription.updated_at
    clock.tick(60)
    late = await held(timed, bot)
    assert late.epoch == lease.epoch + 1, "it had expired: somebody else might have had it"
    assert actions(late.subscription) == ["synced", "claimed"], "the runtime is the same"


async def test_the_older_call_claims_too(timed: Database, clock: Clock) -> None:
    bot = await listen(timed)
    claimed = await timed.workflows.claim_listener_subscription(
        bot.id, runtime_id="a", lease_seconds=60
    )
    assert claimed is not None
    assert (claimed.assigned_runtime, claimed.lease_expires_at) == (
        "a", clock.at + timedelta(seconds=60)
    )  # fmt: skip
    assert type(claimed) is ListenerSubscription
    assert await timed.workflows.claim_listener_subscription(
        bot.id, runtime_id="b", lease_seconds=60
    ) is None  # fmt: skip
    assert await timed.workflows.claim_listener_subscription(
        MISSING, runtime_id="b", lease_seconds=60
    ) is None  # fmt: skip


async def test_an_owner_without_expiry_is_not_protected(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    await held(db, bot)
    async with direct(settings_of) as connection:
        await connection.execute("UPDATE listener_subscriptions SET lease_expires_at = NULL")
        await connection.commit()
    assert (await held(db, bot, "b")).runtime_id == "b"


@pytest.mark.parametrize("status", [PAUSED, BLOCKED, ERROR, DISABLED])
async def test_only_active_ones_are_claimed(db: Database, status: Any) -> None:
    bot = await listen(db)
    lease = await held(db, bot)
    await set_status(db, bot, status)
    assert await claim(db, bot) is None
    with pytest.raises(ListenerLeaseLostError):
        await db.workflows.renew_listener_lease(lease, lease_seconds=60)
    await set_status(db, bot, ACTIVE)
    assert (await held(db, bot)).epoch == lease.epoch + 1


async def test_release(timed: Database, clock: Clock) -> None:
    bot = await listen(timed)
    release = timed.workflows.release_listener_subscription
    assert await release(bot.id, runtime_id="a") is None, "it is nobody's"
    lease = await held(timed, bot)
    assert await release(bot.id, runtime_id="b") is None
    assert await release(MISSING, runtime_id="a") is None
    clock.tick(100)
    freed = await release(bot.id, runtime_id="a")
    assert freed is not None
    assert (freed.assigned_runtime, freed.lease_expires_at) == (None, None)
    assert (freed.updated_at, freed.audit_log[-1].actor) == (clock.at, "a")
    assert actions(freed) == ["synced", "claimed", "released"]
    assert await release(bot.id, runtime_id="a") is None
    assert (await held(timed, bot, "b")).epoch == lease.epoch + 1


async def test_w19_a_late_release_leaves_the_next_runtime_alone(
    timed: Database, clock: Clock
) -> None:
    bot = await listen(timed)
    await held(timed, bot, "a", 1)
    clock.tick()
    taken = await held(timed, bot, "c")
    assert await timed.workflows.release_listener_subscription(bot.id, runtime_id="a") is None
    assert await timed.workflows.get_listener_subscription(bot.id) == taken.subscription


async def test_renewal(timed: Database, clock: Clock, queries: Queries) -> None:
    bot = await listen(timed)
    lease = await held(timed, bot)
    clock.tick(59)
    renewed = await timed.workflows.renew_listener_lease(lease, lease_seconds=5)
    assert (renewed.epoch, renewed.runtime_id) == (lease.epoch, "a")
    assert renewed.expires_at == clock.at + timedelta(seconds=5)
    assert renewed.subscription == msgspec.structs.replace(
        lease.subscription, lease_expires_at=renewed.expires_at
    )
    clock.tick(5)
    with pytest.raises(ListenerLeaseLostError, match=f"'a' does not hold .* {bot.id}"):
        await timed.workflows.renew_listener_lease(renewed, lease_seconds=5)
    assert (await held(timed, bot, "b")).epoch == lease.epoch + 1


@pytest.mark.parametrize("seconds", [-1, True, "60", None, float("nan"), float("inf"), 10**9])
async def test_a_lease_lasts_some_seconds(db: Database, seconds: Any) -> None:
    bot = await listen(db)
    with pytest.raises(ValidationError, match="lease_seconds must be a number"):
        await claim(db, bot, "a", seconds)
    lease = await held(db, bot, "a", 0.5)
    with pytest.raises(ValidationError, match="lease_seconds must be a number"):
        await db.workflows.renew_listener_lease(lease, lease_seconds=seconds)


@pytest.mark.parametrize("runtime", ["", None, 1, "a\0b"])
async def test_a_runtime_has_a_name(db: Database, runtime: Any) -> None:
    bot = await listen(db)
    with pytest.raises(ValidationError, match="runtime_id"):
        await claim(db, bot, runtime)
    with pytest.raises(ValidationError, match="runtime_id"):
        await db.workflows.release_listener_subscription(bot.id, runtime_id=runtime)


# --- Fencing -------------------------------------------------------------------------------------


async def _sleep(db: Database, clock: Clock, bot: ListenerSubscription) -> None:
    clock.tick(60)


async def _taken(db: Database, clock: Clock, bot: ListenerSubscription) -> None:
    clock.tick(60)
    await held(db, bot, "b")


async def _taken_and_back(db: Database, clock: Clock, bot: ListenerSubscription) -> None:
    await _taken(db, clock, bot)
    clock.tick(60)
    await held(db, bot, "a")


async def _released(db: Database, clock: Clock, bot: ListenerSubscription) -> None:
    await db.workflows.release_listener_subscription(bot.id, runtime_id="a")
    await held(db, bot, "a")


async def _paused(db: Database, clock: Clock, bot: ListenerSubscription) -> None:
    await set_status(db, bot, PAUSED)
    await set_status(db, bot, ACTIVE)


async def _next_version(db: Database, clock: Clock, bot: ListenerSubscription) -> None:
    await listen(db, workflow_id=bot.workflow_id)


async def _archived(db: Database, clock: Clock, bot: ListenerSubscription) -> None:
    await db.workflows.archive_workflow(bot.workflow_id, actor="eve")


@pytest.mark.parametrize(
    "lose", [_sleep, _taken, _taken_and_back, _released, _paused, _next_version, _archived]
)
async def test_w34_a_lost_lease_can_do_nothing(
    timed: Database, clock: Clock, settings_of: dict[str, Any], lose: Any
) -> None:
    bot = await listen(timed)
    lease = await held(timed, bot)
    cursor = ListenerCursor(subscription_id=bot.id, telegram_offset=1)
    await timed.workflows.save_listener_cursor(cursor, lease=lease)
    assert await dispatch(timed, bot, "one", lease=lease) is not None
    await lose(timed, clock, bot)
    before = await timed.workflows.get_listener_subscription(bot.id)
    with pytest.raises(ListenerLeaseLostError):
        await timed.workflows.renew_listener_lease(lease, lease_seconds=60)
    with pytest.raises(ListenerLeaseLostError):
        await timed.workflows.save_listener_cursor(
            msgspec.structs.replace(cursor, telegram_offset=0), lease=lease
        )
    for key in ("one", "two"):
        with pytest.raises(ListenerLeaseLostError):
            await dispatch(timed, bot, key, lease=lease)
    assert await timed.workflows.get_listener_subscription(bot.id) == before
    stored = await timed.workflows.get_listener_cursor(bot.id)
    assert stored is not None
    assert stored.telegram_offset == 1
    assert await count(settings_of, "workflow_runs") == 1
    assert await count(settings_of, "listener_dedupe") == 1


async def test_a_lease_is_for_its_subscription(db: Database) -> None:
    bot, other = await listen(db), await listen(db)
    lease = await held(db, bot)
    with pytest.raises(ValidationError, match=f"{bot.id}, not of {other.id}"):
        await dispatch(db, other, lease=lease)
    with pytest.raises(ValidationError, match=f"{bot.id}, not of {other.id}"):
        await db.workflows.save_listener_cursor(
            ListenerCursor(subscription_id=other.id), lease=lease
        )


def _changed(**fields: Any) -> Any:
    return lambda lease: msgspec.structs.replace(lease, **fields)


def _of(**fields: Any) -> Any:
    return lambda lease: msgspec.structs.replace(
        lease, subscription=msgspec.structs.replace(lease.subscription, **fields)
    )


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_changed(runtime_id=None), "lease.runtime_id must be text"),
        (_changed(runtime_id=""), "lease.runtime_id must not be empty"),
        (_changed(runtime_id=5), "lease.runtime_id must be text"),
        (_changed(runtime_id="a\0"), "lease.runtime_id must not contain NUL"),
        (_changed(runtime_id="\ud800"), "lease.runtime_id must not contain lone surrogates"),
        (_changed(epoch=None), "lease.epoch must be a whole number"),
        (_changed(epoch="1"), "lease.epoch must be a whole number"),
        (_changed(epoch=True), "lease.epoch must be a whole number"),
        (_changed(epoch=2**63), "lease.epoch must be a whole number"),
        (_changed(epoch=-1), "lease.epoch must be a whole number"),
        (_changed(subscription=None), "lease.subscription must be a ListenerSubscription"),
        (_of(id=None), "lease.subscription.id must be"),
        (_of(id="bot"), "lease.subscription.id must be a UUID"),
        (_of(config=None), "lease.subscription.config must be a mapping"),
        (msgspec.structs.asdict, "lease must be a ListenerLease, not dict"),
        (lambda lease: lease.runtime_id, "lease must be a ListenerLease, not str"),
        (lambda lease: False, "lease must be a ListenerLease, not bool"),
    ],
)
async def test_half_a_lease_is_none_and_is_not_taken_for_no_lease(
    db: Database, settings_of: dict[str, Any], make: Any, text: str
) -> None:
    bot = await listen(db)
    given = make(await held(db, bot))
    with pytest.raises(ValidationError, match=text):
        await dispatch(db, bot, lease=given)
    with pytest.raises(ValidationError, match=text):
        await db.workflows.save_listener_cursor(ListenerCursor(subscription_id=bot.id), lease=given)
    with pytest.raises(ValidationError, match=text):
        await db.workflows.renew_listener_lease(given, lease_seconds=60)
    assert await count(settings_of, "workflow_runs") == 0
    assert await db.workflows.get_listener_cursor(bot.id) is None


async def test_renewing_nothing(db: Database) -> None:
    with pytest.raises(ValidationError, match="lease must be a ListenerLease, not NoneType"):
        await db.workflows.renew_listener_lease(None, lease_seconds=60)  # type: ignore[arg-type]


async def test_a_lease_may_have_been_sent(db: Database) -> None:
    """As a document, whose ids are text until they are read by their type."""
    bot = await listen(db)
    lease = await held(db, bot)
    sent = msgspec.structs.replace(
        lease, subscription=msgspec.structs.replace(lease.subscription, id=str(bot.id))
    )
    assert await dispatch(db, bot, lease=sent) is not None
    assert (await db.workflows.renew_listener_lease(sent, lease_seconds=9)).epoch == lease.epoch


async def test_a_lease_of_nothing(db: Database) -> None:
    lease = await held(db, await listen(db))
    await db.workflows.reset()
    with pytest.raises(ListenerLeaseLostError):
        await db.workflows.renew_listener_lease(lease, lease_seconds=1)
    with pytest.raises(WorkflowNotFoundError, match=str(lease.subscription.id)):
        await dispatch(db, lease.subscription, lease=lease)


async def test_without_a_lease_it_is_not_asked_for(db: Database) -> None:
    bot = await listen(db)
    await held(db, bot, "somebody")
    assert await dispatch(db, bot) is not None
    await db.workflows.save_listener_cursor(ListenerCursor(subscription_id=bot.id))
    assert (await db.workflows.get_listener_subscription(bot.id)).assigned_runtime == "somebody"


# --- Cursors -------------------------------------------------------------------------------------


async def test_cursor(timed: Database, clock: Clock) -> None:
    bot = await listen(timed)
    assert await timed.workflows.get_listener_cursor(bot.id) is None
    assert await timed.workflows.get_listener_cursor(MISSING) is None
    cursor = ListenerCursor(
        subscription_id=bot.id, telegram_offset=-5, discord_session_id="s", discord_sequence=2**62,
        qq_resume_gateway_url="wss://x", metadata={"n": [1, {"a": None}]},
    )  # fmt: skip
    clock.tick()
    saved = await timed.workflows.save_listener_cursor(cursor)
    assert saved == msgspec.structs.replace(cursor, updated_at=clock.at)
    assert await timed.workflows.get_listener_cursor(bot.id) == saved
    clock.tick()
    document = {"subscription_id": str(bot.id), "telegram_offset": 1, "updated_at": "whatever"}
    saved = await timed.workflows.save_listener_cursor(document)  # type: ignore[arg-type]
    assert saved == ListenerCursor(
        subscription_id=bot.id, telegram_offset=1, updated_at=clock.at
    ), "all of it is replaced"
    model = SimpleNamespace(model_dump=lambda **_: {**document, "telegram_offset": 2})
    assert (await timed.workflows.save_listener_cursor(model)).telegram_offset == 2  # type: ignore[arg-type]
    touched = await timed.workflows.get_listener_subscription(bot.id)
    assert touched == bot, "no record, and no new time"


async def test_cursors_of_what_is_not_served_are_refused(db: Database) -> None:
    with pytest.raises(WorkflowNotFoundError, match=str(MISSING)):
        await db.workflows.save_listener_cursor(ListenerCursor(subscription_id=MISSING))
    old = await listen(db)
    new = await listen(db, workflow_id=old.workflow_id)
    with pytest.raises(ListenerNotCurrentError, match=f"{old.id}: it is not the current"):
        await db.workflows.save_listener_cursor(ListenerCursor(subscription_id=old.id))
    await set_status(db, new, PAUSED)
    saved = await db.workflows.save_listener_cursor(
        ListenerCursor(subscription_id=new.id, qq_sequence=1)
    )
    read = await db.workflows.get_listener_cursor(old.id)
    assert read == msgspec.structs.replace(saved, subscription_id=old.id)


@pytest.mark.parametrize(
    "wrong", [{}, {"subscription_id": "x"}, {"telegram_offset": 2**63}, {"surprise": 1}, 5]
)
async def test_a_cursor_is_checked(db: Database, wrong: Any) -> None:
    bot = await listen(db)
    given: Any = (
        {"subscription_id": bot.id, **wrong} if isinstance(wrong, dict) and wrong else wrong
    )
    with pytest.raises(ValidationError, match="cursor"):
        await db.workflows.save_listener_cursor(given)


async def test_a_cursor_of_a_newer_release_is_readable(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    stored = f'{{"subscription_id": "{bot.id}", "telegram_offset": 4, "surprise": 1}}'
    async with direct(settings_of) as connection:
        await connection.execute(f"UPDATE listeners SET cursor = '{stored}'")
        await connection.commit()
    cursor = await db.workflows.get_listener_cursor(bot.id)
    assert cursor is not None
    assert cursor.telegram_offset == 4


# --- Events --------------------------------------------------------------------------------------


async def test_an_event_becomes_a_run(
    timed: Database, clock: Clock, settings_of: dict[str, Any]
) -> None:
    bot = await listen(timed)
    await timed.workflows.update_version_runnable_config(
        bot.workflow_id, version_number=1, runnable_config={"tags": ["prod"]}, actor="ada"
    )
    clock.tick()
    given = event(listener_subscription_id=MISSING)
    run = await timed.workflows.dispatch_listener_event(bot.id, given)
    assert run is not None
    assert (run.workflow_version_id, run.status, run.triggered_by) == (
        bot.workflow_version_id, "pending", "listener",
    )  # fmt: skip
    told = msgspec.structs.replace(given, listener_subscription_id=bot.id)
    assert run.input_payload == told.to_input_payload()
    assert run.input_payload["listener"]["listener_subscription_id"] == str(bot.id)
    assert run.tags == ["prod"]
    [record] = run.audit_log
    assert (record.actor, record.action, record.at) == ("listener", "run_created", clock.at)
    assert await timed.workflows.get_run(run.id) == run
    touched = await timed.workflows.get_listener_subscription(bot.id)
    assert touched == msgspec.structs.replace(bot, last_event_at=clock.at)
    handed = await rows(settings_of, "SELECT run_id, attempts, claim_id FROM run_outbox")
    assert [(UUID(str(row[0])), *row[1:]) for row in handed] == [(run.id, 0, None)]
    for words in ("hello", "listener", "prod"):
        found = await timed.workflows.search_runs(words)
        assert [each.id for each in found.items] == [run.id], words


async def test_a_duplicate_changes_nothing(
    timed: Database, clock: Clock, settings_of: dict[str, Any]
) -> None:
    bot = await listen(timed)
    assert await dispatch(timed, bot) is not None
    before = await timed.workflows.get_listener_subscription(bot.id)
    clock.tick(299)
    assert await dispatch(timed, bot) is None
    lease = await held(timed, bot)
    assert await dispatch(timed, bot, lease=lease) is None
    after = await timed.workflows.get_listener_subscription(bot.id)
    assert after.last_event_at == before.last_event_at
    for table in ("workflow_runs", "workflow_run_inputs", "run_outbox", "listener_dedupe"):
        assert await count(settings_of, table) == 1
    assert await dispatch(timed, bot, "telegram:2") is not None
    clock.tick(1)
    assert await dispatch(timed, bot) is not None, "five minutes are over"
    clock.tick(299)
    assert await dispatch(timed, bot) is None, "and begin anew"


@pytest.mark.parametrize(
    ("window", "seconds"), [(60, 60), ("7", 7), (0, 0), (-1, 0), ("soon", 300), (None, 300)]
)
async def test_the_window_is_the_config_s(
    timed: Database, clock: Clock, window: Any, seconds: int
) -> None:
    bot = await listen(timed, TELEGRAM | {"dedupe_window_seconds": window})
    lease = await held(timed, bot, "a", 3600)
    assert await dispatch(timed, bot, "one") is not None
    assert await dispatch(timed, bot, "two", lease=lease) is not None
    if seconds:
        clock.tick(seconds - 0.001)
        assert await dispatch(timed, bot, "one") is None
        assert await dispatch(timed, bot, "two", lease=lease) is None
        clock.tick(0.001)
    assert await dispatch(timed, bot, "one") is not None
    assert await dispatch(timed, bot, "two", lease=lease) is not None


async def test_keys_are_the_listener_s(db: Database) -> None:
    bot, other = await listen(db), await listen(db)
    assert await dispatch(db, bot) is not None
    assert await dispatch(db, other) is not None
    long = "k" * 5000
    assert await dispatch(db, bot, long + "1") is not None
    assert await dispatch(db, bot, long + "2") is not None
    assert await dispatch(db, bot, long + "1") is None
    assert await dispatch(db, bot, "a\0b\ud800") is not None
    assert await dispatch(db, bot, "a\0b\ud800") is None


@pytest.mark.parametrize("status", [PAUSED, BLOCKED, ERROR, DISABLED])
async def test_only_active_ones_dispatch(
    db: Database, settings_of: dict[str, Any], status: Any
) -> None:
    bot = await listen(db)
    before = await set_status(db, bot, status, last_error="why")
    assert await dispatch(db, bot) is None
    assert await db.workflows.get_listener_subscription(bot.id) == before
    assert await count(settings_of, "listener_dedupe") == 0
    await set_status(db, bot, ACTIVE)
    assert await dispatch(db, bot) is not None, "the event was not remembered"


async def test_an_event_clears_the_error(db: Database, settings_of: dict[str, Any]) -> None:
    bot = await listen(db)
    async with direct(settings_of) as connection:
        await connection.execute("UPDATE listener_subscriptions SET last_error = 'backoff'")
        await connection.commit()
    await dispatch(db, bot)
    assert (await db.workflows.get_listener_subscription(bot.id)).last_error is None


async def test_the_version_is_the_subscription_s(db: Database) -> None:
    """Between a new version and the moment when the runtime notices, the old subscription does nothing."""
    old = await listen(db)
    new = await listen(db, workflow_id=old.workflow_id)
    assert await dispatch(db, old) is None
    run = await dispatch(db, new)
    assert run is not None
    assert run.workflow_version_id == new.workflow_version_id


async def test_events_are_records(db: Database) -> None:
    """What a platform sends is never refused for its characters."""
    bot = await listen(db)
    hostile = {"text": "a\0b", "n": 2**70, "x": float("nan"), "s": {2, 1}, "u": "\ud800"}
    run = await dispatch(db, bot, raw_event=hostile)
    assert run is not None
    assert run.input_payload["raw_event"] == {
        "text": "a\\u0000b", "n": str(2**70), "x": "NaN", "s": [1, 2], "u": "\\ud800",
    }  # fmt: skip
    assert run.input_payload["listener"]["raw_event"] == run.input_payload["raw_event"]


async def test_an_event_is_checked_and_may_be_a_mapping(db: Database) -> None:
    bot = await listen(db)
    document = msgspec.to_builtins(event())
    model = SimpleNamespace(model_dump=lambda **_: document)
    assert await db.workflows.dispatch_listener_event(bot.id, model) is not None  # type: ignore[arg-type]
    assert await db.workflows.dispatch_listener_event(bot.id, document) is None
    for wrong in ({**document, "surprise": 1}, {"platform": "qq"}, 5):
        with pytest.raises(ValidationError, match="payload"):
            await db.workflows.dispatch_listener_event(bot.id, wrong)  # type: ignore[arg-type]
    with pytest.raises(WorkflowNotFoundError, match=str(MISSING)):
        await dispatch(db, MISSING)


async def test_credentials_are_not_asked_for_events(settings_of: dict[str, Any]) -> None:
    class Never:
        async def ensure_workflow_health(self, workflow_id: UUID, *, actor: str | None) -> None:
            raise AssertionError("asked")

    async with Database(**settings_of, credentials=Never()) as db:  # type: ignore[arg-type]
        assert await dispatch(db, await listen(db)) is not None


async def test_an_event_can_be_part_of_a_unit(db: Database, settings_of: dict[str, Any]) -> None:
    bot = await listen(db)
    lease = await held(db, bot)

    async def undone() -> None:
        async with db.transaction() as tx:
            assert await dispatch(tx, bot, lease=lease) is not None
            await tx.workflows.save_listener_cursor(
                ListenerCursor(subscription_id=bot.id, telegram_offset=2), lease=lease
            )
            assert await dispatch(tx, bot, lease=lease) is None
            raise KeyError

    with pytest.raises(KeyError):
        await undone()
    assert await db.workflows.get_listener_cursor(bot.id) is None
    assert await count(settings_of, "run_outbox") == 0
    assert await dispatch(db, bot, lease=lease) is not None


async def test_expired_keys_can_be_pruned(
    timed: Database, clock: Clock, settings_of: dict[str, Any]
) -> None:
    bot = await listen(timed)
    for number in range(5):
        await dispatch(timed, bot, f"{number}")
        clock.tick()
    assert await timed.workflows.prune_listener_dedupe() == 0
    clock.tick(298)
    assert await timed.workflows.prune_listener_dedupe(limit=2) == 2
    assert await timed.workflows.prune_listener_dedupe() == 2
    assert await timed.workflows.prune_listener_dedupe(now=clock.at + timedelta(seconds=1)) == 1
    assert await count(settings_of, "listener_dedupe") == 0
    for wrong in ({"limit": -1}, {"now": "today"}):
        given: Any = wrong
        with pytest.raises(ValidationError):
            await timed.workflows.prune_listener_dedupe(**given)


# --- Weaknesses of the original ------------------------------------------------------------------


async def test_w09_a_pause_is_not_undone_by_events(db: Database, other: Database) -> None:
    bot = await listen(db)

    async def events() -> None:
        for number in range(20):
            await dispatch(other, bot, f"{number}")

    async def pause() -> None:
        await asyncio.sleep(0.01)
        await set_status(db, bot, PAUSED)

    await asyncio.gather(events(), pause())
    paused = await other.workflows.get_listener_subscription(bot.id)
    assert (paused.status, actions(paused)) == (PAUSED, ["synced", "status_paused"])
    assert await dispatch(db, bot, "late") is None


async def test_w18_two_runtimes_never_both_win(db: Database, other: Database) -> None:
    bot = await listen(db)
    for number in range(5):
        claims = await asyncio.gather(
            *(claim(store, bot, f"{number}/{n}") for n in range(3) for store in (db, other))
        )
        # Both stores name runtimes alike: those of one name share the lease.
        assert len({lease.runtime_id for lease in claims if lease is not None}) == 1
        winner = next(lease for lease in claims if lease is not None)
        await db.workflows.release_listener_subscription(bot.id, runtime_id=winner.runtime_id)


async def test_w20_concurrent_duplicates_are_none_but_one(
    db: Database, other: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    for number in range(5):
        results = await asyncio.gather(
            *(dispatch(store, bot, f"{number}") for _ in range(4) for store in (db, other))
        )
        assert sum(run is not None for run in results) == 1
    assert await count(settings_of, "workflow_runs") == 5


async def test_w21_an_event_whose_run_fails_can_be_delivered_again(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    before = await db.workflows.get_listener_subscription(bot.id)
    async with direct(settings_of) as connection:
        await connection.execute("ALTER TABLE run_outbox RENAME TO gone")
        await connection.commit()
    try:
        with pytest.raises(StoreError):
            await dispatch(db, bot)
    finally:
        async with direct(settings_of) as connection:
            await connection.execute("ALTER TABLE gone RENAME TO run_outbox")
            await connection.commit()
    for table in ("listener_dedupe", "workflow_runs", "workflow_run_inputs"):
        assert await count(settings_of, table) == 0
    assert await db.workflows.get_listener_subscription(bot.id) == before
    assert await dispatch(db, bot) is not None


async def test_w47_w49_a_renewal_writes_next_to_nothing(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    lease = await held(db, bot)
    for _ in range(50):
        lease = await db.workflows.renew_listener_lease(lease, lease_seconds=60)
        await db.workflows.claim_listener_subscription(bot.id, runtime_id="a", lease_seconds=60)
    assert actions(lease.subscription) == ["synced", "claimed"]
    assert await count(settings_of, "audit_records") == 0


async def test_w43_reading_waits_for_nobody(db: Database, other: Database) -> None:
    bot = await listen(db)
    async with db.transaction() as tx:
        await dispatch(tx, bot)
        async with asyncio.timeout(5):
            read = await other.workflows.get_listener_subscription(bot.id)
            assert read.last_event_at is None
            assert await other.workflows.get_listener_cursor(bot.id) is None
            assert len(await other.workflows.list_listener_subscriptions()) == 1


async def test_a_retry_policy_is_kept_with_the_run(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    async with direct(settings_of) as connection:
        await connection.execute(
            "INSERT INTO retry_policies (workflow_id, number, config, created_at) "
            f"VALUES ('{bot.workflow_id}', 3, '{{}}', '2026-01-01T00:00:00.000000Z')"
        )
        await connection.commit()
    await dispatch(db, bot)
    assert await rows(settings_of, "SELECT retry_policy FROM workflow_runs") == [(3,)]


async def test_a_version_brings_many(db: Database) -> None:
    bots = [TELEGRAM | {"node_name": f"{number}"} for number in range(200)]
    first = await listen(db, *bots)
    version = await new_version(db, first.workflow_id, graph(*bots))
    current = await db.workflows.list_listener_subscriptions(
        workflow_id=first.workflow_id, only_served=True
    )
    assert {each.workflow_version_id for each in current} == {version.id}
    assert len(current) == 200
    assert uuid4() not in {each.id for each in current}
