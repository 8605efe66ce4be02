-- Every fifth run went to the outbox; 2000 are still there, of which the first hundred are claimed.

-- sample: claim_id = "0000000a-0000-4000-8000-000000000001"
-- sample: consumer = "worker 1"
-- sample: lease_until = "2026-01-01T00:01:00.000000Z"
-- sample: claim_outbox.now = "2025-03-01T12:00:00.000000Z"
-- sample: available_at = "2026-01-01T00:01:00.000000Z"
-- sample: entries = [{"run_id": "00000003-0000-4000-8000-000000000005", "claim_id": "0000000a-0000-4000-8000-000000000001"}]
-- sample: sweep_outbox.created_before = "2026-01-01T00:00:00.000000Z"
-- sample: list_outbox.after_at = "0001-01-01T00:00:00.000000Z"
-- sample: fail_stale_runs.status = "running"
-- sample: updated_before = "2026-01-01T00:00:00.000000Z"
-- sample: reason = "abandoned"
-- sample: error_text = "abandoned"

INSERT INTO run_outbox (run_id, available_at, claim_id, consumer, attempts, created_at)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 2000
)
SELECT
    printf('00000003-0000-4000-8000-%012x', n * 5),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-03-01', printf('+%d minutes', n)),
    CASE WHEN n <= 100 THEN '0000000a-0000-4000-8000-000000000001' END,
    CASE WHEN n <= 100 THEN 'worker 1' END,
    n <= 100,
    '2025-03-01T00:00:00.000000Z'
FROM numbers;

UPDATE workflow_runs SET is_handed_off = 1
WHERE substr(id, -1) IN ('0', '5', 'a', 'f');
