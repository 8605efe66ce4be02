-- Workflows: the catalogue. Columns follow the fields of structs.Workflow.

-- name: get_workflow(id)^
-- Get one workflow by its id, archived or not.
-- Returns: Workflow
-- Index: sqlite_autoindex_workflows_1
SELECT
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit
FROM workflows
WHERE id = :id;

-- name: exists_workflow(id)$
-- Say whether a workflow exists, archived or not.
-- Returns: bool
-- Index: sqlite_autoindex_workflows_1
SELECT EXISTS(SELECT 1 FROM workflows WHERE id = :id);

-- name: resolve_workflow_ref(handle, id, include_archived)$
-- Find the id a reference stands for: the active workflow with this handle, else (on request) the archived one
-- with this handle that changed last, else the workflow with this id.
-- Returns: UUID
-- Null: id (the reference is not the text of an id)
-- Index: uq_workflows__active_handle, ix_workflows__archived_handle, sqlite_autoindex_workflows_1
SELECT found.id
FROM (
    SELECT id, 1 AS priority FROM workflows WHERE handle = :handle AND NOT is_archived
    UNION ALL
    SELECT latest.id, 2 AS priority
    FROM (
        SELECT id FROM workflows
        WHERE handle = :handle AND is_archived AND :include_archived
        ORDER BY updated_at DESC, id DESC
        LIMIT 1
    ) AS latest
    UNION ALL
    SELECT id, 3 AS priority FROM workflows WHERE id = :id
) AS found
ORDER BY found.priority
LIMIT 1;

-- name: list_workflows(after_at, after_id, limit)
-- List active workflows in the order of their creation.
-- Returns: Workflow
-- Index: ix_workflows__active_created in order
SELECT
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit
FROM workflows
WHERE NOT is_archived AND (created_at, id) > (:after_at, :after_id)
ORDER BY created_at, id
LIMIT :limit;

-- name: list_workflows_with_archived(after_at, after_id, limit)
-- List all workflows in the order of their creation.
-- Returns: Workflow
-- Index: ix_workflows__created in order
SELECT
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit
FROM workflows
WHERE (created_at, id) > (:after_at, :after_id)
ORDER BY created_at, id
LIMIT :limit;

-- name: list_workflow_summaries(after_at, after_id, limit)
-- List what an overview shows: active workflows with their latest version, without audit records and graphs.
-- Returns: WorkflowSummary
-- Index: ix_workflows__active_created in order, sqlite_autoindex_workflow_versions_2
SELECT
    w.id, w.created_at, w.updated_at, w.name, w.handle, w.slug, w.description, w.tags, w.is_archived,
    w.draft_access, w.is_public,
    v.version AS latest_version, v.id AS latest_version_id, v.created_at AS latest_version_created_at
FROM workflows AS w
LEFT JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
WHERE NOT w.is_archived AND (w.created_at, w.id) > (:after_at, :after_id)
ORDER BY w.created_at, w.id
LIMIT :limit;

-- name: list_workflow_summaries_with_archived(after_at, after_id, limit)
-- List what an overview shows: workflows, also archived ones, with their latest version, without audit records and
-- graphs.
-- Returns: WorkflowSummary
-- Index: ix_workflows__created in order, sqlite_autoindex_workflow_versions_2
SELECT
    w.id, w.created_at, w.updated_at, w.name, w.handle, w.slug, w.description, w.tags, w.is_archived,
    w.draft_access, w.is_public,
    v.version AS latest_version, v.id AS latest_version_id, v.created_at AS latest_version_created_at
FROM workflows AS w
LEFT JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
WHERE (w.created_at, w.id) > (:after_at, :after_id)
ORDER BY w.created_at, w.id
LIMIT :limit;

-- name: insert_workflow(id, handle, slug, name, description, tags, draft_access, now, event, handle_text, name_text, description_text, tags_text)^
-- Create a workflow, together with its search row.
-- Returns: Workflow
-- Conflict: uq_workflows__handle when another workflow holds the handle.
-- Differs: SQLite writes the search row with a second statement, PostgreSQL in a CTE.
INSERT INTO workflows (
    id, handle, slug, name, description, tags, is_archived, draft_access, is_public, require_login,
    latest_version, created_at, updated_at, audit_log
)
VALUES (
    :id, :handle, :slug, :name, :description, :tags, 0, :draft_access, 0, 0,
    0, :now, :now, json_array(json(:event))
)
RETURNING
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit;

INSERT INTO workflow_search (workflow_id, handle_text, name_text, description_text, tags_text, graph_text)
VALUES (:id, :handle_text, :name_text, :description_text, :tags_text, '');

