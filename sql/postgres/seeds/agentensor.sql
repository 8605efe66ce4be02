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
SELECT 'trained ' || n, 200
FROM generate_series(1, 3000) AS n;

INSERT INTO agentensor_checkpoints (
    workflow_id, config_version, id, metrics, metadata, artifact_url, created_at, runnable_config
)
SELECT
    'trained ' || w,
    v,
    'checkpoint ' || w || ' ' || v,
    format('{"epoch":%s,"accuracy":0.%s}', v, v)::json,
    '{"epoch":1,"summary":{"ok":true}}'::json,
    NULL,
    '2025-01-01T00:00:00Z'::timestamptz + v * interval '1 s',
    '{}'::json
FROM generate_series(1, 100) AS w CROSS JOIN generate_series(1, 200) AS v;

UPDATE agentensor_workflows SET best_version = 4
WHERE workflow_id IN (SELECT workflow_id FROM agentensor_checkpoints);
