"""Listeners as operators see them: versions bring subscriptions, pauses stand, archived workflows rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4, uuid5

import pytest
from tests.repositories.factories import (
    MISSING,
    Clock,
    Queries,
    change,
    follow,
    new_version,
    new_workflow,
)
from tests.repositories.listeners import (
    ACTIVE,
    BLOCKED,
    DISABLED,
    DISCORD,
    ERROR,
    PAUSED,
    TELEGRAM,
    actions,
    count,
    dispatch,
    graph,
    listen,
    of_version,
    require_consistent,
    served,
    set_status,
)

from orcheo_sql import (
    Database,
    EncodingError,
    ListenerCursor,
    ListenerLeaseLostError,
    ListenerNotCurrentError,
    ListenerSubscriptionStatus,
    ValidationError,
    WorkflowNotFoundError,
    WorkflowVersionNotFoundError,
)
from orcheo_sql.rules.listeners import LISTENER_NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping


# --- Versions and their subscriptions ------------------------------------------------------------


async def test_a_version_brings_its_listeners(timed: Database, clock: Clock) -> None:
    workflow = await new_workflow(timed)
    version = await new_version(timed, workflow, graph(TELEGRAM, DISCORD), created_by="eva")
    bots = {each.node_name: each for each in await of_version(timed, version)}
    assert bots.keys() == {"bot", "guild"}
    bot = bots["bot"]
    name = f"{version.id}:telegram:bot:telegram:[[tg]]"
    assert bot.id == uuid5(LISTENER_NAMESPACE, name)
    assert (bot.workflow_id, bot.workflow_version_id) == (workflow.id, version.id)
    assert (bot.platform, bot.bot_identity_key) == ("telegram", "telegram:[[tg]]")
    assert bot.config == {"token": "[[tg]]", "timeout": 30}
    assert (bot.status, bot.assigned_runtime, bot.lease_expires_at) == (ACTIVE, None, None)
    assert (bot.last_event_at, bot.last_error) == (None, None)
    assert bot.created_at == bot.updated_at == clock.at
    [record] = bot.audit_log
    assert (record.actor, record.action, record.at, record.metadata) == (
        "eva", "listener_subscription_synced", clock.at, {},
    )  # fmt: skip
    assert await timed.workflows.get_listener_subscription(bot.id) == bot


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"index": None},
        {"index": []},
        {"index": {"listeners": None}},
        {"index": {"listeners": {"platform": "qq", "name": "x"}}},
        {"index": {"listeners": [None, 1, [], "qq", {}, {"platform": 5}, {"platform": "fax"}]}},
        {"index": {"listeners": [{"platform": "qq", "name": "  "}]}},
    ],
)
async def test_w22_odd_graphs_have_no_listeners_and_replace_those_before(
    db: Database, odd: dict[str, Any]
) -> None:
    bot = await listen(db)
    await new_version(db, bot.workflow_id, odd)
    assert await served(db, bot.workflow_id) == []
    old = await db.workflows.get_listener_subscription(bot.id)
    assert (old.status, actions(old)) == (DISABLED, ["synced", "disabled"])


async def test_w22_a_version_and_its_listeners_come_together_or_not_at_all(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    with pytest.raises(ValidationError, match=r"graph\.index\.listeners\[0\]\.token"):
        await new_version(db, bot.workflow_id, graph(TELEGRAM | {"token": "a\0b"}))

    async def undone() -> None:
        async with db.transaction() as tx:
            await new_version(tx, bot.workflow_id, graph(DISCORD))
            assert [each.platform for each in await served(tx, bot.workflow_id)] == ["discord"]
            raise KeyError

    with pytest.raises(KeyError):
        await undone()
    assert await served(db, bot.workflow_id) == [bot]
    assert len(await db.workflows.list_versions(bot.workflow_id)) == 1
    with pytest.raises(WorkflowNotFoundError, match=str(MISSING)):
        await new_version(db, MISSING, graph(TELEGRAM))
    assert await count(settings_of, "listener_subscriptions") == 1


async def test_what_is_compiled_is_what_is_stored(db: Database) -> None:
    """Tuples, enums and models become JSON first, so that a graph means the same before and after storing."""
    bot = await listen(db, TELEGRAM | {"allowed": ("a", ACTIVE), "when": UUID(int=1)})
    assert bot.config == {
        "token": "[[tg]]", "timeout": 30, "allowed": ["a", "active"], "when": str(UUID(int=1)),
    }  # fmt: skip


async def test_the_next_version_replaces_the_subscriptions(timed: Database, clock: Clock) -> None:
    old = await listen(timed, TELEGRAM, DISCORD)
    await timed.workflows.claim_listener_subscription(old.id, runtime_id="r", lease_seconds=60)
    clock.tick()
    new = await listen(timed, TELEGRAM | {"timeout": 5}, workflow_id=old.workflow_id)
    assert new.id != old.id
    assert new.config == {"token": "[[tg]]", "timeout": 5}
    assert await served(timed, old.workflow_id) == [new]
    everything = await timed.workflows.list_listener_subscriptions(workflow_id=old.workflow_id)
    assert [each.status for each in everything] == [DISABLED, DISABLED, ACTIVE]
    replaced = await timed.workflows.get_listener_subscription(old.id)
    assert (replaced.assigned_runtime, replaced.lease_expires_at) == (None, None)
    assert replaced.updated_at == clock.at
    assert actions(replaced) == ["synced", "claimed", "disabled"]
    assert replaced.audit_log[-1].actor == "ada"


async def test_of_equal_entries_the_last_one_counts(db: Database) -> None:
    bot = await listen(db, TELEGRAM, DISCORD, TELEGRAM | {"timeout": 1})
    assert len(await served(db, bot.workflow_id)) == 2
    [found] = [each for each in await served(db, bot.workflow_id) if each.platform == "telegram"]
    assert found.config["timeout"] == 1


async def test_a_plugin_brings_a_platform(settings_of: dict[str, Any]) -> None:
    entry = {"platform": " SLACK-Bot ", "name": "s", "app_id": "A1"}
    async with Database(**settings_of) as db:
        await new_version(db, workflow := await new_workflow(db), graph(entry))
        assert await served(db, workflow.id) == []
    async with Database(**settings_of, listener_platforms={"slack": ["slack-bot"]}) as db:
        async with db.transaction() as tx:
            bot = await listen(tx, entry)
        assert (bot.platform, bot.bot_identity_key) == ("slack", "slack:A1")
    with pytest.raises(ValidationError, match="'qq' is already registered"):
        Database(**settings_of, listener_platforms={"qq": []})


# --- What outlives a version ---------------------------------------------------------------------


async def test_w32_a_new_version_goes_on_where_the_old_one_was(
    timed: Database, clock: Clock, settings_of: dict[str, Any]
) -> None:
    old = await listen(timed, TELEGRAM | {"dedupe_window_seconds": 60})
    position = ListenerCursor(subscription_id=old.id, telegram_offset=42)
    await timed.workflows.save_listener_cursor(position)
    assert await dispatch(timed, old) is not None
    await set_status(timed, old, PAUSED)
    clock.tick(30)
    new = await listen(timed, TELEGRAM | {"dedupe_window_seconds": 60}, workflow_id=old.workflow_id)
    assert new.status == PAUSED
    cursor = await timed.workflows.get_listener_cursor(new.id)
    assert cursor is not None
    assert (cursor.subscription_id, cursor.telegram_offset) == (new.id, 42)
    assert await timed.workflows.claim_listener_subscription(
        new.id, runtime_id="r", lease_seconds=1
    ) is None  # fmt: skip
    assert await dispatch(timed, new, "other") is None
    await set_status(timed, new, ACTIVE)
    assert await dispatch(timed, new) is None, "the old version dispatched it"
    clock.tick(30)
    assert await dispatch(timed, new) is not None
    await require_consistent(settings_of)


async def test_w32_another_bot_or_workflow_is_another_listener(db: Database) -> None:
    bot = await listen(db)
    await db.workflows.save_listener_cursor(
        ListenerCursor(subscription_id=bot.id, telegram_offset=1)
    )
    await set_status(db, bot, PAUSED)
    assert await dispatch(db, await listen(db)) is not None
    for other in ({"token": "[[tg2]]"}, {"node_name": "bot2"}, {"platform": "qq"}):
        new = await listen(db, TELEGRAM | other, workflow_id=bot.workflow_id)
        assert new.status == ACTIVE
        assert await db.workflows.get_listener_cursor(new.id) is None


async def test_w32_a_pause_outlives_versions_without_the_node(db: Database) -> None:
    bot = await listen(db)
    await set_status(db, bot, PAUSED)
    await listen(db, DISCORD, workflow_id=bot.workflow_id)
    back = await listen(db, TELEGRAM, DISCORD, workflow_id=bot.workflow_id)
    assert {each.platform: each.status for each in await served(db, back.workflow_id)} == {
        "telegram": PAUSED, "discord": ACTIVE,
    }  # fmt: skip


@pytest.mark.parametrize("status", [BLOCKED, ERROR, DISABLED])
async def test_a_new_version_may_cure_what_is_no_pause(
    db: Database, status: ListenerSubscriptionStatus
) -> None:
    bot = await listen(db)
    await set_status(db, bot, status, last_error="no credential")
    new = await listen(db, workflow_id=bot.workflow_id)
    assert (new.status, new.last_error) == (ACTIVE, None)


# --- Status --------------------------------------------------------------------------------------


async def test_statuses_follow_each_other(timed: Database, clock: Clock) -> None:
    bot = await listen(timed)
    await timed.workflows.claim_listener_subscription(bot.id, runtime_id="r", lease_seconds=60)
    clock.tick()
    blocked = await set_status(timed, bot, BLOCKED, last_error="no credential", actor="r")
    assert (blocked.status, blocked.last_error) == (BLOCKED, "no credential")
    assert (blocked.assigned_runtime, blocked.lease_expires_at) == (None, None)
    assert blocked.updated_at == clock.at
    assert blocked.audit_log[-1].actor == "r"
    assert (await set_status(timed, bot, PAUSED)).last_error == "no credential"
    assert (await set_status(timed, bot, ERROR, last_error="")).last_error == ""
    assert (await set_status(timed, bot, DISABLED)).last_error == ""
    active = await set_status(timed, bot, ACTIVE, last_error="ignored")
    assert (active.status, active.last_error) == (ACTIVE, None)
    assert actions(active) == [
        "synced", "claimed", "status_blocked", "status_paused", "status_error", "status_disabled",
        "status_active",
    ]  # fmt: skip
    assert await timed.workflows.get_listener_subscription(bot.id) == active


async def test_an_error_text_is_a_record(db: Database) -> None:
    bot = await listen(db)
    assert (await set_status(db, bot, ERROR, last_error="a\0b")).last_error == "a\\u0000b"


async def test_a_status_is_the_enum(db: Database) -> None:
    bot = await listen(db)
    with pytest.raises(ValidationError, match="ListenerSubscriptionStatus"):
        await set_status(db, bot, "paused")  # type: ignore[arg-type]
    with pytest.raises(WorkflowNotFoundError, match=str(MISSING)):
        await db.workflows.update_listener_subscription_status(MISSING, status=PAUSED, actor="o")


@pytest.mark.parametrize("status", list(ListenerSubscriptionStatus))
async def test_w33_only_the_current_subscription_has_a_status(
    db: Database, status: ListenerSubscriptionStatus, settings_of: dict[str, Any]
) -> None:
    old = await listen(db)
    new = await listen(db, workflow_id=old.workflow_id)
    before = await db.workflows.get_listener_subscription(old.id)
    with pytest.raises(ListenerNotCurrentError, match=f"{old.id}: it is not the current"):
        await set_status(db, old, status)
    assert await db.workflows.get_listener_subscription(old.id) == before
    assert await dispatch(db, old) is None
    assert (await set_status(db, new, status)).status == status
    await listen(db, DISCORD, workflow_id=old.workflow_id)
    with pytest.raises(ListenerNotCurrentError):
        await set_status(db, new, status)
    await require_consistent(settings_of)


async def test_w26_w33_an_archived_workflow_listens_to_nothing(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db)
    await db.workflows.claim_listener_subscription(bot.id, runtime_id="r", lease_seconds=60)
    await db.workflows.archive_workflow(bot.workflow_id, actor="eve")
    resting = await db.workflows.get_listener_subscription(bot.id)
    assert (resting.status, resting.assigned_runtime) == (DISABLED, None)
    assert resting.audit_log[-1].actor == "eve"
    assert actions(resting) == ["synced", "claimed", "disabled"]
    await db.workflows.archive_workflow(bot.workflow_id, actor="eve")
    assert await db.workflows.get_listener_subscription(bot.id) == resting, "disabled only once"
    with pytest.raises(ListenerNotCurrentError, match="its workflow is archived"):
        await set_status(db, bot, ACTIVE)
    assert await dispatch(db, bot) is None
    new = await listen(db, workflow_id=bot.workflow_id)
    assert (new.status, actions(new)) == (DISABLED, ["synced"])
    await require_consistent(settings_of)

    await change(db, bot.workflow_id, is_archived=False)
    [restored] = await served(db, bot.workflow_id)
    assert (restored.id, restored.status) == (new.id, ACTIVE)
    assert await dispatch(db, new) is not None
    with pytest.raises(ListenerNotCurrentError):
        await set_status(db, bot, ACTIVE)
    await require_consistent(settings_of)


@pytest.mark.parametrize("status", list(ListenerSubscriptionStatus))
async def test_nothing_is_lost_by_archiving(
    timed: Database,
    clock: Clock,
    settings_of: dict[str, Any],
    status: ListenerSubscriptionStatus,
) -> None:
    old = await listen(timed, TELEGRAM)
    bot = await listen(timed, TELEGRAM, workflow_id=old.workflow_id)
    lease = await timed.workflows.claim_listener_lease(bot.id, runtime_id="r", lease_seconds=60)
    assert lease is not None
    await timed.workflows.save_listener_cursor(
        ListenerCursor(subscription_id=bot.id, telegram_offset=7)
    )
    if status is not ACTIVE:
        bot = await set_status(timed, bot, status, last_error="because")
    for _ in range(2):
        await timed.workflows.archive_workflow(bot.workflow_id, actor="eve")
        assert (await timed.workflows.get_listener_subscription(bot.id)).status == DISABLED
        clock.tick()
        await change(timed, bot.workflow_id, is_archived=False, actor="ada")
        restored = await timed.workflows.get_listener_subscription(bot.id)
        assert (restored.status, restored.last_error) == (status, bot.last_error)
        if status is not DISABLED:
            assert (restored.audit_log[-1].actor, restored.updated_at) == ("ada", clock.at)
            assert actions(restored)[-2:] == ["disabled", "restored"]
        await require_consistent(settings_of)
    cursor = await timed.workflows.get_listener_cursor(bot.id)
    assert cursor is not None
    assert cursor.telegram_offset == 7
    # Who had the lease has to claim it anew.
    with pytest.raises(ListenerLeaseLostError):
        await dispatch(timed, bot, lease=lease)
    assert (await dispatch(timed, bot) is not None) is (status is ACTIVE)
    assert (await timed.workflows.get_listener_subscription(old.id)).status == DISABLED


@pytest.mark.parametrize("status", [PAUSED, BLOCKED, ERROR, DISABLED])
async def test_what_is_set_while_a_workflow_is_archived_stays(
    db: Database, settings_of: dict[str, Any], status: ListenerSubscriptionStatus
) -> None:
    bot = await listen(db)
    await db.workflows.archive_workflow(bot.workflow_id, actor="eve")
    await set_status(db, bot, status)
    await change(db, bot.workflow_id, is_archived=False)
    assert (await db.workflows.get_listener_subscription(bot.id)).status == status
    await require_consistent(settings_of)


async def test_a_pause_outlives_archiving(db: Database, settings_of: dict[str, Any]) -> None:
    bot = await listen(db)
    await set_status(db, bot, PAUSED)
    await db.workflows.archive_workflow(bot.workflow_id, actor="eve")
    new = await listen(db, TELEGRAM, DISCORD, workflow_id=bot.workflow_id)
    await change(db, bot.workflow_id, is_archived=False)
    found = {each.node_name: each.status for each in await served(db, bot.workflow_id)}
    assert found == {"bot": PAUSED, "guild": ACTIVE}
    assert (await db.workflows.get_listener_subscription(new.id)).status == PAUSED
    await require_consistent(settings_of)
    assert (await listen(db, workflow_id=bot.workflow_id)).status == PAUSED


async def test_what_an_archived_workflow_listened_to_long_ago_does_not_come_back(
    db: Database, settings_of: dict[str, Any]
) -> None:
    bot = await listen(db, TELEGRAM, DISCORD)
    await db.workflows.archive_workflow(bot.workflow_id, actor="eve")
    await listen(db, DISCORD, workflow_id=bot.workflow_id)
    await change(db, bot.workflow_id, is_archived=False)
    assert [each.node_name for each in await served(db, bot.workflow_id)] == ["guild"]
    await require_consistent(settings_of)


# --- Synchronising by hand -----------------------------------------------------------------------


async def sync(db: Database, workflow_id: UUID, version_id: UUID, given: Mapping[str, Any]) -> None:
    await db.workflows.sync_listener_subscriptions_for_version(
        workflow_id, version_id, given, actor="ops"
    )


async def test_the_same_version_again_gets_a_fresh_subscription(
    timed: Database, clock: Clock, settings_of: dict[str, Any]
) -> None:
    bot = await listen(timed, TELEGRAM, DISCORD)
    await dispatch(timed, bot)
    await set_status(timed, bot, BLOCKED, last_error="no credential")
    clock.tick()
    await sync(timed, bot.workflow_id, bot.workflow_version_id, graph(TELEGRAM | {"timeout": 1}))
    [again] = await served(timed, bot.workflow_id)
    assert (again.id, again.status, again.last_error) == (bot.id, ACTIVE, None)
    assert again.config["timeout"] == 1
    assert (again.created_at, again.updated_at) == (bot.created_at, clock.at)
    assert again.last_event_at == bot.created_at
    assert actions(again) == ["synced", "status_blocked", "synced"]
    assert again.audit_log[-1].actor == "ops"
    lease = await timed.workflows.claim_listener_lease(bot.id, runtime_id="r", lease_seconds=60)
    assert lease is not None
    await sync(timed, bot.workflow_id, bot.workflow_version_id, graph(TELEGRAM))
    assert (await served(timed, bot.workflow_id))[0].assigned_runtime is None
    later = await timed.workflows.claim_listener_lease(bot.id, runtime_id="r", lease_seconds=60)
    assert later is not None
    assert later.epoch > lease.epoch
    await require_consistent(settings_of)


async def test_an_older_version_can_be_served_again(
    db: Database, settings_of: dict[str, Any]
) -> None:
    old = await listen(db)
    new = await listen(db, workflow_id=old.workflow_id)
    await db.workflows.save_listener_cursor(
        ListenerCursor(subscription_id=new.id, telegram_offset=7)
    )
    await sync(db, old.workflow_id, old.workflow_version_id, graph(TELEGRAM))
    assert [each.id for each in await served(db, old.workflow_id)] == [old.id]
    cursor = await db.workflows.get_listener_cursor(old.id)
    assert cursor is not None
    assert cursor.telegram_offset == 7
    with pytest.raises(ListenerNotCurrentError):
        await set_status(db, new, ACTIVE)
    await require_consistent(settings_of)


async def test_synchronising_checks_first(db: Database) -> None:
    bot = await listen(db)
    other = await listen(db)
    with pytest.raises(WorkflowNotFoundError, match=str(MISSING)):
        await sync(db, MISSING, bot.workflow_version_id, graph())
    for version in (MISSING, other.workflow_version_id):
        with pytest.raises(WorkflowVersionNotFoundError, match=str(version)):
            await sync(db, bot.workflow_id, version, graph())
    with pytest.raises(EncodingError, match="graph must be a JSON object"):
        await sync(db, bot.workflow_id, bot.workflow_version_id, [])  # type: ignore[arg-type]
    assert await served(db, bot.workflow_id) == [bot]


# --- Lists ---------------------------------------------------------------------------------------


async def test_lists(timed: Database, clock: Clock) -> None:
    made = []
    for _ in range(3):
        made.append(await listen(timed))
        clock.tick()
    first = made[0].workflow_id
    made.append(await listen(timed, workflow_id=first))
    everything = await timed.workflows.list_listener_subscriptions()
    assert [each.id for each in everything] == [each.id for each in made]
    assert [each.id for each in await timed.workflows.list_listener_subscriptions(only_served=True)] == [
        each.id for each in made[1:]
    ]  # fmt: skip
    of_first = await timed.workflows.list_listener_subscriptions(workflow_id=first)
    assert [each.id for each in of_first] == [made[0].id, made[3].id]
    assert await timed.workflows.list_listener_subscriptions(workflow_id=MISSING) == []
    with pytest.raises(WorkflowNotFoundError, match=str(MISSING)):
        await timed.workflows.get_listener_subscription(MISSING)


async def test_pages(timed: Database) -> None:
    """Those of one version are of one instant: the id decides."""
    workflow = await new_workflow(timed)
    bots = [TELEGRAM | {"node_name": f"bot {number}"} for number in range(5)]
    await new_version(timed, workflow, graph(*bots[:2]))
    await new_version(timed, workflow, graph(*bots))
    for conditions in (
        {},
        {"only_served": True},
        {"workflow_id": workflow.id},
        {"workflow_id": workflow.id, "only_served": True},
    ):
        given: dict[str, Any] = conditions
        listed = await timed.workflows.list_listener_subscriptions(**given)
        assert len(listed) == (5 if "only_served" in given else 7)
        assert listed == sorted(listed, key=lambda each: (each.created_at, each.id))
        paged = await follow(
            lambda cursor, given=given: timed.workflows.page_listener_subscriptions(
                **given, limit=2, cursor=cursor
            )
        )
        assert [each for page in paged for each in page] == listed
        assert [len(page) for page in paged[:-1]] == [2] * (len(paged) - 1)
    with pytest.raises(ValidationError, match="limit"):
        await timed.workflows.page_listener_subscriptions(limit=-1)
    with pytest.raises(ValidationError, match="only_served"):
        await timed.workflows.list_listener_subscriptions(only_served=1)  # type: ignore[arg-type]


async def test_the_whole_audit_trail(db: Database) -> None:
    bot = await listen(db)
    for number in range(60):
        await set_status(db, bot, PAUSED, actor=f"{number}")
    trail = await db.workflows.page_audit_records(bot.id, limit=1000)
    assert [entry.seq for entry in trail.items] == list(range(1, 62))
    assert [entry.record.actor for entry in trail.items[1:]] == [f"{n}" for n in range(60)]
    assert len((await db.workflows.get_listener_subscription(bot.id)).audit_log) <= 40


# --- Removal -------------------------------------------------------------------------------------


async def test_w49_old_subscriptions_can_be_pruned(
    timed: Database, clock: Clock, settings_of: dict[str, Any]
) -> None:
    made = [await listen(timed)]
    await timed.workflows.save_listener_cursor(
        ListenerCursor(subscription_id=made[0].id, telegram_offset=3)
    )
    for _ in range(4):
        clock.tick()
        made.append(await listen(timed, workflow_id=made[0].workflow_id))
    archived = await listen(timed)
    await timed.workflows.archive_workflow(archived.workflow_id, actor="eve")
    disabled = await listen(timed)
    await set_status(timed, disabled, DISABLED)

    async def prune(limit: int) -> int:
        return await timed.workflows.prune_listener_subscriptions(
            disabled_before=clock.at, limit=limit
        )

    assert await prune(2) == 2
    left = await timed.workflows.list_listener_subscriptions(workflow_id=made[0].workflow_id)
    assert [each.id for each in left] == [each.id for each in made[2:]], "the oldest go first"
    assert await prune(100) == 1, "one was disabled at that very time"
    clock.tick()
    assert await prune(100) == 1
    assert await prune(100) == 0
    ids = {each.id for each in await timed.workflows.list_listener_subscriptions()}
    assert ids == {made[-1].id, archived.id, disabled.id}, "what can be served again stays"
    cursor = await timed.workflows.get_listener_cursor(made[-1].id)
    assert cursor is not None
    assert cursor.telegram_offset == 3
    assert await timed.workflows.get_listener_cursor(made[0].id) is None
    assert await count(settings_of, "audit_records") == 0
    with pytest.raises(ValidationError, match="limit"):
        await prune(-1)


async def test_a_reset_leaves_nothing(db: Database, settings_of: dict[str, Any]) -> None:
    bot = await listen(db)
    await dispatch(db, bot)
    await db.workflows.reset()
    for table in ("listeners", "listener_subscriptions", "listener_dedupe", "run_outbox"):
        assert await count(settings_of, table) == 0


# --- Cost ----------------------------------------------------------------------------------------


async def test_calls_are_few_statements(observed: Database, queries: Queries) -> None:
    workflow = await new_workflow(observed)
    queries.take()
    await new_version(
        observed, workflow, graph(*(TELEGRAM | {"node_name": f"{n}"} for n in range(50)))
    )
    assert queries.take() == ["insert_version", "sync_listeners"], "in one transaction"
    await new_version(observed, (await new_workflow(observed)).id, graph())
    assert queries.take()[1:] == ["insert_version"], "there is nothing to synchronise"
    [bot, *_] = await served(observed, workflow.id)
    queries.take()
    lease = await observed.workflows.claim_listener_lease(bot.id, runtime_id="r", lease_seconds=60)
    assert lease is not None
    await observed.workflows.renew_listener_lease(lease, lease_seconds=60)
    await dispatch(observed, bot, lease=lease)
    await dispatch(observed, bot, "other")
    await set_status(observed, bot, PAUSED)
    assert queries.take() == [
        "claim_listener", "renew_listener", "dispatch_listener_event", "get_listener_subscription",
        "dispatch_listener_event", "update_listener_status",
    ]  # fmt: skip


async def test_versions_side_by_side_leave_one_subscription(
    db: Database, other: Database, settings_of: dict[str, Any]
) -> None:
    workflow = await new_workflow(db)
    await asyncio.gather(
        *(new_version(store, workflow, graph(TELEGRAM)) for _ in range(6) for store in (db, other))
    )
    [current] = await served(db, workflow.id)
    latest = await db.workflows.get_latest_version(workflow.id)
    assert current.workflow_version_id == latest.id
    assert len(await db.workflows.list_listener_subscriptions(workflow_id=workflow.id)) == 12
    await require_consistent(settings_of)


async def test_ids_are_ids(db: Database) -> None:
    bot = await listen(db)
    assert await db.workflows.get_listener_subscription(str(bot.id)) == bot  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="subscription_id must be a UUID"):
        await db.workflows.get_listener_subscription("bot")  # type: ignore[arg-type]
    assert await db.workflows.release_listener_subscription(uuid4(), runtime_id="r") is None
