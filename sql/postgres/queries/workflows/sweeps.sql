-- Runs that their worker left behind.

-- name: fail_stale_runs(status, updated_before, reason, now, event, limit, error_text)
-- Mark up to :limit runs as failed that have been in one unfinished state, unchanged, since before a time.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__status_created
-- Locks: FOR UPDATE SKIP LOCKED: two that sweep at once take different runs.
-- Differs: SQLite writes the search rows with a statement of its own; two that sweep at once take different runs on
-- PostgreSQL, and turns on SQLite.
WITH stale AS (
    SELECT run_number
    FROM workflow_runs
    WHERE status = :status AND status IN ('pending', 'running') AND updated_at < :updated_before
    ORDER BY created_at, id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
),
r AS (
    UPDATE workflow_runs
    SET
        status = 'failed',
        completed_at = :now,
        error = :reason,
        updated_at = greatest(updated_at, :now),
        audit_log = audit_log || :event::jsonb
    FROM stale
    WHERE workflow_runs.run_number = stale.run_number
    RETURNING
        workflow_runs.run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by,
        started_at, completed_at, error
),
indexed AS (
    UPDATE workflow_run_search SET search_text = search_text || :error_text
    FROM r
    WHERE workflow_run_search.run_number = r.run_number
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
ORDER BY r.created_at, r.id;
