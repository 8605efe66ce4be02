"""Listeners: compilation, synchronisation, and checks of what clients send."""

from collections import UserDict
from collections.abc import Mapping
from enum import Enum
from typing import Any
from uuid import UUID, uuid5

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from orcheo_sql._documents import encode_definition
from orcheo_sql._errors import ValidationError
from orcheo_sql.rules.listeners import (
    LISTENER_CLAIMED,
    LISTENER_DISABLED,
    LISTENER_NAMESPACE,
    LISTENER_PLATFORMS,
    LISTENER_RELEASED,
    LISTENER_SYNCED,
    LONGEST_DEDUPE_KEY,
    LONGEST_DEDUPE_SECONDS,
    add_listener_platform,
    compile_listeners,
    dedupe_seconds,
    listener_key,
    listener_status_action,
    listener_subscription_id,
    parse_listener_cursor,
    parse_listener_payload,
    require_listener_status,
    stored_dedupe_key,
)
from orcheo_sql.structs.listeners import (
    CompiledListener,
    ListenerCursor,
    ListenerDispatchMessage,
    ListenerDispatchPayload,
    ListenerSubscriptionStatus,
)

WORKFLOW = UUID("00000000-0000-4000-8000-00000000000a")
VERSION = UUID("00000000-0000-4000-8000-00000000000b")
NEXT_VERSION = UUID("00000000-0000-4000-8000-00000000000c")
TELEGRAM = {"platform": "telegram", "node_name": "bot", "token": "[[tg_token]]"}

Status = ListenerSubscriptionStatus


def compiled(
    *entries: object, version_id: UUID = VERSION, platforms: Mapping[str, str] = LISTENER_PLATFORMS
) -> list[CompiledListener]:
    return compile_listeners(
        {"nodes": [], "index": {"listeners": list(entries)}},
        workflow_id=WORKFLOW,
        version_id=version_id,
        platforms=platforms,
    )


# --- Audit actions -------------------------------------------------------------------------------


def test_audit_actions() -> None:
    assert LISTENER_SYNCED == "listener_subscription_synced"
    assert LISTENER_DISABLED == "listener_subscription_disabled"
    assert LISTENER_CLAIMED == "listener_subscription_claimed"
    assert LISTENER_RELEASED == "listener_subscription_released"
    assert [listener_status_action(status) for status in Status] == [
        "listener_subscription_status_active",
        "listener_subscription_status_blocked",
        "listener_subscription_status_paused",
        "listener_subscription_status_error",
        "listener_subscription_status_disabled",
    ]


# --- Identities ----------------------------------------------------------------------------------


def test_identities_are_well_known() -> None:
    # Clients compute the first one as well; stored rows rely on both.
    identity = ("telegram", "bot", "telegram:[[tg_token]]")
    assert listener_subscription_id(VERSION, *identity) == UUID(
        "b21b3427-0863-5262-98b1-322389d917fb"
    )
    assert listener_key(WORKFLOW, *identity) == UUID("d8a21f4f-cff0-5100-b9b1-0512fbbfa557")
    assert str(LISTENER_NAMESPACE) == "cb2512f5-f1d4-4883-bc6f-6d5c7a560fce"


def test_parts_with_colons_share_an_id_but_not_a_key() -> None:
    left, right = ("qq", "a:b", "c"), ("qq", "a", "b:c")
    assert listener_subscription_id(VERSION, *left) == listener_subscription_id(VERSION, *right)
    assert listener_key(WORKFLOW, *left) != listener_key(WORKFLOW, *right)


@given(st.text(), st.text(), st.text())
def test_identities_of_any_text(platform: str, node: str, identity: str) -> None:
    parts = (platform, node, identity)
    assert listener_subscription_id(VERSION, *parts) != listener_key(VERSION, *parts)
    if not any(char == "\0" for char in "".join(parts)):
        name = f"{VERSION}:{platform}:{node}:{identity}"
        assert listener_subscription_id(VERSION, *parts) == uuid5(LISTENER_NAMESPACE, name)


def test_identities_of_hostile_text() -> None:
    for text in ("\0", "\ud800", "x" * 100_000):
        assert listener_subscription_id(VERSION, "qq", text, text).version == 5
        assert listener_key(WORKFLOW, "qq", text, text).version == 5


