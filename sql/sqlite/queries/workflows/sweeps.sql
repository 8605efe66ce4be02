-- Runs that their worker left behind.

-- name: fail_stale_runs(status, updated_before, reason, now, event, limit, error_text)
-- Mark up to :limit runs as failed that have been in one unfinished state, unchanged, since before a time.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__status_created
-- Differs: SQLite writes the search rows with a statement of its own; two that sweep at once take different runs on
-- PostgreSQL, and turns on SQLite.
UPDATE workflow_run_search SET search_text = search_text || :error_text
WHERE run_number IN (
    SELECT run_number
    FROM workflow_runs
    WHERE status = :status AND status IN ('pending', 'running') AND updated_at < :updated_before
    ORDER BY created_at, id
    LIMIT :limit
);

UPDATE workflow_runs
SET
    status = 'failed',
    completed_at = :now,
    error = :reason,
    updated_at = max(updated_at, :now),
    audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE
    run_number IN (
        SELECT run_number
        FROM workflow_runs
        WHERE status = :status AND status IN ('pending', 'running') AND updated_at < :updated_before
        ORDER BY created_at, id
        LIMIT :limit
    )
RETURNING
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by,
    (
        SELECT i.input_payload FROM workflow_run_inputs AS i WHERE i.run_number = workflow_runs.run_number
    ) AS input_payload,
    (
        SELECT i.runnable_config FROM workflow_run_inputs AS i WHERE i.run_number = workflow_runs.run_number
    ) AS runnable_config,
    NULL AS output_payload, started_at, completed_at, error;
