-- Full-text search. :search is made by the library from what a user typed (docs/search.md): a JSON object with `match`,
-- a tsquery that every hit satisfies, and lists of patterns to compare with the token stream. Hits come newest first.

-- name: search_workflows(search, include_archived, before_at, before_id, limit)
-- Find workflows by the words of their handle, name, description, tags and latest graph.
-- Returns: Workflow
-- Index: ix_workflow_search__terms
-- Differs: a tsvector of ours has no positions, so phrases are compared with the stream; FTS5 decides them by itself.
SELECT
    w.id, w.created_at, w.updated_at, w.audit_log, w.name, w.handle, w.slug, w.description, w.tags, w.is_archived,
    w.draft_access, w.is_public, w.published_at, w.published_by, w.require_login, w.share_url, w.chatkit
FROM workflow_search AS s
INNER JOIN workflows AS w ON w.id = s.workflow_id
CROSS JOIN
    LATERAL concat(
        ' ', concat_ws(
            ' ' || chr(57344) || ' ', s.handle_text, s.name_text, s.description_text, s.tags_text, s.graph_text
        ), ' '
    ) AS stream
WHERE
    (s.terms @@ (:search::jsonb ->> 'match')::tsquery OR s.terms IS NULL)
    AND NOT EXISTS (
        SELECT 1
        FROM
            jsonb_array_elements_text(
                :search::jsonb -> CASE WHEN s.terms IS NULL THEN 'patterns' ELSE 'phrases' END
            ) AS required (pattern)
        WHERE strpos(stream, required.pattern) = 0
    )
    AND NOT EXISTS (
        SELECT 1
        FROM jsonb_array_elements_text(:search::jsonb -> 'excluded') AS excluded (pattern)
        WHERE strpos(stream, excluded.pattern) > 0
    )
    AND (:include_archived OR NOT w.is_archived)
    AND (w.created_at, w.id) < (:before_at, :before_id)
ORDER BY w.created_at DESC, w.id DESC
LIMIT :limit;

-- name: search_runs(search, workflow_id, before_at, before_id, limit)
-- Find runs, of one workflow or of all, by the words of trigger, name, tags, input, output and error.
-- Returns: WorkflowRun
-- Index: ix_workflow_run_search__terms
-- Plan: custom
-- Differs: a tsvector of ours has no positions, so phrases are compared with the stream; FTS5 decides them by itself.
-- A common word wants to go through the runs, a rare one through the index, so each call is planned. Payloads are
-- joined to what was found: four tables at once would take twice as long to plan.
WITH hits AS MATERIALIZED (
    SELECT
        r.run_number, r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
        r.started_at, r.completed_at, r.error
    FROM workflow_run_search AS s
    INNER JOIN workflow_runs AS r ON r.run_number = s.run_number
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
        AND (:workflow_id::uuid IS NULL OR r.workflow_id = :workflow_id::uuid)
        AND (r.created_at, r.id) < (:before_at, :before_id)
    ORDER BY r.created_at DESC, r.id DESC
    LIMIT :limit
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM hits AS r
INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
LEFT JOIN workflow_run_outputs AS o ON o.run_number = r.run_number
ORDER BY r.created_at DESC, r.id DESC;