def test_keys_differ_by_each_part() -> None:
    keys = {
        listener_key(WORKFLOW, "qq", "n", "i"),
        listener_key(VERSION, "qq", "n", "i"),
        listener_key(WORKFLOW, "discord", "n", "i"),
        listener_key(WORKFLOW, "qq", "m", "i"),
        listener_key(WORKFLOW, "qq", "n", "j"),
    }
    assert len(keys) == 5


# --- Compilation ---------------------------------------------------------------------------------


def test_compile() -> None:
    entry = {
        "name": "other",
        "node_name": " bot ",
        "type": "TelegramListener",
        "platform": " Telegram ",
        "token": " [[tg_token]] ",
        "dedupe_window_seconds": 60,
        "allowed": {"chats": [1]},
    }
    assert compiled(entry) == [
        CompiledListener(
            id=UUID("b21b3427-0863-5262-98b1-322389d917fb"),
            listener_key=UUID("d8a21f4f-cff0-5100-b9b1-0512fbbfa557"),
            workflow_id=WORKFLOW,
            workflow_version_id=VERSION,
            node_name="bot",
            platform="telegram",
            bot_identity_key="telegram:[[tg_token]]",
            config={
                "token": " [[tg_token]] ",
                "dedupe_window_seconds": 60,
                "allowed": {"chats": [1]},
            },
        )
    ]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"node_name": "a", "name": "b"}, "a"),
        ({"node_name": "", "name": "b"}, "b"),
        ({"node_name": None, "name": " b\n"}, "b"),
        ({"node_name": 5, "name": "b"}, "b"),
        ({"name": "b"}, "b"),
        # A blank name is a name, only not one to listen under.
        ({"node_name": "  ", "name": "b"}, None),
        ({"node_name": "", "name": ""}, None),
        ({"name": 5}, None),
        ({"name": ["b"]}, None),
        ({}, None),
    ],
)
def test_node_name(entry: dict[str, Any], expected: str | None) -> None:
    names = [each.node_name for each in compiled({"platform": "qq"} | entry)]
    assert names == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"bot_identity_key": " mine ", "token": "t"}, "mine"),
        ({"bot_identity_key": "  ", "token": "t"}, "qq:t"),
        ({"bot_identity_key": 7, "token": "t"}, "qq:t"),
        ({"token": " t ", "app_id": "a", "credential_ref": "c"}, "qq:t"),
        ({"token": " ", "app_id": "a", "credential_ref": "c"}, "qq:a"),
        ({"token": None, "app_id": 12, "credential_ref": " c"}, "qq:c"),
        ({"credential_ref": {}}, "qq:n"),
        ({}, "qq:n"),
        ({"node_name": " n "}, "qq: n "),
    ],
)
def test_bot_identity(entry: dict[str, Any], expected: str) -> None:
    [listener] = compiled({"platform": "qq", "name": "n"} | entry)
    assert listener.bot_identity_key == expected


@pytest.mark.parametrize("platform", ["", "  ", "irc", None, 5, ["qq"], {"qq": 1}, True])
def test_unknown_platforms_are_passed_over(platform: object) -> None:
    assert compiled({"platform": platform, "name": "n"}, TELEGRAM) == compiled(TELEGRAM)


@pytest.mark.parametrize(
    "graph",
    [
        None,
        [],
        "index",
        5,
        {},
        {"index": None},
        {"index": []},
        {"index": "listeners"},
        {"index": {}},
        {"index": {"listeners": None}},
        {"index": {"listeners": {"platform": "qq", "name": "n"}}},
        {"index": {"listeners": "qq"}},
        {"index": {"listeners": []}},
        {"index": {"listeners": [None, 1, "qq", [], [TELEGRAM], True, {}]}},
    ],
)
def test_graphs_without_listeners(graph: object) -> None:
    assert compile_listeners(graph, workflow_id=WORKFLOW, version_id=VERSION) == []


def test_any_mapping_and_tuples_will_do() -> None:
    graph = UserDict({"index": UserDict({"listeners": (UserDict(TELEGRAM),)})})
    found = compile_listeners(graph, workflow_id=WORKFLOW, version_id=VERSION)
    assert found == compiled(TELEGRAM)


