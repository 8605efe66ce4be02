-- Histories: one row for each execution, and what it was given. Columns follow structs.StoredHistory.
-- What is about one execution names it for each table that it reads: on a distributed server, one node runs it.

-- name: get_history(execution_id)^
-- Get the history of one execution, without its steps.
-- Returns: StoredHistory
-- Index: run_history_pkey, run_history_inputs_pkey
SELECT
    h.workflow_id, h.execution_id, i.inputs, i.runnable_config, i.tags, i.callbacks, i.metadata, h.run_name, h.status,
    h.started_at, h.completed_at, h.error, h.trace_id, h.trace_started_at, h.trace_completed_at, h.trace_last_span_at,
    h.step_count
FROM run_history AS h
INNER JOIN run_history_inputs AS i ON i.execution_id = h.execution_id
WHERE h.execution_id = :execution_id;

-- name: list_histories(workflow_id, before_at, before_id, limit)
-- List the histories of a workflow, newest first, without their steps.
-- Returns: RunHistoryRecord
-- Index: ix_run_history__workflow_started in order, run_history_inputs_pkey
SELECT
    h.workflow_id, h.execution_id, i.inputs, i.runnable_config, i.tags, i.callbacks, i.metadata, h.run_name, h.status,
    h.started_at, h.completed_at, h.error, h.trace_id, h.trace_started_at, h.trace_completed_at, h.trace_last_span_at
FROM run_history AS h
INNER JOIN run_history_inputs AS i ON i.execution_id = h.execution_id
WHERE h.workflow_id = :workflow_id AND (h.started_at, h.execution_id) < (:before_at, :before_id)
ORDER BY h.started_at DESC, h.execution_id DESC
LIMIT :limit;

-- name: list_counted_histories(workflow_id, before_at, before_id, limit)
-- List the histories of a workflow, newest first, with how many steps each has.
-- Returns: StoredHistory
-- Index: ix_run_history__workflow_started in order, run_history_inputs_pkey
SELECT
    h.workflow_id, h.execution_id, i.inputs, i.runnable_config, i.tags, i.callbacks, i.metadata, h.run_name, h.status,
    h.started_at, h.completed_at, h.error, h.trace_id, h.trace_started_at, h.trace_completed_at, h.trace_last_span_at,
    h.step_count
FROM run_history AS h
INNER JOIN run_history_inputs AS i ON i.execution_id = h.execution_id
WHERE h.workflow_id = :workflow_id AND (h.started_at, h.execution_id) < (:before_at, :before_id)
ORDER BY h.started_at DESC, h.execution_id DESC
LIMIT :limit;

-- name: start_history(workflow_id, execution_id, inputs, runnable_config, tags, callbacks, metadata, run_name, trace_id, trace_started_at, now)^
-- Begin the history of an execution; no row when it has one already.
-- Returns: StoredHistory
-- Differs: SQLite writes the two rows with two statements, PostgreSQL with CTEs.
WITH h AS (
    INSERT INTO run_history (
        execution_id, workflow_id, run_name, status, started_at, trace_id, trace_started_at, trace_last_span_at,
        step_count
    )
    VALUES (
        :execution_id, :workflow_id, :run_name, 'running', :now, :trace_id, :trace_started_at, :trace_started_at, 0
    )
    ON CONFLICT (execution_id) DO NOTHING
    RETURNING
        execution_id, workflow_id, run_name, status, error, started_at, completed_at, trace_id, trace_started_at,
        trace_completed_at, trace_last_span_at, step_count
),
i AS (
    INSERT INTO run_history_inputs (execution_id, tags, callbacks, metadata, runnable_config, inputs)
    SELECT execution_id, :tags::json, :callbacks::json, :metadata::json, :runnable_config::json, :inputs::json FROM h
    RETURNING execution_id, tags, callbacks, metadata, runnable_config, inputs
)
SELECT
    h.workflow_id, h.execution_id, i.inputs, i.runnable_config, i.tags, i.callbacks, i.metadata, h.run_name, h.status,
    h.started_at, h.completed_at, h.error, h.trace_id, h.trace_started_at, h.trace_completed_at, h.trace_last_span_at,
    h.step_count
FROM h
CROSS JOIN i;

