-- Webhooks of 1900 of the workflows, with 10 places and 10 signatures each, one of which never expires. Ids count:
-- 00000009-… revisions.

-- sample: get_webhook.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: put_webhook.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: put_webhook.config = {"allowed_methods": ["POST"]}
-- sample: shared_secret = "v1:sealed"
-- sample: hmac_secret = "v1:sealed"
-- sample: clear_slots = true
-- sample: replaces = "00000009-0000-4000-8000-000000000002"
-- sample: put_webhook.revision = "00000009-0000-4000-8000-ffffffffffff"
-- sample: delete_webhook.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: accept_webhook_call.workflow_id = "00000001-0000-4000-8000-000000000001"
-- sample: accept_webhook_call.revision = "00000009-0000-4000-8000-000000000001"
-- sample: digest = "never seen"
-- sample: signature_expires_at = "2026-01-01T00:05:00.000000Z"
-- sample: slot_limit = 60
-- sample: counted_from = "2026-01-01T00:00:00.000000Z"
-- sample: get_webhook_refusal.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: get_webhook_refusal.digest = "digest 3"
-- sample: prune_webhook_signatures.now = "2025-03-01T00:02:00.000000Z"
-- sample: accepted_before = "2025-03-01T00:02:00.000000Z"

INSERT INTO webhook_triggers (
    workflow_id, config, shared_secret, hmac_secret, slots, slot_set, revision, created_at, updated_at
)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 1900
)
SELECT
    printf('00000001-0000-4000-8000-%012x', n),
    '{"allowed_methods":["POST"]}', NULL, 'v1:sealed', 10,
    printf('00000009-0000-4000-8000-%012x', n), printf('00000009-0000-4000-8000-%012x', n),
    '2025-03-01T00:00:00.000000Z', '2025-03-01T00:00:00.000000Z'
FROM numbers;

INSERT INTO webhook_slots (workflow_id, slot_set, slot, used_at)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 10
)
SELECT t.workflow_id, t.slot_set, n, strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-03-01', printf('+%d minutes', n))
FROM webhook_triggers AS t
CROSS JOIN numbers;

INSERT INTO webhook_signatures (workflow_id, digest, accepted_at, expires_at)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 10
)
SELECT
    t.workflow_id, 'digest ' || n,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-03-01', printf('+%d seconds', n)),
    CASE WHEN n < 10 THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-03-01', printf('+%d minutes', n)) END
FROM webhook_triggers AS t
CROSS JOIN numbers;