def test_enums_count_as_their_text() -> None:
    class Platform(str, Enum):  # noqa: UP042 - the older kind, whose str() is not its text
        QQ = "qq"

    assert compiled({"platform": Platform.QQ, "name": "n"}) == compiled(
        {"platform": "qq", "name": "n"}
    )


def test_of_repeated_entries_the_last_one_counts_at_the_first_place() -> None:
    discord = {"platform": "discord", "name": "d"}
    found = compiled(TELEGRAM | {"n": 1}, discord, TELEGRAM | {"n": 2}, TELEGRAM | {"n": 3})
    assert [each.platform for each in found] == ["telegram", "discord"]
    assert found[0].config == {"token": "[[tg_token]]", "n": 3}


def test_entries_that_share_an_id_are_one_listener() -> None:
    first = {"platform": "qq", "name": "a:b", "bot_identity_key": "c"}
    second = {"platform": "qq", "name": "a", "bot_identity_key": "b:c"}
    assert [each.node_name for each in compiled(first, second)] == ["a"]


def test_a_new_version_keeps_the_keys_and_changes_the_ids() -> None:
    [old], [new] = compiled(TELEGRAM), compiled(TELEGRAM | {"x": 1}, version_id=NEXT_VERSION)
    assert old.listener_key == new.listener_key
    assert old.id != new.id


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["a", "b", " a ", ":", "a:b", "", "\0", "\ud800"])
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "platform": st.sampled_from(["qq", "QQ ", "telegram", "irc"]) | JSON,
        "node_name": NAMES | JSON,
        "name": NAMES | JSON,
        "bot_identity_key": NAMES | JSON,
        "token": NAMES | JSON,
        "type": JSON,
        "extra": JSON,
    },
)
GRAPHS = JSON | st.fixed_dictionaries(
    {"index": JSON | st.fixed_dictionaries({"listeners": JSON | st.lists(ENTRIES | JSON)})}
)


@given(GRAPHS)
def test_compilation_never_fails(graph: object) -> None:
    found = compile_listeners(graph, workflow_id=WORKFLOW, version_id=VERSION)
    assert len({each.id for each in found}) == len(found)
    assert len({each.listener_key for each in found}) == len(found)
    for each in found:
        assert each.platform in LISTENER_PLATFORMS
        assert each.node_name == each.node_name.strip() != ""
        assert each.bot_identity_key
        assert not {"name", "node_name", "type", "platform"} & set(each.config)
        identity = (each.platform, each.node_name, each.bot_identity_key)
        assert each.id == listener_subscription_id(VERSION, *identity)
        assert each.listener_key == listener_key(WORKFLOW, *identity)


def test_hostile_texts_are_left_to_the_encoder_of_the_graph() -> None:
    graph = {"index": {"listeners": [{"platform": "qq", "name": "a\ud800"}]}}
    assert len(compile_listeners(graph, workflow_id=WORKFLOW, version_id=VERSION)) == 1
    with pytest.raises(ValidationError, match=r"graph\.index\.listeners\[0\]\.name"):
        encode_definition(graph, name="graph")


# --- Platforms -----------------------------------------------------------------------------------


def test_platforms_known_without_plugins() -> None:
    assert dict(LISTENER_PLATFORMS) == {"telegram": "telegram", "discord": "discord", "qq": "qq"}


def test_a_plugin_adds_a_platform_with_aliases() -> None:
    platforms = add_listener_platform(LISTENER_PLATFORMS, " WeChat ", ["Weixin", "wx"])
    assert dict(platforms) == dict(LISTENER_PLATFORMS) | dict.fromkeys(
        ("wechat", "weixin", "wx"), "wechat"
    )
    assert "wechat" not in LISTENER_PLATFORMS
    entries = [{"platform": name, "name": "n"} for name in ("wechat", "WEIXIN", "wx")]
    canonical, alias, short = (compiled(each, platforms=platforms) for each in entries)
    assert canonical == alias == short
    assert [each.bot_identity_key for each in alias] == ["wechat:n"]
    assert compiled(*entries) == []


def test_platforms_are_not_changed_in_place() -> None:
    for platforms in (LISTENER_PLATFORMS, add_listener_platform(LISTENER_PLATFORMS, "x")):
        with pytest.raises(TypeError):
            platforms["y"] = "y"  # type: ignore[index]


