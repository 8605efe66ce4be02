-- Listeners of the 2000 workflows: one each, and one subscription for every version, the last one current. Ids
-- count: 00000006-… listeners, 00000007-… subscriptions, the version in the second group. Every tenth workflow is
-- archived, so its subscriptions are disabled; every ninth listener is paused; a third of the active ones is leased.

-- sample: get_listener_subscription.id = "00000007-0003-4000-8000-000000000002"
-- sample: get_listener_state.id = "00000007-0003-4000-8000-000000000003"
-- sample: get_listener_state.runtime_id = "runtime-3"
-- sample: list_listener_subscriptions_by_workflow.only_served = false
-- sample: epoch = 1
-- sample: lock_workflow.id = "00000001-0000-4000-8000-000000000001"
-- sample: sync_listeners.workflow_version_id = "00000002-00c8-4000-8000-000000000001"
-- sample: sync_listeners.listeners = [{"id": "00000007-00c8-4000-8000-000000000001", "listener_key": "00000006-0000-4000-8000-000000000001", "node_name": "bot", "platform": "telegram", "bot_identity_key": "telegram:1", "config": {"token": "[[new]]"}}]
-- sample: update_listener_status.id = "00000007-0003-4000-8000-000000000002"
-- sample: update_listener_status.status = "paused"
-- sample: prune_listener_subscriptions.disabled_before = "2026-01-01T00:00:00.000000Z"
-- sample: claim_listener.id = "00000007-0003-4000-8000-000000000002"
-- sample: renew_listener.id = "00000007-0003-4000-8000-000000000003"
-- sample: renew_listener.runtime_id = "runtime-3"
-- sample: release_listener.id = "00000007-0003-4000-8000-000000000003"
-- sample: release_listener.runtime_id = "runtime-3"
-- sample: get_listener_cursor.id = "00000007-0003-4000-8000-000000000002"
-- sample: save_listener_cursor.id = "00000007-0003-4000-8000-000000000003"
-- sample: save_listener_cursor.runtime_id = "runtime-3"
-- sample: save_listener_cursor.cursor = {"subscription_id": "00000007-0003-4000-8000-000000000003", "telegram_offset": 7, "updated_at": "2026-01-02T03:04:05.000006Z"}
-- sample: dispatch_listener_event.id = "00000007-0003-4000-8000-000000000003"
-- sample: dispatch_listener_event.runtime_id = "runtime-3"
-- sample: dedupe_until = "2026-01-02T03:09:05.000006Z"
-- sample: prune_listener_dedupe.now = "2025-03-01T00:10:00.000000Z"

INSERT INTO listeners (listener_key, workflow_id, subscription_id, is_paused, cursor, created_at)
SELECT
    ('00000006-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000007-' || CASE WHEN n = 1 THEN '00c8' ELSE '0003' END || '-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    n % 9 = 0,
    CASE
        WHEN n % 2 = 0 THEN format(
            '{"subscription_id":"00000007-0003-4000-8000-%s","updated_at":"2025-03-01T00:00:00Z","qq_sequence":%s}',
            lpad(to_hex(n), 12, '0'), n
        )::json
    END,
    timestamptz '2025-02-01 00:00:00+00' + n * interval '1 minute'
FROM generate_series(1, 2000) AS n;

INSERT INTO listener_subscriptions (
    id, listener_key, workflow_id, workflow_version_id, node_name, platform, bot_identity_key, config, status,
    assigned_runtime, lease_expires_at, lease_epoch, last_event_at, created_at, updated_at, audit_log
)
SELECT
    ('00000007-' || lpad(to_hex(v), 4, '0') || '-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000006-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000002-' || lpad(to_hex(v), 4, '0') || '-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    'bot',
    'telegram',
    'telegram:' || n,
    '{"token":"[[bot]]","dedupe_window_seconds":300}'::json,
    CASE
        WHEN v < CASE WHEN n = 1 THEN 200 ELSE 3 END OR n % 10 = 0 THEN 'disabled'
        WHEN n % 9 = 0 THEN 'paused'
        ELSE 'active'
    END,
    CASE
        WHEN v = 3 AND n % 3 = 0 AND n % 9 <> 0 AND n % 10 <> 0 THEN 'runtime-' || (n % 9)
    END,
    CASE
        WHEN v = 3 AND n % 3 = 0 AND n % 9 <> 0 AND n % 10 <> 0 THEN timestamptz '2026-01-02 03:05:00+00'
    END,
    1,
    CASE WHEN v = 3 AND n % 2 = 0 THEN timestamptz '2025-03-01 00:00:00+00' + n * interval '1 second' END,
    timestamptz '2025-02-01 00:00:00+00' + n * interval '1 minute' + v * interval '1 second',
    timestamptz '2025-02-01 00:00:00+00' + n * interval '1 minute' + v * interval '2 seconds',
    jsonb_build_array(
        jsonb_build_object(
            'actor', 'ada', 'action', 'listener_subscription_synced', 'at', '2025-02-01T00:00:00.000000Z',
            'metadata', jsonb_build_object()
        )
    )
FROM generate_series(1, 2000) AS n
CROSS JOIN generate_series(1, CASE WHEN n = 1 THEN 200 ELSE 3 END) AS v;

INSERT INTO listener_dedupe (listener_key, dedupe_key, expires_at)
SELECT
    ('00000006-0000-4000-8000-' || lpad(to_hex(m % 1000 + 1), 12, '0'))::uuid,
    'telegram:' || m,
    timestamptz '2025-03-01 00:00:00+00' + m * interval '1 second'
FROM generate_series(1, 40000) AS m;
