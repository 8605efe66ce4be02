-- Runs: one at a time. Columns follow structs.WorkflowRun; payloads stand in tables of their own (written once).
-- State changes are conditional: no row means that the run is missing or not in a state that allows the change.

-- name: get_run(id)^
-- Get one run by its id.
-- Returns: WorkflowRun
-- Index: uq_workflow_runs__id, workflow_run_inputs_pkey
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE r.id = :id;

-- name: get_run_eligibility(workflow_id, workflow_version_id)^
-- Tell whether a run of this version may be created, and from which stored config; no row when the workflow is missing.
-- Returns: RunEligibility
-- Index: workflows_pkey
SELECT w.is_archived, v.id IS NOT NULL AS has_version, v.runnable_config
FROM workflows AS w
LEFT JOIN workflow_versions AS v ON v.id = :workflow_version_id AND v.workflow_id = w.id
WHERE w.id = :workflow_id;

-- name: insert_run(id, workflow_id, workflow_version_id, triggered_by, input_payload, runnable_config, now, event, search_text, config_text, hand_off)^
-- Create a pending run of an active workflow; without a config of its own it takes the version's. It keeps the retry
-- policy of this moment; with :hand_off, it goes to the outbox as well.
-- No row when the workflow is missing or archived, or the version is not one of its own.
-- Returns: WorkflowRun
-- Locks: FOR KEY SHARE: the workflow against being archived until the run is committed; nothing else waits for it.
-- Differs: SQLite writes payload and search row with statements of their own, PostgreSQL in CTEs.
WITH eligible AS (
    SELECT
        w.id AS workflow_id, v.id AS workflow_version_id,
        coalesce(:runnable_config::json, v.default_run_config) AS runnable_config,
        coalesce(:config_text::text, v.default_run_text) AS config_text
    FROM workflows AS w
    INNER JOIN workflow_versions AS v ON v.workflow_id = w.id
    WHERE w.id = :workflow_id AND NOT w.is_archived AND v.id = :workflow_version_id
    FOR KEY SHARE OF w
),
r AS (
    INSERT INTO workflow_runs (
        id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
        is_handed_off
    )
    SELECT
        :id, workflow_id, workflow_version_id, 'pending', :triggered_by,
        :now::timestamptz, :now::timestamptz, jsonb_build_array(:event::jsonb),
        (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = eligible.workflow_id), :hand_off
    FROM eligible
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
i AS (
    INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
    SELECT r.run_number, :input_payload::json, eligible.runnable_config FROM r CROSS JOIN eligible
    RETURNING input_payload, runnable_config
),
indexed AS (
    INSERT INTO workflow_run_search (run_number, search_text)
    SELECT r.run_number, :search_text::text || eligible.config_text FROM r CROSS JOIN eligible
),
handed AS (
    INSERT INTO run_outbox (run_id, available_at, attempts, created_at)
    SELECT r.id, :now::timestamptz, 0, :now::timestamptz FROM r WHERE :hand_off
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
CROSS JOIN i;

-- name: start_run(id, now, event)^
-- Move a pending run to running.
-- Returns: WorkflowRun
UPDATE workflow_runs
SET
    status = 'running',
    started_at = :now,
    updated_at = greatest(updated_at, :now),
    audit_log = audit_log || :event::jsonb
WHERE id = :id AND status = 'pending'
RETURNING
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by,
    (
        SELECT i.input_payload FROM workflow_run_inputs AS i WHERE i.run_number = workflow_runs.run_number
    ) AS input_payload,
    (
        SELECT i.runnable_config FROM workflow_run_inputs AS i WHERE i.run_number = workflow_runs.run_number
    ) AS runnable_config,
    NULL::json AS output_payload, started_at, completed_at, error;

-- name: succeed_run(id, output_payload, now, event, output_text)^
-- Move a running run to succeeded and keep its output.
-- Returns: WorkflowRun
-- Differs: SQLite writes output and search row with statements of their own, PostgreSQL in CTEs.
WITH r AS (
    UPDATE workflow_runs
    SET
        status = 'succeeded',
        completed_at = :now,
        error = NULL,
        updated_at = greatest(updated_at, :now),
        audit_log = audit_log || :event::jsonb
    WHERE id = :id AND status = 'running'
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
kept AS (
    INSERT INTO workflow_run_outputs (run_number, output_payload) SELECT run_number, :output_payload::json FROM r
),
indexed AS (
    UPDATE workflow_run_search SET search_text = search_text || :output_text
    FROM r
    WHERE workflow_run_search.run_number = r.run_number AND :output_text <> ''
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, :output_payload::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number;

-- name: fail_run(id, error, now, event, error_text)^
-- Move a pending or running run to failed and keep the reason.
-- Returns: WorkflowRun
-- Null: error (the caller does not say why)
-- Differs: SQLite writes the search row with a second statement, PostgreSQL in a CTE.
WITH r AS (
    UPDATE workflow_runs
    SET
        status = 'failed',
        completed_at = :now,
        error = :error,
        updated_at = greatest(updated_at, :now),
        audit_log = audit_log || :event::jsonb
    WHERE id = :id AND status IN ('pending', 'running')
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
indexed AS (
    UPDATE workflow_run_search SET search_text = search_text || :error_text
    FROM r
    WHERE workflow_run_search.run_number = r.run_number AND :error_text <> ''
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number;

-- name: cancel_run(id, reason, now, event, error_text)^
-- Move a pending or running run to cancelled and keep the reason, if any.
-- Returns: WorkflowRun
-- Differs: SQLite writes the search row with a second statement, PostgreSQL in a CTE.
WITH r AS (
    UPDATE workflow_runs
    SET
        status = 'cancelled',
        completed_at = :now,
        error = :reason,
        updated_at = greatest(updated_at, :now),
        audit_log = audit_log || :event::jsonb
    WHERE id = :id AND status IN ('pending', 'running')
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
indexed AS (
    UPDATE workflow_run_search SET search_text = search_text || :error_text
    FROM r
    WHERE workflow_run_search.run_number = r.run_number AND :error_text <> ''
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number;

-- name: prune_runs(created_before, limit)!
-- Delete up to :limit finished runs that were created before a time, oldest first, with all that belongs to them. Those
-- of a chain of retries that goes on stay: it counts by them.
-- Index: ix_workflow_runs__created in order
-- Locks: FOR UPDATE SKIP LOCKED: two that prune at once take different runs.
-- Differs: SQLite has one writer; here, two that prune at once take different runs. In a CTE, which is run once: a
-- subquery may be run for each row, and lock other runs each time.
WITH prunable AS MATERIALIZED (
    SELECT r.run_number
    FROM workflow_runs AS r
    WHERE
        r.created_at < :created_before AND r.status IN ('succeeded', 'failed', 'cancelled')
        AND NOT EXISTS (
            SELECT 1
            FROM (
                SELECT r.id AS first_run_id
                UNION ALL
                SELECT a.first_run_id FROM workflow_run_retries AS a WHERE a.failed_run_id = r.id
                UNION ALL
                SELECT b.first_run_id FROM workflow_run_retries AS b WHERE b.run_id = r.id
            ) AS chain
            INNER JOIN workflow_run_retries AS d ON d.first_run_id = chain.first_run_id
            LEFT JOIN workflow_runs AS again ON again.id = d.run_id
            WHERE d.status = 'waiting' OR again.status IN ('pending', 'running')
        )
    ORDER BY r.created_at, r.id
    LIMIT :limit
    FOR UPDATE OF r SKIP LOCKED
)
DELETE FROM workflow_runs
USING prunable
WHERE workflow_runs.run_number = prunable.run_number;