-- name: end_history(execution_id, status, error, now)^
-- Move a running execution to a status that ends it.
-- Returns: StoredHistory
-- Index: run_history_pkey, run_history_inputs_pkey
-- Null: error
-- Differs: SQLite takes the documents in RETURNING, PostgreSQL joins them.
WITH h AS (
    UPDATE run_history
    SET
        status = :status,
        completed_at = :now,
        error = :error,
        trace_completed_at = :now,
        trace_last_span_at = coalesce(trace_last_span_at, :now)
    WHERE execution_id = :execution_id AND status = 'running'
    RETURNING
        execution_id, workflow_id, run_name, status, error, started_at, completed_at, trace_id, trace_started_at,
        trace_completed_at, trace_last_span_at, step_count
)
SELECT
    h.workflow_id, h.execution_id, i.inputs, i.runnable_config, i.tags, i.callbacks, i.metadata, h.run_name, h.status,
    h.started_at, h.completed_at, h.error, h.trace_id, h.trace_started_at, h.trace_completed_at, h.trace_last_span_at,
    h.step_count
FROM h
INNER JOIN run_history_inputs AS i ON i.execution_id = h.execution_id
WHERE i.execution_id = :execution_id;

-- name: finish_history(execution_id, status, error, payload, search_text, now)^
-- Append the last step of a running execution and move it to a status that ends it.
-- Returns: StoredHistory
-- Index: run_history_pkey, run_history_inputs_pkey
-- Null: error, search_text (steps are not searched)
-- Differs: SQLite writes step and search row with statements of their own, PostgreSQL in CTEs.
WITH h AS (
    UPDATE run_history
    SET
        status = :status,
        completed_at = :now,
        error = :error,
        trace_completed_at = :now,
        trace_last_span_at = greatest(trace_last_span_at, :now),
        step_count = step_count + 1
    WHERE execution_id = :execution_id AND status = 'running'
    RETURNING
        execution_id, workflow_id, run_name, status, error, started_at, completed_at, trace_id, trace_started_at,
        trace_completed_at, trace_last_span_at, step_count
),
s AS (
    INSERT INTO run_history_steps (execution_id, step_index, at, payload)
    SELECT execution_id, step_count - 1, :now, :payload::json FROM h
    RETURNING execution_id, step_index
),
indexed AS (
    INSERT INTO run_history_search (execution_id, step_index, search_text)
    SELECT execution_id, step_index, :search_text::text FROM s WHERE :search_text::text IS NOT NULL
)
SELECT
    h.workflow_id, h.execution_id, i.inputs, i.runnable_config, i.tags, i.callbacks, i.metadata, h.run_name, h.status,
    h.started_at, h.completed_at, h.error, h.trace_id, h.trace_started_at, h.trace_completed_at, h.trace_last_span_at,
    h.step_count
FROM h
INNER JOIN run_history_inputs AS i ON i.execution_id = h.execution_id
WHERE i.execution_id = :execution_id;

-- name: prune_histories(status, finished_before, limit)!
-- Delete up to :limit histories that ended in one status before a time, oldest first, with all that belongs to them.
-- Index: ix_run_history__status_completed in order
-- Locks: FOR UPDATE SKIP LOCKED: two that prune at once take different histories, and wait for nobody who deletes.
-- Differs: SQLite has one writer. In a CTE, which is run once: a subquery may be run for each row, and lock other
-- histories each time.
WITH old AS MATERIALIZED (
    SELECT execution_id FROM run_history
    WHERE status = :status AND completed_at < :finished_before
    ORDER BY completed_at, execution_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM run_history
USING old
WHERE run_history.execution_id = old.execution_id;

-- name: delete_histories_of_workflow(workflow_id, limit)!
-- Delete up to :limit histories of a workflow, oldest first, in any status.
-- Index: ix_run_history__workflow_started in order
-- Locks: FOR UPDATE: all are to go, so it waits for who holds one; a DELETE alone locks in no order of its own, and two
-- that do so at once would wait for each other.
-- Differs: SQLite has one writer, and needs no locks and no CTE to take them in.
WITH old AS MATERIALIZED (
    SELECT execution_id FROM run_history
    WHERE workflow_id = :workflow_id
    ORDER BY started_at, execution_id
    LIMIT :limit
    FOR UPDATE
)
DELETE FROM run_history
USING old
WHERE run_history.execution_id = old.execution_id;

-- name: delete_histories()!
-- Delete all histories.
-- Scan: deleting everything reads everything.
DELETE FROM run_history;
