-- Retry policies of every workflow, three each, and a chain of two retries for every tenth run: the first one done, by
-- the run that follows it; the second one waiting.

-- sample: run_id = "00000003-0000-4000-8000-00000000000a"
-- sample: first_run_id = "00000003-0000-4000-8000-00000000000a"
-- sample: failed_run_id = "00000003-0000-4000-8000-00000000000b"
-- sample: retry_number = 2
-- sample: insert_retry.retry_number = 3
-- sample: delay_seconds = 1.5
-- sample: schedule_revision = null
-- sample: put_retry_policy.config = {"max_attempts": 9}
-- sample: list_due_retries.now = "2026-01-01T00:00:00.000000Z"
-- sample: list_due_retries.after_at = "0001-01-01T00:00:00.000000Z"
-- sample: list_due_retries.after_id = "00000000-0000-0000-0000-000000000000"
-- sample: list_due_retries.after_number = 0
-- sample: count = 1
-- sample: insert_manual_runs.workflow_id = "00000001-0000-4000-8000-000000000001"
-- sample: insert_manual_runs.runs = [{"id": "00000009-0000-4000-8000-000000000001", "workflow_version_id": null, "input_payload": {"a": 1}, "search_text": "a"}]

INSERT INTO retry_policies (workflow_id, number, config, created_at)
SELECT w.id, n, '{"max_attempts":5}'::json, timestamptz '2025-03-01 00:00:00+00'
FROM workflows AS w
CROSS JOIN generate_series(1, 3) AS n;

INSERT INTO workflow_run_retries (
    first_run_id, retry_number, failed_run_id, run_id, scheduled_for, delay_seconds, status, created_at
)
SELECT
    ('00000003-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 1,
    ('00000003-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000003-0000-4000-8000-' || lpad(to_hex(n + 1), 12, '0'))::uuid,
    timestamptz '2025-03-01 00:00:00+00' + n * interval '1 minute', 30, 'done', timestamptz '2025-03-01 00:00:00+00'
FROM generate_series(10, 5000, 10) AS n
UNION ALL
SELECT
    ('00000003-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 2,
    ('00000003-0000-4000-8000-' || lpad(to_hex(n + 1), 12, '0'))::uuid,
    NULL,
    timestamptz '2025-03-01 00:00:00+00' + n * interval '1 hour', 60, 'waiting', timestamptz '2025-03-01 00:00:00+00'
FROM generate_series(10, 5000, 10) AS n;

UPDATE workflow_runs SET status = 'failed' WHERE id = '00000003-0000-4000-8000-00000000000b';
