-- 3000 workflows, of which 100 have 200 checkpoints each; the best of each is version 4.

-- sample: workflow_id = "trained 3"
-- sample: id = "checkpoint 3 7"
-- sample: metrics_contains = {"epoch": 7}
-- sample: metrics_conditions = [{"path": "strict $.\"accuracy\"", "op": "ge", "value": 0.9}]
-- sample: metadata_contains = {"summary": {"ok": true}}
-- sample: metadata_conditions = [{"path": "strict $.\"epoch\"", "op": "exists"}]
-- sample: keep_last = 2
-- sample: before_version = 150
-- sample: metrics = {"accuracy": 0.5}
-- sample: insert_checkpoint.id = "new"
-- sample: insert_checkpoint.config_version = null
-- sample: is_best = true
-- sample: insert_checkpoint/conflict.config_version = 7

INSERT INTO agentensor_workflows (workflow_id, latest_version)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 3000
)
SELECT 'trained ' || n, 200
FROM numbers;

INSERT INTO agentensor_checkpoints (
    workflow_id, config_version, id, metrics, metadata, artifact_url, created_at, runnable_config
)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 200
)
SELECT
    'trained ' || w.n,
    v.n,
    'checkpoint ' || w.n || ' ' || v.n,
    printf('{"epoch":%d,"accuracy":0.%d}', v.n, v.n),
    '{"epoch":1,"summary":{"ok":true}}',
    NULL,
    strftime('%Y-%m-%dT%H:%M:%S', 1735689600 + v.n, 'unixepoch') || '.000000Z',
    '{}'
FROM numbers AS w
CROSS JOIN numbers AS v
WHERE w.n <= 100;

UPDATE agentensor_workflows SET best_version = 4
WHERE workflow_id IN (SELECT workflow_id FROM agentensor_checkpoints);
