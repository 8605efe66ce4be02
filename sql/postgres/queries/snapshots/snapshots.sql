-- Snapshots of an orchestrator's runs. Columns follow structs.RunSnapshot; lists leave the state out.

-- name: get_snapshot(run_id)^
-- Get one snapshot with its state.
-- Returns: RunSnapshot
-- Index: run_snapshots_pkey, run_snapshot_states_pkey
SELECT
    r.run_id, r.thread_id, r.objective, r.status, s.state, r.workspace_path, r.task_counts, r.tags, r.created_at,
    r.updated_at
FROM run_snapshots AS r
INNER JOIN run_snapshot_states AS s ON s.run_id = r.run_id
WHERE r.run_id = :run_id;

-- name: get_summary(run_id)^
-- Get what lists show of one snapshot.
-- Returns: RunSummary
-- Index: run_snapshots_pkey
SELECT run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
FROM run_snapshots
WHERE run_id = :run_id;

-- name: list_summaries(before_at, after_id, limit)
-- List snapshots without their states, newest first; equal times by id.
-- Returns: RunSummary
-- Index: ix_run_snapshots__created in order
SELECT run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
FROM run_snapshots
WHERE created_at <= :before_at AND (created_at < :before_at OR run_id > :after_id)
ORDER BY created_at DESC, run_id ASC
LIMIT :limit;

-- name: list_summaries_by_status(status, before_at, after_id, limit)
-- List the snapshots in one state, without their states, in the same order.
-- Returns: RunSummary
-- Index: ix_run_snapshots__status_created in order
SELECT run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
FROM run_snapshots
WHERE status = :status AND created_at <= :before_at AND (created_at < :before_at OR run_id > :after_id)
ORDER BY created_at DESC, run_id ASC
LIMIT :limit;

-- name: list_summaries_by_state(contains, conditions, status, before_at, after_id, limit)
-- List the snapshots whose state meets a filter, in the same order. What is NULL does not apply (docs/filters.md).
-- Returns: RunSummary
-- Null: contains (no such filter)
-- Index: ix_run_snapshots__created in order
-- Differs: both follow the order of the list, though not by themselves. SQLite takes CROSS JOIN in the order that is
-- written; PostgreSQL expects that one state in a hundred contains something, and would read and sort them all, but of
-- coalesce() it expects every other one.
SELECT
    r.run_id, r.thread_id, r.objective, r.status, r.workspace_path, r.task_counts, r.tags, r.created_at, r.updated_at
FROM run_snapshots AS r
INNER JOIN run_snapshot_states AS s ON s.run_id = r.run_id
WHERE
    r.created_at <= :before_at AND (r.created_at < :before_at OR r.run_id > :after_id)
    AND (:status::text IS NULL OR r.status = :status::text)
    AND coalesce(s.state::jsonb @> :contains::jsonb, TRUE)
    AND (:conditions::jsonb IS NULL OR json_meets(s.state::jsonb, :conditions::jsonb))
ORDER BY r.created_at DESC, r.run_id ASC
LIMIT :limit;

-- name: search_summaries(search, before_at, after_id, limit)
-- Find snapshots by the words of their objective, in the same order; :search is made by the library (docs/search.md).
-- Returns: RunSummary
-- Index: ix_run_snapshot_search__terms
-- Differs: a tsvector of ours has no positions, so phrases are compared with the stream; FTS5 decides them by itself.
SELECT
    r.run_id, r.thread_id, r.objective, r.status, r.workspace_path, r.task_counts, r.tags, r.created_at, r.updated_at
FROM run_snapshot_search AS s
INNER JOIN run_snapshots AS r ON r.run_id = s.run_id
WHERE
    (s.terms @@ (:search::jsonb ->> 'match')::tsquery OR s.terms IS NULL)
    AND NOT EXISTS (
        SELECT 1
        FROM
            jsonb_array_elements_text(
                :search::jsonb -> CASE WHEN s.terms IS NULL THEN 'patterns' ELSE 'phrases' END
            ) AS required (pattern)
        WHERE strpos(' ' || s.search_text || ' ', required.pattern) = 0
    )
    AND NOT EXISTS (
        SELECT 1
        FROM jsonb_array_elements_text(:search::jsonb -> 'excluded') AS excluded (pattern)
        WHERE strpos(' ' || s.search_text || ' ', excluded.pattern) > 0
    )
    AND r.created_at <= :before_at AND (r.created_at < :before_at OR r.run_id > :after_id)
ORDER BY r.created_at DESC, r.run_id ASC
LIMIT :limit;

-- name: save_snapshot(run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, now, state, search_text)^
-- Save a snapshot, new or in place of the last one, whose time of creation stays.
-- Returns: RunSummary
-- Differs: SQLite writes each row with a statement of its own, PostgreSQL with a CTE.
WITH saved AS (
    INSERT INTO run_snapshots AS r (
        run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
    )
    VALUES (
        :run_id, :thread_id, :objective, :status, :workspace_path, :task_counts::json, :tags::json,
        :created_at::timestamptz, :now::timestamptz
    )
    ON CONFLICT (run_id) DO UPDATE
        SET
            thread_id = excluded.thread_id,
            objective = excluded.objective,
            status = excluded.status,
            workspace_path = excluded.workspace_path,
            task_counts = excluded.task_counts,
            tags = excluded.tags,
            updated_at = greatest(r.updated_at, excluded.updated_at)
    RETURNING run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
),
kept AS (
    INSERT INTO run_snapshot_states (run_id, state)
    SELECT run_id, :state::json FROM saved
    ON CONFLICT (run_id) DO UPDATE SET state = excluded.state
),
indexed AS (
    INSERT INTO run_snapshot_search AS s (run_id, search_text)
    SELECT run_id, :search_text::text FROM saved
    ON CONFLICT (run_id) DO UPDATE SET search_text = excluded.search_text WHERE s.search_text <> excluded.search_text
)
SELECT run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
FROM saved;

-- name: update_status(run_id, status, now)!
-- Set the status of a snapshot.
-- Index: run_snapshots_pkey
UPDATE run_snapshots
SET status = :status, updated_at = greatest(updated_at, :now)
WHERE run_id = :run_id;

-- name: delete_snapshot(run_id)!
-- Delete a snapshot with its state.
-- Index: run_snapshots_pkey
DELETE FROM run_snapshots WHERE run_id = :run_id;
