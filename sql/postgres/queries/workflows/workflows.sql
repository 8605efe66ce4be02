-- Workflows: the catalogue. Columns follow the fields of structs.Workflow.

-- name: get_workflow(id)^
-- Get one workflow by its id, archived or not.
-- Returns: Workflow
-- Index: workflows_pkey
SELECT
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit
FROM workflows
WHERE id = :id;

-- name: exists_workflow(id)$
-- Say whether a workflow exists, archived or not.
-- Returns: bool
-- Index: workflows_pkey
SELECT EXISTS(SELECT 1 FROM workflows WHERE id = :id);

-- name: resolve_workflow_ref(handle, id, include_archived)$
-- Find the id a reference stands for: the active workflow with this handle, else (on request) the archived one
-- with this handle that changed last, else the workflow with this id.
-- Returns: UUID
-- Null: id (the reference is not the text of an id)
-- Index: uq_workflows__active_handle, ix_workflows__archived_handle, workflows_pkey
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
-- Index: ix_workflows__active_created in order, uq_workflow_versions__workflow_id__version
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
-- Index: ix_workflows__created in order, uq_workflow_versions__workflow_id__version
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
WITH inserted AS (
    INSERT INTO workflows (
        id, handle, slug, name, description, tags, is_archived, draft_access, is_public, require_login,
        latest_version, created_at, updated_at, audit_log
    )
    VALUES (
        :id, :handle, :slug, :name, :description, :tags, FALSE, :draft_access, FALSE, FALSE,
        0, :now, :now, jsonb_build_array(:event::jsonb)
    )
    RETURNING
        id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
        is_public, published_at, published_by, require_login, share_url, chatkit
),
indexed AS (
    INSERT INTO workflow_search (workflow_id, handle_text, name_text, description_text, tags_text, graph_text)
    SELECT id, :handle_text, :name_text, :description_text, :tags_text, '' FROM inserted
)
SELECT
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit
FROM inserted;

