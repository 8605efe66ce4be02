-- Snapshots of an orchestrator's runs. Columns follow structs.RunSnapshot; lists leave the state out.

-- name: get_snapshot(run_id)^
-- Get one snapshot with its state.
-- Returns: RunSnapshot
-- Index: sqlite_autoindex_run_snapshots_1, sqlite_autoindex_run_snapshot_states_1
SELECT
    r.run_id, r.thread_id, r.objective, r.status, s.state, r.workspace_path, r.task_counts, r.tags, r.created_at,
    r.updated_at
FROM run_snapshots AS r
INNER JOIN run_snapshot_states AS s ON s.run_id = r.run_id
WHERE r.run_id = :run_id;

-- name: get_summary(run_id)^
-- Get what lists show of one snapshot.
-- Returns: RunSummary
-- Index: sqlite_autoindex_run_snapshots_1
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
CROSS JOIN run_snapshot_states AS s ON s.run_id = r.run_id
WHERE
    r.created_at <= :before_at AND (r.created_at < :before_at OR r.run_id > :after_id)
    AND (:status IS NULL OR r.status = :status)
    AND (:contains IS NULL OR json_contains(s.state, :contains))
    AND (:conditions IS NULL OR json_meets(s.state, :conditions))
ORDER BY r.created_at DESC, r.run_id ASC
LIMIT :limit;

-- name: search_summaries(search, before_at, after_id, limit)
-- Find snapshots by the words of their objective, in the same order; :search is made by the library (docs/search.md).
-- Returns: RunSummary
-- Index: run_snapshot_search_index
-- Differs: FTS5 decides phrases by itself; PostgreSQL compares them with the stream after its index. FTS5 gives the
-- newest first by the second only (see the table): what is of the same second as the last one wanted is looked at too.
WITH hits AS NOT MATERIALIZED (
    SELECT
        run_snapshot_search_index.rowid AS search_id,
        r.run_id, r.thread_id, r.objective, r.status, r.workspace_path, r.task_counts, r.tags, r.created_at,
        r.updated_at
    FROM run_snapshot_search_index
    CROSS JOIN run_snapshot_search AS s
    CROSS JOIN run_snapshots AS r
    WHERE
        s.search_id = run_snapshot_search_index.rowid AND r.run_id = s.run_id
        AND run_snapshot_search_index MATCH json_extract(:search, '$.match')
        AND run_snapshot_search_index.rowid < (unixepoch(substr(:before_at, 1, 19)) + 1) << 20
        AND r.created_at <= :before_at AND (r.created_at < :before_at OR r.run_id > :after_id)
)
SELECT run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
FROM hits
WHERE
    search_id >= (
        SELECT min(newest.search_id) >> 20 << 20
        FROM (SELECT search_id FROM hits ORDER BY search_id DESC LIMIT :limit) AS newest
    )
ORDER BY created_at DESC, run_id ASC
LIMIT :limit;

-- name: save_snapshot(run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, now, state, search_text)^
-- Save a snapshot, new or in place of the last one, whose time of creation stays.
-- Returns: RunSummary
-- Differs: SQLite writes each row with a statement of its own, PostgreSQL with a CTE.
INSERT INTO run_snapshots (
    run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
)
VALUES (:run_id, :thread_id, :objective, :status, :workspace_path, :task_counts, :tags, :created_at, :now)
ON CONFLICT (run_id) DO UPDATE
SET
    thread_id = excluded.thread_id,
    objective = excluded.objective,
    status = excluded.status,
    workspace_path = excluded.workspace_path,
    task_counts = excluded.task_counts,
    tags = excluded.tags,
    updated_at = max(run_snapshots.updated_at, excluded.updated_at)
RETURNING run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at;

INSERT INTO run_snapshot_states (run_id, state)
VALUES (:run_id, :state)
ON CONFLICT (run_id) DO UPDATE SET state = excluded.state;

INSERT INTO run_snapshot_search (run_id, search_text)
VALUES (:run_id, :search_text)
ON CONFLICT (run_id) DO UPDATE
SET search_text = excluded.search_text WHERE run_snapshot_search.search_text <> excluded.search_text;

-- name: update_status(run_id, status, now)!
-- Set the status of a snapshot.
-- Index: sqlite_autoindex_run_snapshots_1
UPDATE run_snapshots
SET status = :status, updated_at = max(updated_at, :now)
WHERE run_id = :run_id;

-- name: delete_snapshot(run_id)!
-- Delete a snapshot with its state.
-- Index: sqlite_autoindex_run_snapshots_1
DELETE FROM run_snapshots WHERE run_id = :run_id;
