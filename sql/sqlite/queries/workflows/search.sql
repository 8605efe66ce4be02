-- Full-text search. :search is made by the library from what a user typed (docs/search.md): a JSON object whose `match`
-- is an FTS5 expression over the token streams in the search tables. Hits come newest first.

-- name: search_workflows(search, include_archived, before_at, before_id, limit)
-- Find workflows by the words of their handle, name, description, tags and latest graph.
-- Returns: Workflow
-- Index: workflow_search_index
-- Differs: FTS5 decides phrases by itself; PostgreSQL compares them with the stream after its index. FTS5 gives the
-- newest first by the second only (see the table): what is of the same second as the last one wanted is looked at too.
WITH hits AS NOT MATERIALIZED (
    SELECT
        workflow_search_index.rowid AS search_id,
        w.id, w.created_at, w.updated_at, w.audit_log, w.name, w.handle, w.slug, w.description, w.tags, w.is_archived,
        w.draft_access, w.is_public, w.published_at, w.published_by, w.require_login, w.share_url, w.chatkit
    FROM workflow_search_index
    CROSS JOIN workflow_search AS s
    CROSS JOIN workflows AS w
    WHERE
        s.search_id = workflow_search_index.rowid AND w.id = s.workflow_id
        AND workflow_search_index MATCH json_extract(:search, '$.match')
        AND workflow_search_index.rowid < (unixepoch(substr(:before_at, 1, 19)) + 1) << 20
        AND (:include_archived OR NOT w.is_archived)
        AND (w.created_at, w.id) < (:before_at, :before_id)
)
SELECT
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access, is_public,
    published_at, published_by, require_login, share_url, chatkit
FROM hits
WHERE
    search_id >= (
        SELECT min(newest.search_id) >> 20 << 20
        FROM (SELECT search_id FROM hits ORDER BY search_id DESC LIMIT :limit) AS newest
    )
ORDER BY created_at DESC, id DESC
LIMIT :limit;

-- name: search_runs(search, workflow_id, before_at, before_id, limit)
-- Find runs, of one workflow or of all, by the words of trigger, name, tags, input, output and error.
-- Returns: WorkflowRun
-- Index: workflow_run_search_index
-- Plan: custom
-- Differs: FTS5 decides phrases by itself; PostgreSQL compares them with the stream after its index. FTS5 gives the
-- newest first by the second only (see the table): what is of the same second as the last one wanted is looked at too.
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
        'search_text : (' || json_extract(:search, '$.match') || ')'
        || coalesce(' AND owner_text : w' || replace(:workflow_id, '-', ''), '')
        AND workflow_run_search_index.rowid < (unixepoch(substr(:before_at, 1, 19)) + 1) << 20
        AND (:workflow_id IS NULL OR r.workflow_id = :workflow_id)
        AND (r.created_at, r.id) < (:before_at, :before_id)
)
SELECT
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, input_payload, runnable_config,
    output_payload, started_at, completed_at, error
FROM hits
WHERE
    search_id >= (
        SELECT min(newest.search_id) >> 20 << 20
        FROM (SELECT search_id FROM hits ORDER BY search_id DESC LIMIT :limit) AS newest
    )
ORDER BY created_at DESC, id DESC
LIMIT :limit;
