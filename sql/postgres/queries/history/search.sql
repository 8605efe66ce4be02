-- Search over the texts of steps, where ORCHEO_HISTORY_SEARCH is on. :search is made by the library from what a user
-- typed (docs/search.md): a JSON object with `match`, a tsquery that every hit satisfies, and lists of patterns to
-- compare with the token stream. Hits come newest first.

-- name: search_steps(search, workflow_id, execution_id, before_at, before_id, before_index, limit)
-- Find steps, of one workflow, one execution or all, by the words of their payloads.
-- Returns: RunHistoryHit
-- Index: ix_run_history_search__terms
-- Differs: a tsvector of ours has no positions, so phrases are compared with the stream; FTS5 decides them by itself.
SELECT h.workflow_id, t.execution_id, t.step_index AS "index", t.at, t.payload
FROM run_history_search AS s
INNER JOIN run_history_steps AS t ON t.execution_id = s.execution_id AND t.step_index = s.step_index
INNER JOIN run_history AS h ON h.execution_id = s.execution_id
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
    AND (:workflow_id::text IS NULL OR h.workflow_id = :workflow_id::text)
    AND (:execution_id::text IS NULL OR s.execution_id = :execution_id::text)
    AND (t.at, t.execution_id, t.step_index) < (:before_at, :before_id, :before_index)
ORDER BY t.at DESC, t.execution_id DESC, t.step_index DESC
LIMIT :limit;
