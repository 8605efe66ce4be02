"""What the machine about triggers feeds in: few of each, so that they meet; and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from tests.state_machine.inputs import mostly

ALIEN = UUID("00000000-0000-4000-8000-0000000a11e1")
BERLIN = timezone(timedelta(hours=1))

# Where the clock begins: an ordinary day, and before each change of clocks in Berlin and New York.
BEGINNINGS = [
    datetime(2026, 1, 2, 3, 4, 5, 999_998, UTC),
    datetime(2026, 3, 8, 5, 10, tzinfo=UTC),
    datetime(2026, 3, 28, 23, 50, 30, tzinfo=UTC),
    datetime(2026, 10, 24, 23, 20, tzinfo=UTC),
    datetime(2026, 11, 1, 4, 59, 59, 500_000, UTC),
]
_STEPS = [1, 20, 60, 60, 15 * 60, 15 * 60, 3600, 3600, 7 * 3600, 26 * 3600, 0, -5, -1e-6]
steps = st.sampled_from([timedelta(seconds=seconds) for seconds in _STEPS])
spans = st.sampled_from([0, 1, 60, timedelta(minutes=30), 3600.0, 100_000])
leases = st.sampled_from([60, 600, 0, 0.5, 7200])
prune_limits = st.sampled_from([1000, 1, 2, 0])
actors = mostly(["ada", "bob", "ünï"], ["nul\0"])

# --- schedules

_CATCH_UP = {"misfire_policy": "catch_up", "max_catch_up": 3}
CRONS: list[dict[str, Any]] = [
    {},
    {"expression": "*/15 * * * *"},
    {"expression": "*/15 * * * *", "allow_overlapping": True},
    {"expression": "*/15 * * * *", "allow_overlapping": True, **_CATCH_UP},
    {"expression": "*/20 * * * *", **_CATCH_UP},
    {"expression": "5,35 * * * *", "misfire_policy": "skip"},
    {"expression": "*/15 * * * *", "misfire_policy": "skip", "misfire_grace_seconds": 0},
    {"expression": "0 * * * *", "misfire_policy": "skip", "misfire_grace_seconds": 1800},
    {"expression": "30 2 * * *", "timezone": "Europe/Berlin"},
    {"expression": "*/30 * * * *", "timezone": "America/New_York", **_CATCH_UP},
    {"expression": "30 1 * * *", "timezone": "America/New_York", "allow_overlapping": True},
    {"expression": "0,30 * * * * 15"},
    {"expression": "@hourly", "start_at": datetime(2026, 3, 8, 9, 0, tzinfo=BERLIN)},
    {"expression": "*/15 * * * *", "end_at": datetime(2026, 1, 2, 5, 0, tzinfo=UTC), **_CATCH_UP},
    {"expression": "0 12 29 2 *"},
]  # fmt: skip
crons = st.sampled_from(CRONS)
_TOO_OFTEN = (
    "Cron expression '* * * * *' fires every 60s at its most frequent, which is under 300s. "
    "Set allow_overlapping to accept that."
)
BAD_CRONS: list[tuple[Any, str, str]] = [
    ({"expression": "nope"}, "CronValidationError", "Invalid cron expression: nope"),
    ({"expression": "* * * * *"}, "CronValidationError", _TOO_OFTEN),
    (
        {"expression": "0 0 31 2 *"},
        "CronValidationError",
        "Cron expression '0 0 31 2 *' never fires.",
    ),
    ({"timezone": "Mars/Base"}, "CronValidationError", "Unknown timezone 'Mars/Base'"),
    (
        {"start_at": "2026-01-02T00:00"},
        "CronValidationError",
        "Cron boundaries must be timezone-aware",
    ),
    ({"max_catch_up": 0}, "ValidationError", "max_catch_up must be a whole number from 1 to 100."),
    ("0 * * * *", "ValidationError", "cron trigger must be a mapping, not str."),
]

# --- webhooks

_SHARED = {"shared_secret_header": "X-Secret", "shared_secret": "s3cret"}
_SIGNED = {"hmac_header": "X-Signature", "hmac_secret": "key", "allowed_methods": ["post"]}
_KIND = {"required_headers": {"X-Kind": "a"}, "required_query_params": {"a": "1"}}
_TIMED = {**_SIGNED, "hmac_timestamp_header": "X-Time"}
WEBHOOKS: list[dict[str, Any]] = [
    {},
    {"allowed_methods": ["post", "PUT"], **_KIND},
    {"required_query_params": {"a": "1"}, "kept_headers": ["X-Kind"], "kept_query_params": []},
    {**_SHARED, **_KIND, "rate_limit": {"limit": 2, "interval_seconds": 60}},
    {**_KIND, "rate_limit": {"limit": 1, "interval_seconds": 20}},
    {"rate_limit": {"limit": 3, "interval_seconds": 3600}, "kept_query_params": ["a", "token"]},
    _SIGNED,
    {**_SIGNED, **_KIND, "hmac_tolerance_seconds": 0},
    {**_TIMED, "rate_limit": {"limit": 2}},
    {**_TIMED, "hmac_tolerance_seconds": 0, **_SHARED},
    # Changed, and given again without its secrets.
    {"shared_secret_header": "X-Other", "has_shared_secret": True},
    {"hmac_header": "X-Signature", "has_hmac_secret": True, "hmac_algorithm": "sha512"},
    {"shared_secret_header": "X-Secret"},
    {"shared_secret": "s3cret"},
    {"hmac_secret": "key"},
]  # fmt: skip
webhooks = st.sampled_from(WEBHOOKS)
BAD_WEBHOOKS: list[tuple[Any, str, str]] = [
    (
        {"allowed_methods": []},
        "WebhookValidationError",
        "At least one HTTP method must be allowed",
    ),
    (
        {"hmac_algorithm": "md5-sha1"},
        "WebhookValidationError",
        "Unsupported HMAC algorithm: md5-sha1",
    ),
    (
        {"rate_limit": {"limit": 0}},
        "ValidationError",
        "limit must be a whole number from 1 to 2147483647.",
    ),
    (
        {"shared_secret": "nul\0"},
        "ValidationError",
        "shared_secret must not contain NUL characters.",
    ),
]
bodies = st.sampled_from(
    [{"b": 1, "a": [True]}, None, "text ü", b"\xffraw", {"nul\0": "\ud83d"}, [1]]
)

# --- retries

policies = st.sampled_from(
    [
        {},
        {"max_attempts": 2, "initial_delay_seconds": 60.0, "jitter_factor": 0.0},
        {"max_attempts": 5, "initial_delay_seconds": 0.0},
        {"max_attempts": 4, "initial_delay_seconds": 600.0, "max_delay_seconds": None},
        {"max_attempts": 1},
    ]
)
_UNKNOWN = (
    "retry policy has unknown fields: 'attempts'. Known: max_attempts, initial_delay_seconds, backoff_factor, "
    "max_delay_seconds, jitter_factor."
)
BAD_POLICIES: list[tuple[Any, str, str]] = [
    (
        {"max_attempts": 0},
        "ValidationError",
        "max_attempts must be a whole number from 1 to 2147483647.",
    ),
    (
        {"jitter_factor": 2},
        "ValidationError",
        "jitter_factor must be a finite number from 0 to 1.",
    ),
    (
        {"attempts": 1},
        "ValidationError",
        _UNKNOWN,
    ),
]

# --- listeners

ENTRIES: list[Any] = [
    {"platform": "telegram", "node_name": "tg", "token": "t1", "dedupe_window_seconds": 60},
    {"platform": " Telegram", "name": "tg", "token": "t1", "type": "listener", "x": {"y": [1]}},
    {"platform": "discord", "node_name": "dc"},
    {
        "platform": "discord",
        "node_name": "dc",
        "bot_identity_key": "own",
        "dedupe_window_seconds": "0",
    },
    {"platform": "qq", "node_name": "a:b", "bot_identity_key": "c", "dedupe_window_seconds": None},
    {
        "platform": "qq",
        "node_name": "a",
        "bot_identity_key": "b:c",
    },  # the same id, another listener
    {"platform": "fax", "node_name": "fx"},
    {"platform": "qq", "node_name": " "},
    "not one",
]
_listed = st.lists(st.sampled_from(ENTRIES), max_size=4)
graphs = st.one_of(
    st.lists(st.sampled_from(ENTRIES[:3]), min_size=1, max_size=2).map(
        lambda found: {"index": {"listeners": found}}
    ),
    _listed.map(lambda found: {"index": {"listeners": found}}),
    st.sampled_from([{}, {"index": None}, {"index": []}, {"index": {"listeners": {}}}]),
)
statuses = st.sampled_from(["active", "active", "paused", "paused", "blocked", "error", "disabled"])
runtimes = mostly(["one", "two"], ["nul\0"])
cursors = st.sampled_from(
    [{}, {"telegram_offset": 7}, {"qq_session_id": "s", "qq_sequence": -1, "metadata": {"k": [1]}}]
)
events = st.builds(
    lambda key, more: {
        "platform": "telegram", "event_type": "message", "dedupe_key": key, "bot_identity": "telegram:t1", **more
    },
    st.sampled_from(["k1", "k2", "k1", "nul\0"]),
    st.sampled_from(
        [{}, {"message": {"text": "hi ü", "chat_id": "1"}}, {"raw_event": {"nul\0": 1}, "metadata": {"m": 1}}]
    ),
)  # fmt: skip
