-- Listeners and their subscriptions: what there is, which version is served, what operators do. Columns follow
-- structs.ListenerSubscription. What runtimes do is in listener_runtime.sql.
--
-- A subscription that is not disabled is the current one of its listener, and an active one belongs to a workflow that
-- is not archived: whatever changes one of these changes the status in the same transaction, so that a single row tells
-- whether a listener may work. Rows are locked in the order workflow, listener, subscription.

-- name: get_listener_subscription(id)^
-- Get one subscription by its id.
-- Returns: ListenerSubscription
-- Index: listener_subscriptions_pkey
SELECT
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error
FROM listener_subscriptions
WHERE id = :id;

-- name: get_listener_state(id, runtime_id, epoch, now)^
-- Tell why a change of a subscription was refused; a lease is one of this runtime and epoch that has not expired.
-- Returns: ListenerState
-- Index: listener_subscriptions_pkey, listeners_pkey, workflows_pkey
-- Null: runtime_id, epoch
SELECT
    coalesce(l.subscription_id = s.id, FALSE) AS is_current,
    w.is_archived,
    coalesce(
        s.assigned_runtime = :runtime_id AND s.lease_epoch = :epoch AND s.lease_expires_at > :now, FALSE
    ) AS is_leased
FROM listener_subscriptions AS s
INNER JOIN listeners AS l ON l.listener_key = s.listener_key
INNER JOIN workflows AS w ON w.id = s.workflow_id
WHERE s.id = :id;

-- name: list_listener_subscriptions(after_at, after_id, limit)
-- List the subscriptions of all workflows, those of older versions too, oldest first.
-- Returns: ListenerSubscription
-- Index: ix_listener_subscriptions__created in order
SELECT
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error
FROM listener_subscriptions
WHERE (created_at, id) > (:after_at, :after_id)
ORDER BY created_at, id
LIMIT :limit;

-- name: list_served_listener_subscriptions(after_at, after_id, limit)
-- List the subscriptions of all workflows that are not disabled, oldest first.
-- Returns: ListenerSubscription
-- Index: ix_listener_subscriptions__served in order
SELECT
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error
FROM listener_subscriptions
WHERE status <> 'disabled' AND (created_at, id) > (:after_at, :after_id)
ORDER BY created_at, id
LIMIT :limit;

-- name: list_listener_subscriptions_by_workflow(workflow_id, only_served, after_at, after_id, limit)
-- List the subscriptions of one workflow, all or those that are not disabled, oldest first.
-- Returns: ListenerSubscription
-- Index: ix_listener_subscriptions__workflow_created in order
SELECT
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error
FROM listener_subscriptions
WHERE
    workflow_id = :workflow_id
    AND (NOT :only_served OR status <> 'disabled')
    AND (created_at, id) > (:after_at, :after_id)
ORDER BY created_at, id
LIMIT :limit;

-- name: lock_workflow(id, workflow_version_id)$
-- Note that a workflow has listeners, which locks its row until the end of the transaction, and tell whether it has
-- that version.
-- No row when the workflow is missing.
-- Returns: bool
-- Index: workflows_pkey, uq_workflow_versions__workflow_id__id
UPDATE workflows
SET has_listeners = TRUE
WHERE id = :id
RETURNING EXISTS (
    SELECT 1 FROM workflow_versions AS v WHERE v.id = :workflow_version_id AND v.workflow_id = workflows.id
) AS has_version;

-- name: sync_listeners(workflow_id, workflow_version_id, listeners, now, synced_event, disabled_event)
-- Serve the listeners of one version, given as a JSON array, and no others of the workflow: what was served before is
-- disabled, pauses stand, and in an archived workflow all rest as long as it is archived. The workflow's row is locked
-- by an earlier statement of the transaction, so that this one sees what was committed while that one waited. The ids
-- returned are those that are current now.
-- Returns: UUID
-- Index: ix_listeners__workflow
-- Differs: SQLite takes a statement for each step, PostgreSQL a CTE.
WITH compiled AS (
    SELECT c.id, c.listener_key, c.node_name, c.platform, c.bot_identity_key, c.config
    FROM json_to_recordset(:listeners::json) AS c (
        id uuid, listener_key uuid, node_name text, platform text, bot_identity_key text, config json
    )
),
dropped AS (
    UPDATE listeners
    SET subscription_id = NULL
    WHERE
        workflow_id = :workflow_id
        AND subscription_id IS NOT NULL
        AND listener_key NOT IN (SELECT c.listener_key FROM compiled AS c)
    RETURNING listener_key
),
kept AS (
    INSERT INTO listeners (listener_key, workflow_id, subscription_id, is_paused, created_at)
    SELECT listener_key, :workflow_id, id, FALSE, :now::timestamptz FROM compiled
    ON CONFLICT (listener_key) DO UPDATE SET subscription_id = excluded.subscription_id
    RETURNING listener_key, is_paused
),
replaced AS (
    UPDATE listener_subscriptions
    SET
        status = 'disabled',
        assigned_runtime = NULL,
        lease_expires_at = NULL,
        updated_at = greatest(updated_at, :now),
        audit_log = audit_log || :disabled_event::jsonb
    WHERE
        workflow_id = :workflow_id
        AND status <> 'disabled'
        AND id NOT IN (SELECT c.id FROM compiled AS c)
        AND listener_key IN (
            SELECT d.listener_key FROM dropped AS d
            UNION ALL
            SELECT k.listener_key FROM kept AS k
        )
)
INSERT INTO listener_subscriptions (
    id, listener_key, workflow_id, workflow_version_id, node_name, platform, bot_identity_key, config, status,
    archived_status, lease_epoch, created_at, updated_at, audit_log
)
SELECT
    c.id, c.listener_key, w.id, :workflow_version_id, c.node_name, c.platform, c.bot_identity_key, c.config,
    CASE WHEN w.is_archived THEN 'disabled' WHEN k.is_paused THEN 'paused' ELSE 'active' END,
    CASE WHEN w.is_archived THEN CASE WHEN k.is_paused THEN 'paused' ELSE 'active' END END,
    0, :now::timestamptz, :now::timestamptz, jsonb_build_array(:synced_event::jsonb)
