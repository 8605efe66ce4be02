-- Runs that somebody asks for, all or none.

-- name: insert_manual_runs(workflow_id, runs, count, triggered_by, now, event)
-- Create pending runs of an active workflow: :runs is a list of objects with id, workflow_version_id (null for the
-- latest), input_payload and search_text. No row when the workflow is missing or archived, or one of the versions is
-- not one of its own: then none is created.
-- Returns: WorkflowRun
-- Index: sqlite_autoindex_workflows_1, sqlite_autoindex_workflow_versions_1
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
    is_handed_off
)
WITH eligible AS (
    SELECT
        w.id,
        (
            SELECT v.id FROM workflow_versions AS v WHERE v.workflow_id = w.id AND v.version = w.latest_version
        ) AS latest_version_id
    FROM workflows AS w
    WHERE w.id = :workflow_id AND NOT w.is_archived
),
-- Each run finds its version by its id, and CROSS JOIN keeps this order: else all runs are compared with all versions.
wanted AS (
    SELECT item.value ->> 'id' AS id, v.id AS workflow_version_id
    FROM eligible
    CROSS JOIN json_each(:runs) AS item
    CROSS JOIN workflow_versions AS v
    WHERE
        v.id = coalesce(item.value ->> 'workflow_version_id', eligible.latest_version_id)
        AND v.workflow_id = eligible.id
)
SELECT
    id, :workflow_id, workflow_version_id, 'pending', :triggered_by, :now, :now, json_array(json(:event)),
    (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = :workflow_id), 1
FROM wanted
WHERE (SELECT count(each_wanted.id) FROM wanted AS each_wanted) = :count;

INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
SELECT r.run_number, item.value -> 'input_payload', v.default_run_config
FROM json_each(:runs) AS item
INNER JOIN workflow_runs AS r ON r.id = item.value ->> 'id'
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id;

INSERT INTO workflow_run_search (run_number, search_text)
SELECT r.run_number, item.value ->> 'search_text' || v.default_run_text
FROM json_each(:runs) AS item
INNER JOIN workflow_runs AS r ON r.id = item.value ->> 'id'
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id;

INSERT INTO run_outbox (run_id, available_at, attempts, created_at)
SELECT r.id, :now, 0, :now
FROM json_each(:runs) AS item
INNER JOIN workflow_runs AS r ON r.id = item.value ->> 'id';

SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL AS output_payload, r.started_at, r.completed_at, r.error
FROM json_each(:runs) AS item
INNER JOIN workflow_runs AS r ON r.id = item.value ->> 'id'
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
ORDER BY r.id;