-- name: update_workflow(id, handle, name, description, tags, prompts, clear_prompts, models, clear_models, draft_access, is_archived, now, event, unpublish_event, handle_text, name_text, description_text, tags_text)^
-- Change the fields that are given (NULL leaves one alone; an empty description clears it) and record what changed.
-- Archiving a public workflow revokes its publication first, with a record of its own.
-- Returns: Workflow
-- Conflict: uq_workflows__handle when another workflow holds the handle.
-- Differs: SQLite writes the search row with a second statement, PostgreSQL in a CTE. SQLite has one writer, so it
-- needs no lock; there, archiving waits for runs that are being created.
UPDATE workflows
SET
    handle = coalesce(:handle, handle),
    name = coalesce(:name, name),
    description = CASE WHEN :description IS NULL THEN description ELSE nullif(:description, '') END,
    tags = coalesce(:tags, tags),
    chatkit = CASE
        WHEN
            (:clear_prompts OR (:prompts IS NULL AND json_extract(chatkit, '$.start_screen_prompts') IS NULL))
            AND (:clear_models OR (:models IS NULL AND json_extract(chatkit, '$.supported_models') IS NULL))
            THEN NULL
        ELSE json_object(
            'start_screen_prompts',
            json(
                CASE
                    WHEN NOT :clear_prompts THEN coalesce(:prompts, json_extract(chatkit, '$.start_screen_prompts'))
                END
            ),
            'supported_models',
            json(
                CASE
                    WHEN NOT :clear_models THEN coalesce(:models, json_extract(chatkit, '$.supported_models'))
                END
            )
        )
    END,
    draft_access = coalesce(:draft_access, draft_access),
    is_archived = coalesce(:is_archived, is_archived),
    is_public = CASE WHEN :is_archived THEN 0 ELSE is_public END,
    published_at = CASE WHEN :is_archived THEN NULL ELSE published_at END,
    published_by = CASE WHEN :is_archived THEN NULL ELSE published_by END,
    require_login = CASE WHEN :is_archived THEN 0 ELSE require_login END,
    updated_at = max(updated_at, :now),
    audit_log = json_insert(
        CASE
            WHEN :is_archived AND is_public
                THEN json_insert(
                    audit_log, '$[#]',
                    json_set(
                        :unpublish_event, '$.metadata.require_login', json(iif(require_login, 'true', 'false'))
                    )
                )
            ELSE audit_log
        END,
        '$[#]',
        json_set(:event, '$.metadata', json((
            SELECT json_group_object(change.field, json_object('from', json(change.old), 'to', json(change.new)))
            FROM (
                SELECT 'handle' AS field, json_quote(handle) AS old, json_quote(:handle) AS new
                WHERE :handle IS NOT NULL AND :handle IS NOT handle
                UNION ALL
                SELECT 'name', json_quote(name), json_quote(:name)
                WHERE :name <> name
                UNION ALL
                SELECT 'description', json_quote(description), json_quote(nullif(:description, ''))
                WHERE :description IS NOT NULL AND nullif(:description, '') IS NOT description
                UNION ALL
                SELECT 'tags', tags, :tags
                WHERE :tags <> tags
                UNION ALL
                SELECT
                    'chatkit_start_screen_prompts',
                    coalesce(json_extract(chatkit, '$.start_screen_prompts'), 'null'),
                    CASE WHEN :clear_prompts THEN 'null' ELSE :prompts END
                WHERE
                    CASE WHEN :clear_prompts THEN 'null' ELSE :prompts END
                    <> coalesce(json_extract(chatkit, '$.start_screen_prompts'), 'null')
                UNION ALL
                SELECT
                    'chatkit_supported_models',
                    coalesce(json_extract(chatkit, '$.supported_models'), 'null'),
                    CASE WHEN :clear_models THEN 'null' ELSE :models END
                WHERE
                    CASE WHEN :clear_models THEN 'null' ELSE :models END
                    <> coalesce(json_extract(chatkit, '$.supported_models'), 'null')
                UNION ALL
                SELECT 'draft_access', json_quote(draft_access), json_quote(:draft_access)
                WHERE :draft_access <> draft_access
                UNION ALL
                SELECT 'is_archived', iif(is_archived, 'true', 'false'), iif(:is_archived, 'true', 'false')
                WHERE :is_archived <> is_archived
            ) AS change
        )))
    )
WHERE id = :id
RETURNING
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit;

UPDATE workflow_search
SET
    handle_text = coalesce(:handle_text, handle_text),
    name_text = coalesce(:name_text, name_text),
    description_text = coalesce(:description_text, description_text),
    tags_text = coalesce(:tags_text, tags_text)
WHERE workflow_id = :id AND coalesce(:handle_text, :name_text, :description_text, :tags_text) IS NOT NULL;

-- name: publish_workflow(id, require_login, actor, now, event)^
-- Make an active workflow public; no row when it is missing, archived or public already.
-- Returns: Workflow
UPDATE workflows
SET
    is_public = 1,
    published_at = :now,
    published_by = :actor,
    require_login = :require_login,
    updated_at = max(updated_at, :now),
    audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :id AND NOT is_archived AND NOT is_public
RETURNING
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit;

-- name: revoke_publish(id, now, event)^
-- End the publication of an active workflow; no row when it is missing, archived or not public.
-- Returns: Workflow
UPDATE workflows
SET
    is_public = 0,
    published_at = NULL,
    published_by = NULL,
    require_login = 0,
    updated_at = max(updated_at, :now),
    audit_log = json_insert(
        audit_log, '$[#]',
        json_set(:event, '$.metadata.require_login', json(iif(require_login, 'true', 'false')))
    )
WHERE id = :id AND NOT is_archived AND is_public
RETURNING
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit;

-- name: delete_workflow(id)!
-- Delete an archived workflow and, by cascade, everything that belongs to it.
-- Index: sqlite_autoindex_workflows_1
DELETE FROM workflows WHERE id = :id AND is_archived;

-- name: delete_all_workflows()!
-- Delete every workflow and, by cascade, everything that belongs to one.
-- Scan: the whole table is the point.
DELETE FROM workflows;
