-- Steps: what an execution did, in order. Columns follow structs.RunHistoryStep. Once written they never change.

-- name: append_step(execution_id, payload, search_text, now)^
-- Append a step under the next index, whatever the status; no row when there is no such history. Those who append to
-- one execution take turns at its row.
-- Returns: RunHistoryStep
-- Index: run_history_pkey
-- Null: search_text (steps are not searched)
-- Differs: SQLite counts, inserts and indexes with statements of their own, PostgreSQL in CTEs.
WITH h AS (
    UPDATE run_history
    SET step_count = step_count + 1, trace_last_span_at = greatest(trace_last_span_at, :now)
    WHERE execution_id = :execution_id
    RETURNING execution_id, step_count
),
s AS (
    INSERT INTO run_history_steps (execution_id, step_index, at, payload)
    SELECT execution_id, step_count - 1, :now, :payload::json FROM h
    RETURNING execution_id, step_index, at, payload
),
indexed AS (
    INSERT INTO run_history_search (execution_id, step_index, search_text)
    SELECT execution_id, step_index, :search_text::text FROM s WHERE :search_text::text IS NOT NULL
)
SELECT step_index AS "index", at, payload FROM s;

-- name: list_steps(execution_id, after_index, limit)
-- List the steps of an execution behind an index, in order.
-- Returns: RunHistoryStep
-- Index: run_history_steps_pkey in order
SELECT step_index AS "index", at, payload
FROM run_history_steps
WHERE execution_id = :execution_id AND step_index > :after_index
ORDER BY step_index
LIMIT :limit;

-- name: list_steps_of_histories(execution_ids)
-- List all steps of several executions, each one's in order.
-- Returns: StoredStep
-- Index: run_history_steps_pkey
-- Differs: PostgreSQL looks the items of an array up in the index, however many it expects.
SELECT execution_id, step_index AS "index", at, payload
FROM run_history_steps
WHERE execution_id = any(array(SELECT json_array_elements_text(:execution_ids::json)))
ORDER BY execution_id, step_index;
