-- Runs that somebody asks for, all or none.

-- name: insert_manual_runs(workflow_id, runs, count, triggered_by, now, event)
-- Create pending runs of an active workflow: :runs is a list of objects with id, workflow_version_id (null for the
-- latest), input_payload and search_text. No row when the workflow is missing or archived, or one of the versions is
-- not one of its own: then none is created.
-- Returns: WorkflowRun
-- Index: workflows_pkey, uq_workflow_versions__workflow_id__id
-- Locks: FOR KEY SHARE: the workflow against being archived until the runs are committed.
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
WITH eligible AS (
    SELECT
        w.id,
        (
            SELECT v.id FROM workflow_versions AS v WHERE v.workflow_id = w.id AND v.version = w.latest_version
        ) AS latest_version_id
    FROM workflows AS w
    WHERE w.id = :workflow_id AND NOT w.is_archived
    FOR KEY SHARE
),
wanted AS (
    -- Each run finds its version by its id: a condition on both columns would compare all runs with all versions.
    SELECT
        run.id, run.input_payload, run.search_text, v.id AS workflow_version_id, v.default_run_config,
        v.default_run_text
    FROM eligible
    CROSS JOIN
        json_to_recordset(:runs::json) AS run (
            id uuid, workflow_version_id uuid, input_payload json, search_text text
        )
    INNER JOIN workflow_versions AS v
        ON v.workflow_id = eligible.id AND v.id = coalesce(run.workflow_version_id, eligible.latest_version_id)
),
r AS (
    INSERT INTO workflow_runs (
        id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
        is_handed_off
    )
    SELECT
        wanted.id, :workflow_id, wanted.workflow_version_id, 'pending', :triggered_by,
        :now::timestamptz, :now::timestamptz, jsonb_build_array(:event::jsonb),
        (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = :workflow_id), TRUE
    FROM wanted
    WHERE (SELECT count(each_wanted.id) FROM wanted AS each_wanted) = :count
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
i AS (
    INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
    SELECT r.run_number, wanted.input_payload, wanted.default_run_config FROM r INNER JOIN wanted ON wanted.id = r.id
    RETURNING run_number, input_payload, runnable_config
),
indexed AS (
    INSERT INTO workflow_run_search (run_number, search_text)
    SELECT r.run_number, wanted.search_text || wanted.default_run_text FROM r INNER JOIN wanted ON wanted.id = r.id
),
handed AS (
    INSERT INTO run_outbox (run_id, available_at, attempts, created_at)
    SELECT r.id, :now::timestamptz, 0, :now::timestamptz FROM r
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
INNER JOIN i ON i.run_number = r.run_number
ORDER BY r.id;