FROM compiled AS c
INNER JOIN kept AS k ON k.listener_key = c.listener_key
INNER JOIN workflows AS w ON w.id = :workflow_id
ON CONFLICT (id) DO UPDATE
    SET
        listener_key = excluded.listener_key,
        node_name = excluded.node_name,
        platform = excluded.platform,
        bot_identity_key = excluded.bot_identity_key,
        config = excluded.config,
        status = excluded.status,
        archived_status = excluded.archived_status,
        assigned_runtime = NULL,
        lease_expires_at = NULL,
        last_error = NULL,
        updated_at = greatest(listener_subscriptions.updated_at, excluded.updated_at),
        audit_log = listener_subscriptions.audit_log || excluded.audit_log
RETURNING id;

-- name: update_listener_status(id, status, last_error, now, event)^
-- Set the status of a subscription, which ends its lease; a pause is noted with the listener, for the next versions.
-- No row when it is missing, not the current one, or to become active in an archived workflow.
-- Returns: ListenerSubscription
-- Index: listener_subscriptions_pkey, listeners_pkey, workflows_pkey
-- Null: last_error
-- Locks: FOR NO KEY UPDATE: what the decision rests on.
-- Differs: SQLite takes a statement for each row, PostgreSQL a CTE; and it locks what the decision rests on.
WITH target AS (
    SELECT s.id, s.listener_key
    FROM listener_subscriptions AS s
    INNER JOIN listeners AS l ON l.listener_key = s.listener_key
    INNER JOIN workflows AS w ON w.id = s.workflow_id
    WHERE s.id = :id AND l.subscription_id = s.id AND (:status::text <> 'active' OR NOT w.is_archived)
    FOR NO KEY UPDATE OF w, l, s
),
noted AS (
    UPDATE listeners
    SET is_paused = :status::text = 'paused'
    FROM target
    WHERE listeners.listener_key = target.listener_key AND :status::text IN ('active', 'paused')
)
UPDATE listener_subscriptions
SET
    status = :status,
    archived_status = NULL,
    assigned_runtime = NULL,
    lease_expires_at = NULL,
    last_error = CASE
        WHEN :status::text <> 'active' THEN coalesce(:last_error::text, listener_subscriptions.last_error)
    END,
    updated_at = greatest(listener_subscriptions.updated_at, :now),
    audit_log = listener_subscriptions.audit_log || :event::jsonb
FROM target
WHERE listener_subscriptions.id = target.id
RETURNING
    listener_subscriptions.id, listener_subscriptions.created_at, listener_subscriptions.updated_at,
    listener_subscriptions.audit_log, listener_subscriptions.workflow_id, listener_subscriptions.workflow_version_id,
    listener_subscriptions.node_name, listener_subscriptions.platform, listener_subscriptions.bot_identity_key,
    listener_subscriptions.config, listener_subscriptions.status, listener_subscriptions.assigned_runtime,
    listener_subscriptions.lease_expires_at, listener_subscriptions.last_event_at, listener_subscriptions.last_error;

-- name: prune_listener_subscriptions(disabled_before, limit)!
-- Delete up to :limit subscriptions that were disabled before a time, oldest first; the current ones of archived
-- workflows stay, as do the listeners with their cursors.
-- Index: ix_listener_subscriptions__disabled in order
-- Locks: FOR UPDATE SKIP LOCKED: two that prune at once take different rows.
-- Differs: SQLite needs no SKIP LOCKED; its only writer holds the lock. In PostgreSQL a CTE, because a subquery may run
--     again for each row, lock others the next time, and exceed the limit. SQLite takes CROSS JOIN in the order that is
--     written, whatever its statistics say of a smaller database.
WITH old AS MATERIALIZED (
    SELECT s.id
    FROM listener_subscriptions AS s
    INNER JOIN listeners AS l ON l.listener_key = s.listener_key
    WHERE s.status = 'disabled' AND s.updated_at < :disabled_before AND l.subscription_id IS DISTINCT FROM s.id
    ORDER BY s.updated_at, s.id
    LIMIT :limit
    FOR UPDATE OF s SKIP LOCKED
)
DELETE FROM listener_subscriptions
USING old
WHERE listener_subscriptions.id = old.id;
