-- Search over the texts of steps, where ORCHEO_HISTORY_SEARCH is on. :search is made by the library from what a user
-- typed (docs/search.md): a JSON object whose `match` is an FTS5 expression over the token streams. Hits come newest
-- first.

-- name: search_steps(search, workflow_id, execution_id, before_at, before_id, before_index, limit)
-- Find steps, of one workflow, one execution or all, by the words of their payloads.
-- Returns: RunHistoryHit
-- Index: run_history_search_index
-- Differs: FTS5 decides phrases by itself; PostgreSQL compares them with the stream after its index.
SELECT h.workflow_id, t.execution_id, t.step_index AS "index", t.at, t.payload
FROM run_history_search_index
INNER JOIN run_history_search AS s ON s.search_id = run_history_search_index.rowid
INNER JOIN run_history_steps AS t ON t.execution_id = s.execution_id AND t.step_index = s.step_index
INNER JOIN run_history AS h ON h.execution_id = s.execution_id
WHERE
    run_history_search_index MATCH json_extract(:search, '$.match')
    AND (:workflow_id IS NULL OR h.workflow_id = :workflow_id)
    AND (:execution_id IS NULL OR s.execution_id = :execution_id)
    AND (t.at, t.execution_id, t.step_index) < (:before_at, :before_id, :before_index)
ORDER BY t.at DESC, t.execution_id DESC, t.step_index DESC
LIMIT :limit;