@pytest.mark.parametrize(
    ("platform", "aliases", "name"),
    [
        ("QQ", (), "qq"),
        ("x", ["telegram"], "telegram"),
        ("x", ["X"], "x"),
        ("x", ["y", "y"], "y"),
    ],
)
def test_a_platform_name_has_one_meaning(platform: str, aliases: list[str], name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        add_listener_platform(LISTENER_PLATFORMS, platform, aliases)
    assert str(caught.value) == f"Listener platform {name!r} is already registered."


@pytest.mark.parametrize(
    ("platform", "aliases", "message"),
    [
        (" ", (), "Listener platform must not be empty."),
        ("x", [""], "Listener platform must not be empty."),
        (5, (), "Listener platform must be text, not int."),
        ("x\0", (), "Listener platform must not contain NUL characters."),
        ("x", "yz", "aliases must be a list, not str."),
    ],
)
def test_platform_names_are_text(platform: Any, aliases: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        add_listener_platform(LISTENER_PLATFORMS, platform, aliases)
    assert str(caught.value) == message


# --- What clients send ---------------------------------------------------------------------------


def test_a_status_is_the_enum() -> None:
    assert require_listener_status(Status.PAUSED) is Status.PAUSED
    for value in ("paused", None, 1):
        with pytest.raises(ValidationError, match="must be a ListenerSubscriptionStatus, not "):
            require_listener_status(value)


CURSOR = {
    "subscription_id": str(VERSION),
    "telegram_offset": 2**63 - 1,
    "discord_session_id": "s",
    "discord_sequence": 0,
    "qq_sequence": -1,
    "metadata": {"k": [1]},
}


class CursorModel(BaseModel):
    subscription_id: UUID
    telegram_offset: int | None = None
    discord_sequence: int | None = None


def test_cursor() -> None:
    cursor = parse_listener_cursor(CURSOR)
    assert msgspec.to_builtins(cursor) | CURSOR == msgspec.to_builtins(cursor)
    assert cursor.qq_session_id is None
    bare = parse_listener_cursor({"subscription_id": VERSION})
    assert (bare.subscription_id, bare.telegram_offset, bare.metadata) == (VERSION, None, {})
    model = CursorModel(subscription_id=VERSION, telegram_offset=4)
    assert parse_listener_cursor(model).telegram_offset == 4
    again = parse_listener_cursor(cursor)
    assert msgspec.structs.replace(again, updated_at=cursor.updated_at) == cursor


def test_the_time_of_a_cursor_is_that_of_saving() -> None:
    document = CURSOR | {"updated_at": "never"}
    assert parse_listener_cursor(document).updated_at.tzinfo is not None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "cursor must be a mapping, not NoneType."),
        ({}, "cursor.subscription_id is required."),
        ({"subscription_id": "x"}, "cursor.subscription_id must be a UUID."),
        ({"subscription_id": 5}, "cursor.subscription_id must be a UUID."),
        (CURSOR | {"qq_session_id": 5}, "cursor.qq_session_id must be text, not int."),
        (
            CURSOR | {"discord_session_id": "\0"},
            "cursor.discord_session_id must not contain NUL characters.",
        ),
        (CURSOR | {"metadata": None}, "cursor.metadata must be a mapping, not NoneType."),
    ],
)
def test_cursor_refused(value: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_listener_cursor(value)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, "7", 1.5, True, float("nan")])
def test_positions_are_numbers_that_a_database_can_hold(value: object) -> None:
    with pytest.raises(ValidationError, match="telegram_offset must be a whole number"):
        parse_listener_cursor(CURSOR | {"telegram_offset": value})


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"cursor has unknown fields: 'x'\."):
        parse_listener_cursor(CURSOR | {"x": 1})
    with pytest.raises(ValidationError, match=r"payload has unknown fields: 'x'\."):
        parse_listener_payload(PAYLOAD | {"x": 1})
    with pytest.raises(ValidationError, match=r"payload\.message has unknown fields: 'x'\."):
        parse_listener_payload(PAYLOAD | {"message": {"x": 1}})


PAYLOAD: dict[str, Any] = {
    "platform": "telegram",
    "event_type": "message",
    "dedupe_key": "telegram:1",
    "bot_identity": "telegram:[[tg]]",
}
FULL_PAYLOAD = PAYLOAD | {
    "listener_subscription_id": str(VERSION),
    "message": {"chat_id": "1", "text": None, "metadata": {"a": 1}},
    "reply_target": {"chat_id": 1},
    "raw_event": {"update_id": 1},
    "metadata": {"m": 1},
}


