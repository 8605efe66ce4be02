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
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 2000
)
SELECT
    printf('00000006-0000-4000-8000-%012x', n),
    printf('00000001-0000-4000-8000-%012x', n),
    printf('00000007-%s-4000-8000-%012x', CASE WHEN n = 1 THEN '00c8' ELSE '0003' END, n),
    n % 9 = 0,
    CASE
        WHEN n % 2 = 0 THEN printf(
            '{"subscription_id":"00000007-0003-4000-8000-%012x","updated_at":"2025-03-01T00:00:00Z","qq_sequence":%d}',
            n, n
        )
    END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01', printf('+%d minutes', n))
FROM numbers;

INSERT INTO listener_subscriptions (
    id, listener_key, workflow_id, workflow_version_id, node_name, platform, bot_identity_key, config, status,
    assigned_runtime, lease_expires_at, lease_epoch, last_event_at, created_at, updated_at, audit_log
)
WITH RECURSIVE numbers (n, v) AS (
    SELECT 1, 1
    UNION ALL
    SELECT
        CASE WHEN v < CASE WHEN n = 1 THEN 200 ELSE 3 END THEN n ELSE n + 1 END,
        CASE WHEN v < CASE WHEN n = 1 THEN 200 ELSE 3 END THEN v + 1 ELSE 1 END
    FROM numbers
    WHERE n < 2000 OR v < 3
)
SELECT
    printf('00000007-%04x-4000-8000-%012x', v, n),
    printf('00000006-0000-4000-8000-%012x', n),
    printf('00000001-0000-4000-8000-%012x', n),
    printf('00000002-%04x-4000-8000-%012x', v, n),
    'bot',
    'telegram',
    'telegram:' || n,
    '{"token":"[[bot]]","dedupe_window_seconds":300}',
    CASE
        WHEN v < CASE WHEN n = 1 THEN 200 ELSE 3 END OR n % 10 = 0 THEN 'disabled'
        WHEN n % 9 = 0 THEN 'paused'
        ELSE 'active'
    END,
    CASE
        WHEN v = 3 AND n % 3 = 0 AND n % 9 <> 0 AND n % 10 <> 0 THEN 'runtime-' || (n % 9)
    END,
    CASE
        WHEN v = 3 AND n % 3 = 0 AND n % 9 <> 0 AND n % 10 <> 0 THEN '2026-01-02T03:05:00.000000Z'
    END,
    1,
    CASE
        WHEN v = 3 AND n % 2 = 0
            THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-03-01', printf('+%d seconds', n))
    END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01', printf('+%d seconds', n * 60 + v)),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01', printf('+%d seconds', n * 60 + v * 2)),
    json_array(
        json_object(
            'actor', 'ada', 'action', 'listener_subscription_synced', 'at', '2025-02-01T00:00:00.000000Z',
            'metadata', json_object()
        )
    )
FROM numbers;

INSERT INTO listener_dedupe (listener_key, dedupe_key, expires_at)
WITH RECURSIVE numbers (m) AS (
    SELECT 1
    UNION ALL
    SELECT m + 1 FROM numbers WHERE m < 40000
)
SELECT
    printf('00000006-0000-4000-8000-%012x', m % 1000 + 1),
    'telegram:' || m,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-03-01', printf('+%d seconds', m))
FROM numbers;
