-- Training checkpoints. Columns follow structs.AgentensorCheckpoint; which one is the best is a fact of its workflow.

-- name: get_checkpoint(id)^
-- Get one checkpoint by its id.
-- Returns: AgentensorCheckpoint
-- Index: uq_agentensor_checkpoints__id
SELECT
    c.id, c.workflow_id, c.config_version, c.runnable_config, c.metrics, c.metadata, c.artifact_url, c.created_at,
    coalesce(c.config_version = w.best_version, FALSE) AS is_best
FROM agentensor_checkpoints AS c
INNER JOIN agentensor_workflows AS w ON w.workflow_id = c.workflow_id
WHERE c.id = :id;

-- name: get_best_checkpoint(workflow_id)^
-- Get the best checkpoint of a workflow.
-- Returns: AgentensorCheckpoint
-- Index: agentensor_checkpoints_pkey
SELECT
    c.id, c.workflow_id, c.config_version, c.runnable_config, c.metrics, c.metadata, c.artifact_url, c.created_at,
    TRUE AS is_best
FROM agentensor_workflows AS w
INNER JOIN agentensor_checkpoints AS c ON c.workflow_id = w.workflow_id AND c.config_version = w.best_version
WHERE w.workflow_id = :workflow_id;

-- name: list_checkpoints(workflow_id, before_version, limit)
-- List the checkpoints of a workflow, newest first.
-- Returns: AgentensorCheckpoint
-- Index: agentensor_checkpoints_pkey in order
SELECT
    c.id, c.workflow_id, c.config_version, c.runnable_config, c.metrics, c.metadata, c.artifact_url, c.created_at,
    coalesce(c.config_version = w.best_version, FALSE) AS is_best
FROM agentensor_checkpoints AS c
INNER JOIN agentensor_workflows AS w ON w.workflow_id = c.workflow_id
WHERE
    c.workflow_id = :workflow_id AND c.config_version < :before_version
ORDER BY c.config_version DESC
LIMIT :limit;

-- name: filter_checkpoints(workflow_id, before_version, metrics_contains, metrics_conditions, metadata_contains, metadata_conditions, limit)
-- List the checkpoints of a workflow that meet filters, newest first. A filter that is NULL does not apply
-- (docs/filters.md).
-- Returns: AgentensorCheckpoint
-- Plan: custom
-- Index: agentensor_checkpoints_pkey in order
SELECT
    c.id, c.workflow_id, c.config_version, c.runnable_config, c.metrics, c.metadata, c.artifact_url, c.created_at,
    coalesce(c.config_version = w.best_version, FALSE) AS is_best
FROM agentensor_checkpoints AS c
INNER JOIN agentensor_workflows AS w ON w.workflow_id = c.workflow_id
WHERE
    c.workflow_id = :workflow_id AND c.config_version < :before_version
    AND (:metrics_contains::jsonb IS NULL OR c.metrics::jsonb @> :metrics_contains::jsonb)
    AND (:metrics_conditions::jsonb IS NULL OR json_meets(c.metrics::jsonb, :metrics_conditions::jsonb))
    AND (:metadata_contains::jsonb IS NULL OR c.metadata::jsonb @> :metadata_contains::jsonb)
    AND (:metadata_conditions::jsonb IS NULL OR json_meets(c.metadata::jsonb, :metadata_conditions::jsonb))
ORDER BY c.config_version DESC
LIMIT :limit;

-- name: insert_checkpoint(id, workflow_id, config_version, runnable_config, metrics, metadata, artifact_url, is_best, now)^
-- Record a checkpoint under the version given, or else under the highest one ever given out plus one.
-- Returns: AgentensorCheckpoint
-- Conflict: agentensor_checkpoints_pkey when the version given is taken.
-- Differs: SQLite writes the two rows with two statements, PostgreSQL with a CTE.
WITH head AS (
    INSERT INTO agentensor_workflows AS w (workflow_id, latest_version, best_version)
    VALUES (
        :workflow_id,
        coalesce(:config_version::bigint, 1),
        CASE WHEN :is_best THEN coalesce(:config_version::bigint, 1) END
    )
    ON CONFLICT (workflow_id) DO UPDATE
        SET
            latest_version = greatest(w.latest_version, coalesce(:config_version::bigint, w.latest_version + 1)),
            best_version = CASE
                WHEN :is_best THEN coalesce(:config_version::bigint, w.latest_version + 1) ELSE w.best_version
            END
    RETURNING latest_version
)
INSERT INTO agentensor_checkpoints (
    id, workflow_id, config_version, runnable_config, metrics, metadata, artifact_url, created_at
)
SELECT
    :id, :workflow_id, coalesce(:config_version::bigint, latest_version), :runnable_config::json, :metrics::json,
    :metadata::json, :artifact_url, :now::timestamptz
FROM head
RETURNING
    id, workflow_id, config_version, runnable_config, metrics, metadata, artifact_url, created_at,
    :is_best::boolean AS is_best;

-- name: mark_best_checkpoint(id)^
-- Make a checkpoint the best of its workflow; the one that was, is it no more.
-- Returns: AgentensorCheckpoint
-- Locks: FOR UPDATE: the row of the workflow, as pruning does; then FOR KEY SHARE: the checkpoint, if there still.
-- Differs: SQLite names the row of the workflow by a subquery, PostgreSQL joins it.
WITH head AS (
    SELECT workflow_id FROM agentensor_workflows
    WHERE workflow_id = (SELECT known.workflow_id FROM agentensor_checkpoints AS known WHERE known.id = :id)
    FOR UPDATE
),
c AS (
    SELECT
        c.id, c.workflow_id, c.config_version, c.runnable_config, c.metrics, c.metadata, c.artifact_url, c.created_at
    FROM agentensor_checkpoints AS c
    INNER JOIN head ON head.workflow_id = c.workflow_id
    WHERE c.id = :id
    FOR KEY SHARE OF c
)
UPDATE agentensor_workflows AS w
SET best_version = c.config_version
FROM c
WHERE w.workflow_id = c.workflow_id
RETURNING
    c.id, c.workflow_id, c.config_version, c.runnable_config, c.metrics, c.metadata, c.artifact_url, c.created_at,
    TRUE AS is_best;

-- name: prune_checkpoints(workflow_id, keep_last, limit)!
-- Delete up to :limit of a workflow's checkpoints, oldest first: neither the newest :keep_last nor the best.
-- Index: agentensor_checkpoints_pkey
-- Locks: FOR UPDATE: the row of the workflow, so that the best one does not change meanwhile.
-- Differs: SQLite has one writer, so it needs no lock.
WITH head AS (
    SELECT workflow_id, best_version FROM agentensor_workflows WHERE workflow_id = :workflow_id FOR UPDATE
)
DELETE FROM agentensor_checkpoints
WHERE
    workflow_id = :workflow_id
    AND config_version IN (
        SELECT c.config_version
        FROM head
        INNER JOIN agentensor_checkpoints AS c ON c.workflow_id = head.workflow_id
        WHERE
            c.config_version IS DISTINCT FROM head.best_version
            AND c.config_version <= (
                SELECT kept.config_version
                FROM agentensor_checkpoints AS kept
                WHERE kept.workflow_id = :workflow_id
                ORDER BY kept.config_version DESC
                LIMIT 1 OFFSET :keep_last
            )
        ORDER BY c.config_version
        LIMIT :limit
    );

-- name: delete_checkpoints_of_workflow(workflow_id)!
-- Delete all that is known of a workflow's training.
-- Index: agentensor_workflows_pkey
DELETE FROM agentensor_workflows WHERE workflow_id = :workflow_id;