-- name: update_workflow(id, handle, name, description, tags, prompts, clear_prompts, models, clear_models, draft_access, is_archived, now, event, unpublish_event, handle_text, name_text, description_text, tags_text)^
-- Change the fields that are given (NULL leaves one alone; an empty description clears it) and record what changed.
-- Archiving a public workflow revokes its publication first, with a record of its own.
-- Returns: Workflow
-- Conflict: uq_workflows__handle when another workflow holds the handle.
-- Locks: FOR UPDATE: archiving waits for runs that are being created.
-- Differs: SQLite writes the search row with a second statement, PostgreSQL in a CTE. SQLite has one writer, so it
-- needs no lock; here, archiving waits for runs that are being created.
WITH locked AS (
    SELECT id FROM workflows WHERE id = :id AND :is_archived::boolean IS NOT NULL FOR UPDATE
),
updated AS (
    UPDATE workflows
    SET
        handle = coalesce(:handle, handle),
        name = coalesce(:name, name),
        description = CASE WHEN :description::text IS NULL THEN description ELSE nullif(:description::text, '') END,
        tags = coalesce(:tags::jsonb, tags),
        chatkit = CASE
            WHEN
                (:clear_prompts OR (:prompts::jsonb IS NULL AND chatkit ->> 'start_screen_prompts' IS NULL))
                AND (:clear_models OR (:models::jsonb IS NULL AND chatkit ->> 'supported_models' IS NULL))
                THEN NULL
            ELSE jsonb_build_object(
                'start_screen_prompts',
                CASE WHEN NOT :clear_prompts THEN coalesce(:prompts::jsonb, chatkit -> 'start_screen_prompts') END,
                'supported_models',
                CASE WHEN NOT :clear_models THEN coalesce(:models::jsonb, chatkit -> 'supported_models') END
            )
        END,
        draft_access = coalesce(:draft_access, draft_access),
        is_archived = coalesce(:is_archived, is_archived),
        is_public = is_public AND :is_archived::boolean IS NOT TRUE,
        published_at = CASE WHEN :is_archived THEN NULL ELSE published_at END,
        published_by = CASE WHEN :is_archived THEN NULL ELSE published_by END,
        require_login = require_login AND :is_archived::boolean IS NOT TRUE,
        updated_at = greatest(updated_at, :now),
        audit_log = CASE
            WHEN :is_archived AND is_public
                THEN audit_log || jsonb_set(
                    :unpublish_event::jsonb, '{metadata,require_login}', to_jsonb(require_login)
                )
            ELSE audit_log
        END || jsonb_set(
            :event::jsonb, '{metadata}', (
                SELECT
                    coalesce(
                        jsonb_object_agg(change.field, jsonb_build_object('from', change.old, 'to', change.new)), '{}'
                    )
                FROM (
                    VALUES
                    ('handle', to_jsonb(handle), to_jsonb(:handle::text)),
                    ('name', to_jsonb(name), to_jsonb(:name::text)),
                    (
                        'description', to_jsonb(description),
                        CASE
                            WHEN :description::text = '' THEN 'null'
                            ELSE to_jsonb(:description::text)
                        END
                    ),
                    ('tags', tags, :tags::jsonb),
                    (
                        'chatkit_start_screen_prompts', chatkit -> 'start_screen_prompts',
                        CASE WHEN :clear_prompts THEN 'null' ELSE :prompts::jsonb END
                    ),
                    (
                        'chatkit_supported_models', chatkit -> 'supported_models',
                        CASE WHEN :clear_models THEN 'null' ELSE :models::jsonb END
                    ),
                    ('draft_access', to_jsonb(draft_access), to_jsonb(:draft_access::text)),
                    ('is_archived', to_jsonb(is_archived), to_jsonb(:is_archived::boolean))
                ) AS change (field, old, new)
                WHERE change.new <> coalesce(change.old, 'null')
            )
        )
    WHERE id = :id AND (:is_archived::boolean IS NULL OR EXISTS (SELECT 1 FROM locked))
    RETURNING
        id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
        is_public, published_at, published_by, require_login, share_url, chatkit
),
indexed AS (
    UPDATE workflow_search
    SET
        handle_text = coalesce(:handle_text, handle_text),
        name_text = coalesce(:name_text, name_text),
        description_text = coalesce(:description_text, description_text),
        tags_text = coalesce(:tags_text, tags_text)
    FROM updated
    WHERE
        workflow_search.workflow_id = updated.id
        AND coalesce(:handle_text, :name_text, :description_text, :tags_text) IS NOT NULL
)
SELECT
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit
FROM updated;

-- name: publish_workflow(id, require_login, actor, now, event)^
-- Make an active workflow public; no row when it is missing, archived or public already.
-- Returns: Workflow
UPDATE workflows
SET
    is_public = TRUE,
    published_at = :now,
    published_by = :actor,
    require_login = :require_login,
    updated_at = greatest(updated_at, :now),
    audit_log = audit_log || :event::jsonb
WHERE id = :id AND NOT is_archived AND NOT is_public
RETURNING
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit;

-- name: revoke_publish(id, now, event)^
-- End the publication of an active workflow; no row when it is missing, archived or not public.
-- Returns: Workflow
UPDATE workflows
SET
    is_public = FALSE,
    published_at = NULL,
    published_by = NULL,
    require_login = FALSE,
    updated_at = greatest(updated_at, :now),
    audit_log = audit_log || jsonb_set(:event::jsonb, '{metadata,require_login}', to_jsonb(require_login))
WHERE id = :id AND NOT is_archived AND is_public
RETURNING
    id, created_at, updated_at, audit_log, name, handle, slug, description, tags, is_archived, draft_access,
    is_public, published_at, published_by, require_login, share_url, chatkit;

-- name: delete_workflow(id)!
-- Delete an archived workflow and, by cascade, everything that belongs to it.
-- Index: workflows_pkey
DELETE FROM workflows WHERE id = :id AND is_archived;

-- name: delete_all_workflows()!
-- Delete every workflow and, by cascade, everything that belongs to one.
-- Scan: the whole table is the point.
DELETE FROM workflows;
