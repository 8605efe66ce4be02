-- Lists of runs, newest first: one query per leading column, so that each has the index that serves it.
-- Shared by all: a time window [created_from, before_at) and a keyset cursor (before_at, before_id). Nothing here is
-- optional: PostgreSQL plans these once for all, and would expect each optional filter to leave few rows over.

-- name: list_runs(created_from, before_at, before_id, limit)
-- List runs, newest first.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__created in order
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: list_runs_by_workflow(workflow_id, created_from, before_at, before_id, limit)
-- List the runs of one workflow, newest first.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__workflow_created in order
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.workflow_id = :workflow_id
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: list_runs_by_workflow_and_status(workflow_id, status, created_from, before_at, before_id, limit)
-- List the runs of one workflow that are in one state, newest first.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__workflow_status_created in order
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.workflow_id = :workflow_id AND r.status = :status
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: list_runs_by_status(status, created_from, before_at, before_id, limit)
-- List runs that are in one state, newest first.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__status_created in order
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.status = :status
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: list_runs_by_trigger(triggered_by, created_from, before_at, before_id, limit)
-- List runs by what triggered them, newest first.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__trigger_created in order
-- Differs: PostgreSQL limits the size of an index entry, so its index holds the beginning of the trigger. The coalesce
-- keeps the planner from counting the same condition twice, which would make it expect too few rows to use the order.
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    left(r.triggered_by, 64) = left(:triggered_by::text, 64) AND coalesce(r.triggered_by = :triggered_by::text, FALSE)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: count_runs()^
-- Count all runs by state.
-- Returns: RunStatusCounts
-- Scan: counting everything reads everything.
SELECT
    count(*) FILTER (WHERE status = 'pending') AS pending,
    count(*) FILTER (WHERE status = 'running') AS running,
    count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled
FROM workflow_runs;

-- name: count_runs_by_workflow(workflow_id)^
-- Count the runs of one workflow by state.
-- Returns: RunStatusCounts
-- Index: ix_workflow_runs__workflow_status_created
SELECT
    count(*) FILTER (WHERE status = 'pending') AS pending,
    count(*) FILTER (WHERE status = 'running') AS running,
    count(*) FILTER (WHERE status = 'succeeded') AS succeeded,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    count(*) FILTER (WHERE status = 'cancelled') AS cancelled
FROM workflow_runs
WHERE workflow_id = :workflow_id;
