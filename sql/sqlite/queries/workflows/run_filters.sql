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
    AND (:input_contains IS NULL OR json_contains(i.input_payload, :input_contains))
    AND (:input_conditions IS NULL OR json_meets(i.input_payload, :input_conditions))
    AND (:output_contains IS NULL OR json_contains(o.output_payload, :output_contains))
    AND (:output_conditions IS NULL OR json_meets(o.output_payload, :output_conditions))
    AND (:metadata_contains IS NULL OR json_contains(i.metadata, :metadata_contains))
    AND (:metadata_conditions IS NULL OR json_meets(i.metadata, :metadata_conditions))
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
    AND (:triggered_by IS NULL OR r.triggered_by = :triggered_by)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains IS NULL OR json_contains(i.input_payload, :input_contains))
    AND (:input_conditions IS NULL OR json_meets(i.input_payload, :input_conditions))
    AND (:output_contains IS NULL OR json_contains(o.output_payload, :output_contains))
    AND (:output_conditions IS NULL OR json_meets(o.output_payload, :output_conditions))
    AND (:metadata_contains IS NULL OR json_contains(i.metadata, :metadata_contains))
    AND (:metadata_conditions IS NULL OR json_meets(i.metadata, :metadata_conditions))
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
    AND (:triggered_by IS NULL OR r.triggered_by = :triggered_by)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains IS NULL OR json_contains(i.input_payload, :input_contains))
    AND (:input_conditions IS NULL OR json_meets(i.input_payload, :input_conditions))
    AND (:output_contains IS NULL OR json_contains(o.output_payload, :output_contains))
    AND (:output_conditions IS NULL OR json_meets(o.output_payload, :output_conditions))
    AND (:metadata_contains IS NULL OR json_contains(i.metadata, :metadata_contains))
    AND (:metadata_conditions IS NULL OR json_meets(i.metadata, :metadata_conditions))
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
    AND (:input_contains IS NULL OR json_contains(i.input_payload, :input_contains))
    AND (:input_conditions IS NULL OR json_meets(i.input_payload, :input_conditions))
    AND (:output_contains IS NULL OR json_contains(o.output_payload, :output_contains))
    AND (:output_conditions IS NULL OR json_meets(o.output_payload, :output_conditions))
    AND (:metadata_contains IS NULL OR json_contains(i.metadata, :metadata_contains))
    AND (:metadata_conditions IS NULL OR json_meets(i.metadata, :metadata_conditions))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: filter_runs_by_trigger(triggered_by, status, created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List runs by what triggered them and, optionally, their state, newest first, that meet filters.
-- Returns: WorkflowRun
-- Index: ix_workflow_runs__trigger_created in order
-- Differs: PostgreSQL limits the size of an index entry, so its index holds the beginning of the trigger.
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_runs AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
WHERE
    r.triggered_by = :triggered_by AND (:status IS NULL OR r.status = :status)
    AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
    AND (:input_contains IS NULL OR json_contains(i.input_payload, :input_contains))
    AND (:input_conditions IS NULL OR json_meets(i.input_payload, :input_conditions))
    AND (:output_contains IS NULL OR json_contains(o.output_payload, :output_contains))
    AND (:output_conditions IS NULL OR json_meets(o.output_payload, :output_conditions))
    AND (:metadata_contains IS NULL OR json_contains(i.metadata, :metadata_contains))
    AND (:metadata_conditions IS NULL OR json_meets(i.metadata, :metadata_conditions))
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;

-- name: find_runs(workflow_id, status, triggered_by, created_from, before_at, before_id, input_contains, input_conditions, output_contains, output_conditions, metadata_contains, metadata_conditions, limit)
-- List runs, newest first, that meet filters of which one contains a text or a whole number. This finds them by index;
-- workflow, status and trigger are filters too.
-- Returns: WorkflowRun
-- Index: workflow_run_search_index
-- Plan: custom; GIN for input_contains, output_contains, metadata_contains
-- Differs: SQLite looks for their words in its search index, newest first as in search_runs, and compares the documents
-- then; PostgreSQL has GIN indexes on the documents.
WITH hits AS NOT MATERIALIZED (
    SELECT
        workflow_run_search_index.rowid AS search_id,
        r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
        i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
    FROM workflow_run_search_index
    CROSS JOIN workflow_run_search AS s
    CROSS JOIN workflow_runs AS r
    CROSS JOIN workflow_run_inputs AS i
    LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
    WHERE
        s.search_id = workflow_run_search_index.rowid AND r.run_number = s.run_number AND i.run_number = r.run_number
        AND workflow_run_search_index MATCH
        filter_words(:input_contains, :output_contains, :metadata_contains)
        || coalesce(' AND owner_text : w' || replace(:workflow_id, '-', ''), '')
        || coalesce(' AND owner_text : "t' || replace(:triggered_by, '"', '""') || '"', '')
        AND workflow_run_search_index.rowid < (unixepoch(substr(:before_at, 1, 19)) + 1) << 20
        AND (:workflow_id IS NULL OR r.workflow_id = :workflow_id)
        AND (:status IS NULL OR r.status = :status)
        AND (:triggered_by IS NULL OR r.triggered_by = :triggered_by)
        AND r.created_at >= :created_from AND (r.created_at, r.id) < (:before_at, :before_id)
        AND (:input_contains IS NULL OR json_contains(i.input_payload, :input_contains))
        AND (:input_conditions IS NULL OR json_meets(i.input_payload, :input_conditions))
        AND (:output_contains IS NULL OR json_contains(o.output_payload, :output_contains))
        AND (:output_conditions IS NULL OR json_meets(o.output_payload, :output_conditions))
        AND (:metadata_contains IS NULL OR json_contains(i.metadata, :metadata_contains))
        AND (:metadata_conditions IS NULL OR json_meets(i.metadata, :metadata_conditions))
)
SELECT
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, input_payload, runnable_config,
    output_payload, started_at, completed_at, error
FROM hits
WHERE
    search_id >= (
        SELECT min(newest.search_id) >> 20 << 20
        FROM (
            SELECT search_id
            FROM hits
            WHERE search_id >= unixepoch(substr(:created_from, 1, 19)) << 20
            ORDER BY search_id DESC
            LIMIT :limit
        ) AS newest
    )
ORDER BY created_at DESC, id DESC
LIMIT :limit;
