-- 20000 snapshots, a tenth of them complete.

-- sample: run_id = "orchestrated 7"
-- sample: save_snapshot.run_id = "orchestrated new"
-- sample: status = "complete"
-- sample: contains = {"round": 7}
-- sample: conditions = [{"path": "strict $.\"round\"", "op": "ge", "value": 7}]
-- sample: before_at = "2025-01-01T03:00:00.000000Z"
-- sample: after_id = "orchestrated 70"
-- sample: task_counts = {"planned": 1, "ready": 0, "active": 0, "complete": 2, "failed": 0}
-- sample: tags = ["nightly"]
-- sample: state = {"round": 1}
-- sample: created_at = "2025-01-01T00:00:00.000000Z"
-- sample: search = "module 77"

INSERT INTO run_snapshots (
    run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 20000
)
SELECT
    'orchestrated ' || n,
    'thread ' || n,
    'Refactor module ' || n,
    CASE WHEN n % 10 = 0 THEN 'complete' ELSE 'running' END,
    '',
    '{"planned":1,"ready":0,"active":0,"complete":0,"failed":0}',
    '[]',
    strftime('%Y-%m-%dT%H:%M:%S', 1735689600 + n, 'unixepoch') || '.000000Z',
    strftime('%Y-%m-%dT%H:%M:%S', 1735689600 + n, 'unixepoch') || '.000000Z'
FROM numbers;

INSERT INTO run_snapshot_states (run_id, state)
SELECT run_id, json_object('round', cast(substr(run_id, 14) AS INTEGER) % 50) FROM run_snapshots;

INSERT INTO run_snapshot_search (run_id, search_text)
SELECT run_id, lower(objective) FROM run_snapshots;
