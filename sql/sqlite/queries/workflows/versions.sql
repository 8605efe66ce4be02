-- Workflow versions: numbered, and immutable but for their runnable config. Columns follow structs.WorkflowVersion.

-- name: get_version(id)^
-- Get one version by its id.
-- Returns: WorkflowVersion
-- Index: sqlite_autoindex_workflow_versions_1
SELECT
    id, created_at, updated_at, audit_log, workflow_id, version, graph, mermaid, metadata, runnable_config,
    created_by, notes
FROM workflow_versions
WHERE id = :id;

-- name: get_version_by_number(workflow_id, version)^
-- Get one version of a workflow by its number.
-- Returns: WorkflowVersion
-- Index: sqlite_autoindex_workflow_versions_2
SELECT
    id, created_at, updated_at, audit_log, workflow_id, version, graph, mermaid, metadata, runnable_config,
    created_by, notes
FROM workflow_versions
WHERE workflow_id = :workflow_id AND version = :version;

-- name: get_latest_version(workflow_id)^
-- Get the version of a workflow with the highest number.
-- Returns: WorkflowVersion
-- Index: sqlite_autoindex_workflow_versions_2
SELECT
    id, created_at, updated_at, audit_log, workflow_id, version, graph, mermaid, metadata, runnable_config,
    created_by, notes
FROM workflow_versions
WHERE workflow_id = :workflow_id
ORDER BY version DESC
LIMIT 1;

-- name: list_versions(workflow_id, after_version, limit)
-- List the versions of a workflow by ascending number.
-- Returns: WorkflowVersion
-- Index: sqlite_autoindex_workflow_versions_2 in order
SELECT
    id, created_at, updated_at, audit_log, workflow_id, version, graph, mermaid, metadata, runnable_config,
    created_by, notes
FROM workflow_versions
WHERE workflow_id = :workflow_id AND version > :after_version
ORDER BY version
LIMIT :limit;

-- name: list_versions_by_number(workflow_id, base, target)
-- Get the two versions of a comparison at once.
-- Returns: WorkflowVersion
-- Index: sqlite_autoindex_workflow_versions_2
SELECT
    id, created_at, updated_at, audit_log, workflow_id, version, graph, mermaid, metadata, runnable_config,
    created_by, notes
FROM workflow_versions
WHERE workflow_id = :workflow_id AND version IN (:base, :target)
ORDER BY version;

-- name: insert_version(id, workflow_id, graph, metadata, runnable_config, default_run_config, default_run_text, created_by, notes, now, event, graph_text, syncs_listeners)^
-- Create the next version of a workflow: its number is assigned here, and search now finds its graph.
-- No row when the workflow is missing, or has listeners and is not about to have them synchronised.
-- Returns: WorkflowVersion
-- Differs: SQLite has one writer, so three statements in one transaction; PostgreSQL counts up and inserts in one.
INSERT INTO workflow_versions (
    id, workflow_id, version, graph, metadata, runnable_config, default_run_config, default_run_text,
    created_by, notes, created_at, updated_at, audit_log
)
SELECT
    :id, id, latest_version + 1, :graph, :metadata, :runnable_config, :default_run_config, :default_run_text,
    :created_by, :notes, :now, :now, json_array(json(:event))
FROM workflows
WHERE id = :workflow_id AND (:syncs_listeners OR NOT has_listeners)
RETURNING
    id, created_at, updated_at, audit_log, workflow_id, version, graph, mermaid, metadata, runnable_config,
    created_by, notes;

UPDATE workflows
SET latest_version = latest_version + 1, has_listeners = has_listeners OR :syncs_listeners
WHERE id = :workflow_id;

UPDATE workflow_search SET graph_text = :graph_text WHERE workflow_id = :workflow_id;

-- name: update_version_runnable_config(workflow_id, version, runnable_config, default_run_config, default_run_text, now, event)^
-- Replace the runnable config of one version; no row when there is no such version.
-- Returns: WorkflowVersion
-- Index: sqlite_autoindex_workflow_versions_2
UPDATE workflow_versions
SET
    runnable_config = :runnable_config,
    default_run_config = :default_run_config,
    default_run_text = :default_run_text,
    updated_at = max(updated_at, :now),
    audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE workflow_id = :workflow_id AND version = :version
RETURNING
    id, created_at, updated_at, audit_log, workflow_id, version, graph, mermaid, metadata, runnable_config,
    created_by, notes;