class PayloadModel(BaseModel):
    platform: str
    event_type: str = "message"
    dedupe_key: str
    bot_identity: str
    message: dict[str, Any]


def test_payload() -> None:
    event = parse_listener_payload(FULL_PAYLOAD)
    assert event == ListenerDispatchPayload(
        platform="telegram",
        event_type="message",
        dedupe_key="telegram:1",
        bot_identity="telegram:[[tg]]",
        listener_subscription_id=VERSION,
        message=ListenerDispatchMessage(chat_id="1", metadata={"a": 1}),
        reply_target={"chat_id": 1},
        raw_event={"update_id": 1},
        metadata={"m": 1},
    )
    assert parse_listener_payload(event) == event
    assert parse_listener_payload(PAYLOAD) == ListenerDispatchPayload(**PAYLOAD)
    assert parse_listener_payload(PAYLOAD | {"listener_subscription_id": None}).message == (
        ListenerDispatchMessage()
    )


def test_payload_of_a_model() -> None:
    model = PayloadModel(**PAYLOAD, message={"text": "hi"})
    assert parse_listener_payload(model).message.text == "hi"


def test_hostile_texts_of_an_event_are_normalised() -> None:
    message = {"text": "a\ud800", "username": "\0"}
    event = parse_listener_payload(PAYLOAD | {"dedupe_key": "k\0", "message": message})
    assert event.dedupe_key == "k\\u0000"
    assert (event.message.text, event.message.username) == ("a\\ud800", "\\u0000")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "payload must be a mapping, not list."),
        ({"platform": "qq"}, "payload.event_type is required."),
        (PAYLOAD | {"platform": None}, "payload.platform must be text, not NoneType."),
        (PAYLOAD | {"dedupe_key": 1}, "payload.dedupe_key must be text, not int."),
        (
            PAYLOAD | {"listener_subscription_id": "x"},
            "payload.listener_subscription_id must be a UUID.",
        ),
        (PAYLOAD | {"message": "hi"}, "payload.message must be a mapping, not str."),
        (PAYLOAD | {"message": {"text": 1}}, "payload.message.text must be text, not int."),
        (
            PAYLOAD | {"message": ListenerDispatchMessage(text=1)},  # type: ignore[arg-type]
            "payload.message.text must be text, not int.",
        ),
        (
            ListenerDispatchPayload(**PAYLOAD, raw_event=None),  # type: ignore[arg-type]
            "payload.raw_event must be a mapping, not NoneType.",
        ),
        (ListenerCursor(subscription_id=VERSION), "payload must be a mapping, not ListenerCursor."),
    ],
)
def test_payload_refused(value: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse_listener_payload(value)
    assert str(caught.value) == message


# --- Dedupe --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (60, 60),
        ("60", 60),
        (60.9, 60),
        (0, 0),
        (-5, 0),
        (10**30, LONGEST_DEDUPE_SECONDS),
        ("9" * 10_000, 300),
        ("soon", 300),
        ("", 300),
        (None, 300),
        (True, 300),
        ([60], 300),
        (float("nan"), 300),
        (float("inf"), 300),
    ],
)
def test_dedupe_window(value: object, expected: int) -> None:
    assert dedupe_seconds({"dedupe_window_seconds": value}) == expected


def test_dedupe_window_by_default() -> None:
    assert dedupe_seconds({}) == 300


def test_dedupe_keys_are_stored_as_they_are() -> None:
    for key in ("", "telegram:1", "é" * (LONGEST_DEDUPE_KEY // 2)):
        assert stored_dedupe_key(key) == key
    assert stored_dedupe_key("a\0") == "a\\u0000"


def test_long_dedupe_keys_are_stored_as_digests() -> None:
    # Computed with sha256sum over 513 bytes "a".
    digest = "02425c0f5b0dabf3d2b9115f3f7723a02ad8bcfb1534a0d231614fd42b8188f6"
    assert stored_dedupe_key("a" * 513) == f"sha256:{digest}"
    long = "é" * LONGEST_DEDUPE_KEY
    assert stored_dedupe_key(long) != stored_dedupe_key(long + "é")
    assert len(stored_dedupe_key(long)) == 71
