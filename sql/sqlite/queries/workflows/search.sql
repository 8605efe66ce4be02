-- Full-text search. :search is made by the library from what a user typed (docs/search.md): a JSON object whose `match`
-- is an FTS5 expression over the token streams in the search tables. Hits come newest first.

-- name: search_workflows(search, include_archived, before_at, before_id, limit)
-- Find workflows by the words of their handle, name, description, tags and latest graph.
-- Returns: Workflow
-- Index: workflow_search_index
-- Differs: FTS5 decides phrases by itself; PostgreSQL compares them with the stream after its index.
SELECT
    w.id, w.created_at, w.updated_at, w.audit_log, w.name, w.handle, w.slug, w.description, w.tags, w.is_archived,
    w.draft_access, w.is_public, w.published_at, w.published_by, w.require_login, w.share_url, w.chatkit
FROM workflow_search_index
INNER JOIN workflow_search AS s ON s.search_id = workflow_search_index.rowid
INNER JOIN workflows AS w ON w.id = s.workflow_id
WHERE
    workflow_search_index MATCH json_extract(:search, '$.match')
    AND (:include_archived OR NOT w.is_archived)
    AND (w.created_at, w.id) < (:before_at, :before_id)
ORDER BY w.created_at DESC, w.id DESC
LIMIT :limit;

-- name: search_runs(search, workflow_id, before_at, before_id, limit)
-- Find runs, of one workflow or of all, by the words of trigger, name, tags, input, output and error.
-- Returns: WorkflowRun
-- Index: workflow_run_search_index
-- Differs: FTS5 decides phrases by itself; PostgreSQL compares them with the stream after its index.
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, o.output_payload, r.started_at, r.completed_at, r.error
FROM workflow_run_search_index
INNER JOIN workflow_run_search AS s ON s.search_id = workflow_run_search_index.rowid
INNER JOIN workflow_runs AS r ON r.id = s.run_id
INNER JOIN workflow_run_inputs AS i ON i.run_id = r.id
LEFT JOIN workflow_run_outputs AS o ON o.run_id = r.id
WHERE
    workflow_run_search_index MATCH json_extract(:search, '$.match')
    AND (:workflow_id IS NULL OR r.workflow_id = :workflow_id)
    AND (r.created_at, r.id) < (:before_at, :before_id)
ORDER BY r.created_at DESC, r.id DESC
LIMIT :limit;
