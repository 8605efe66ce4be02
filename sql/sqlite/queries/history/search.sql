-- Search over the texts of steps, where ORCHEO_HISTORY_SEARCH is on. :search is made by the library from what a user
-- typed (docs/search.md): a JSON object whose `match` is an FTS5 expression over the token streams. Hits come newest
-- first.

-- name: search_steps(search, workflow_id, execution_id, before_at, before_id, before_index, limit)
-- Find steps, of one workflow, one execution or all, by the words of their payloads.
-- Returns: RunHistoryHit
-- Index: run_history_search_index
-- Differs: FTS5 decides phrases by itself; PostgreSQL compares them with the stream after its index. FTS5 gives the
-- newest first by the second only (see the table): what is of the same second as the last one wanted is looked at too.
WITH hits AS NOT MATERIALIZED (
    SELECT
        run_history_search_index.rowid AS search_id,
        h.workflow_id, t.execution_id, t.step_index, t.at, t.payload
    FROM run_history_search_index
    CROSS JOIN run_history_search AS s
    CROSS JOIN run_history_steps AS t
    CROSS JOIN run_history AS h
    WHERE
        s.search_id = run_history_search_index.rowid
        AND t.execution_id = s.execution_id AND t.step_index = s.step_index
        AND h.execution_id = s.execution_id
        AND run_history_search_index MATCH
        'search_text : (' || json_extract(:search, '$.match') || ')'
        || coalesce(' AND owner_text : "w' || replace(:workflow_id, '"', '""') || '"', '')
        || coalesce(' AND owner_text : "e' || replace(:execution_id, '"', '""') || '"', '')
        AND run_history_search_index.rowid < (unixepoch(substr(:before_at, 1, 19)) + 1) << 20
        AND (:workflow_id IS NULL OR h.workflow_id = :workflow_id)
        AND (:execution_id IS NULL OR s.execution_id = :execution_id)
        AND (t.at, t.execution_id, t.step_index) < (:before_at, :before_id, :before_index)
)
SELECT workflow_id, execution_id, step_index AS "index", at, payload
FROM hits
WHERE
    search_id >= (
        SELECT min(newest.search_id) >> 20 << 20
        FROM (SELECT search_id FROM hits ORDER BY search_id DESC LIMIT :limit) AS newest
    )
ORDER BY at DESC, execution_id DESC, step_index DESC
LIMIT :limit;
