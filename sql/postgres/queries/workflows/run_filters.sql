-- Lists of runs that meet filters, newest first: as in run_lists.sql one query per leading column.
-- A filter that is NULL does not apply; docs/filters.md tells what containment and conditions mean. PostgreSQL plans
-- these anew for each call, so that the plan fits the filters that are given.

-- name: filter_runs(created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List runs, newest first, that meet filters.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__created in order
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains::jsonb IS NULL OR i.input_payload::jsonb @> :input_contains::jsonb)
    AND (:input_conditions::jsonb IS NULL OR json_meets(i.input_payload::jsonb, :input_conditions::jsonb))
    AND (:output_contains::jsonb IS NULL OR o.output_payload::jsonb @> :output_contains::jsonb)
    AND (:output_conditions::jsonb IS NULL OR json_meets(o.output_payload::jsonb, :output_conditions::jsonb))
    AND (:metadata_contains::jsonb IS NULL OR i.metadata @> :metadata_contains::jsonb)
    AND (:metadata_conditions::jsonb IS NULL OR json_meets(i.metadata, :metadata_conditions::jsonb))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: filter_runs_by_workflow(workflow_id, triggered_by, created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List the runs of one workflow, newest first, that meet filters.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__workflow_created in order
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.workflow_id = :workflow_id
    AND (:triggered_by::text IS NULL OR r.triggered_by = :triggered_by::text)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains::jsonb IS NULL OR i.input_payload::jsonb @> :input_contains::jsonb)
    AND (:input_conditions::jsonb IS NULL OR json_meets(i.input_payload::jsonb, :input_conditions::jsonb))
    AND (:output_contains::jsonb IS NULL OR o.output_payload::jsonb @> :output_contains::jsonb)
    AND (:output_conditions::jsonb IS NULL OR json_meets(o.output_payload::jsonb, :output_conditions::jsonb))
    AND (:metadata_contains::jsonb IS NULL OR i.metadata @> :metadata_contains::jsonb)
    AND (:metadata_conditions::jsonb IS NULL OR json_meets(i.metadata, :metadata_conditions::jsonb))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: filter_runs_by_workflow_and_status(workflow_id, status, triggered_by, created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List the runs of one workflow that are in one state, newest first, that meet filters.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__workflow_status_created in order
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.workflow_id = :workflow_id AND r.status = :status
    AND (:triggered_by::text IS NULL OR r.triggered_by = :triggered_by::text)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains::jsonb IS NULL OR i.input_payload::jsonb @> :input_contains::jsonb)
    AND (:input_conditions::jsonb IS NULL OR json_meets(i.input_payload::jsonb, :input_conditions::jsonb))
    AND (:output_contains::jsonb IS NULL OR o.output_payload::jsonb @> :output_contains::jsonb)
    AND (:output_conditions::jsonb IS NULL OR json_meets(o.output_payload::jsonb, :output_conditions::jsonb))
    AND (:metadata_contains::jsonb IS NULL OR i.metadata @> :metadata_contains::jsonb)
    AND (:metadata_conditions::jsonb IS NULL OR json_meets(i.metadata, :metadata_conditions::jsonb))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: filter_runs_by_status(status, created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List runs that are in one state, newest first, that meet filters.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__status_created in order
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.status = :status
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains::jsonb IS NULL OR i.input_payload::jsonb @> :input_contains::jsonb)
    AND (:input_conditions::jsonb IS NULL OR json_meets(i.input_payload::jsonb, :input_conditions::jsonb))
    AND (:output_contains::jsonb IS NULL OR o.output_payload::jsonb @> :output_contains::jsonb)
    AND (:output_conditions::jsonb IS NULL OR json_meets(o.output_payload::jsonb, :output_conditions::jsonb))
    AND (:metadata_contains::jsonb IS NULL OR i.metadata @> :metadata_contains::jsonb)
    AND (:metadata_conditions::jsonb IS NULL OR json_meets(i.metadata, :metadata_conditions::jsonb))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: filter_runs_by_trigger(triggered_by, status, created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List runs by what triggered them and, optionally, their state, newest first, that meet filters.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__trigger_created in order
-- Differs: PostgreSQL limits the size of an index entry, so its index holds the beginning of the trigger. The coalesce
-- keeps the planner from counting the same condition twice, which would make it expect too few rows to use the order.
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    left(r.triggered_by, 64) = left(:triggered_by::text, 64) AND coalesce(r.triggered_by = :triggered_by::text, FALSE)
    AND (:status::text IS NULL OR r.status = :status::text)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains::jsonb IS NULL OR i.input_payload::jsonb @> :input_contains::jsonb)
    AND (:input_conditions::jsonb IS NULL OR json_meets(i.input_payload::jsonb, :input_conditions::jsonb))
    AND (:output_contains::jsonb IS NULL OR o.output_payload::jsonb @> :output_contains::jsonb)
    AND (:output_conditions::jsonb IS NULL OR json_meets(o.output_payload::jsonb, :output_conditions::jsonb))
    AND (:metadata_contains::jsonb IS NULL OR i.metadata @> :metadata_contains::jsonb)
    AND (:metadata_conditions::jsonb IS NULL OR json_meets(i.metadata, :metadata_conditions::jsonb))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: find_runs(workflow_id, status, triggered_by, created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List runs, newest first, that meet filters of which one contains a text or a whole number. This finds them by index;
-- workflow, status and trigger are filters too.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__created in order
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
-- Differs: SQLite looks for their words in its search index, newest first as in search_runs, and compares the documents
-- then; PostgreSQL has GIN indexes on the documents.
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    (:workflow_id::uuid IS NULL OR r.workflow_id = :workflow_id::uuid)
    AND (:status::text IS NULL OR r.status = :status::text)
    AND (:triggered_by::text IS NULL OR r.triggered_by = :triggered_by::text)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains::jsonb IS NULL OR i.input_payload::jsonb @> :input_contains::jsonb)
    AND (:input_conditions::jsonb IS NULL OR json_meets(i.input_payload::jsonb, :input_conditions::jsonb))
    AND (:output_contains::jsonb IS NULL OR o.output_payload::jsonb @> :output_contains::jsonb)
    AND (:output_conditions::jsonb IS NULL OR json_meets(o.output_payload::jsonb, :output_conditions::jsonb))
    AND (:metadata_contains::jsonb IS NULL OR i.metadata @> :metadata_contains::jsonb)
    AND (:metadata_conditions::jsonb IS NULL OR json_meets(i.metadata, :metadata_conditions::jsonb))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;
