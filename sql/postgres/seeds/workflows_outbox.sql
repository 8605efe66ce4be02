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
SELECT
    ('00000003-0000-4000-8000-' || lpad(to_hex(n * 5), 12, '0'))::uuid,
    timestamptz '2025-03-01 00:00:00+00' + n * interval '1 minute',
    CASE WHEN n <= 100 THEN '0000000a-0000-4000-8000-000000000001'::uuid END,
    CASE WHEN n <= 100 THEN 'worker 1' END,
    (n <= 100)::integer,
    timestamptz '2025-03-01 00:00:00+00'
FROM generate_series(1, 2000) AS n;

UPDATE workflow_runs SET is_handed_off = TRUE
WHERE right(id::text, 1) IN ('0', '5', 'a', 'f');
