-- What listener runtimes do: hold leases, keep their place in a platform's events, and turn events into runs. Why the
-- status alone says whether a subscription may work is told in listeners.sql.
--
-- A lease is a runtime, an epoch and an expiry. With a lease given, a statement changes something only while the lease
-- is held; the row is locked, so that it can't pass to another runtime in the meantime.

-- name: claim_listener(id, runtime_id, expires_at, now, event)^
-- Lease an active subscription to a runtime if it is free, expired or its own already; no row otherwise. Only a lease
-- that has not expired goes on under its epoch, and the audit trail notes only that the runtime is another one.
-- Returns: LeasedListener
-- Index: listener_subscriptions_pkey
UPDATE listener_subscriptions
SET
    assigned_runtime = :runtime_id,
    lease_expires_at = :expires_at,
    lease_epoch = lease_epoch + CASE WHEN assigned_runtime = :runtime_id AND lease_expires_at > :now THEN 0 ELSE 1 END,
    updated_at = CASE WHEN assigned_runtime = :runtime_id THEN updated_at ELSE greatest(updated_at, :now) END,
    audit_log = CASE
        WHEN assigned_runtime = :runtime_id THEN audit_log
        ELSE audit_log || :event::jsonb
    END
WHERE
    id = :id
    AND status = 'active'
    AND (
        assigned_runtime IS NULL OR assigned_runtime = :runtime_id
        OR lease_expires_at IS NULL OR lease_expires_at <= :now
    )
RETURNING
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error, lease_epoch;

-- name: renew_listener(id, runtime_id, epoch, expires_at, now)^
-- Extend a lease that is held; no row when it is not.
-- Returns: LeasedListener
-- Index: listener_subscriptions_pkey
UPDATE listener_subscriptions
SET lease_expires_at = :expires_at
WHERE
    id = :id
    AND status = 'active'
    AND assigned_runtime = :runtime_id
    AND lease_epoch = :epoch
    AND lease_expires_at > :now
RETURNING
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error, lease_epoch;

-- name: release_listener(id, runtime_id, now, event)^
-- Give up the lease of a runtime, expired or not; no row when the subscription is missing or not its own.
-- Returns: ListenerSubscription
-- Index: listener_subscriptions_pkey
UPDATE listener_subscriptions
SET
    assigned_runtime = NULL,
    lease_expires_at = NULL,
    updated_at = greatest(updated_at, :now),
    audit_log = audit_log || :event::jsonb
WHERE id = :id AND assigned_runtime = :runtime_id
RETURNING
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error;

-- name: get_listener_cursor(id)^
-- Get the cursor of the listener that a subscription belongs to.
-- Returns: StoredCursor
-- Index: listener_subscriptions_pkey, listeners_pkey
SELECT l.cursor
FROM listener_subscriptions AS s
INNER JOIN listeners AS l ON l.listener_key = s.listener_key
WHERE s.id = :id;

-- name: save_listener_cursor(id, runtime_id, epoch, cursor, now)^
-- Keep the cursor of a listener, whatever versions come. No row when the subscription is missing or not the current
-- one, or a lease is given that is not held.
-- Returns: StoredCursor
-- Index: listener_subscriptions_pkey, listeners_pkey
-- Null: runtime_id, epoch
-- Locks: FOR NO KEY UPDATE: what the decision rests on, until the cursor is kept.
-- Differs: PostgreSQL locks what the decision rests on; the writer of SQLite holds the lock already.
WITH target AS (
    SELECT l.listener_key
    FROM listener_subscriptions AS s
    INNER JOIN listeners AS l ON l.listener_key = s.listener_key
    WHERE
        s.id = :id
        AND l.subscription_id = s.id
        AND (
            :runtime_id::text IS NULL
            OR (s.assigned_runtime = :runtime_id AND s.lease_epoch = :epoch AND s.lease_expires_at > :now)
        )
    FOR NO KEY UPDATE OF l, s
)
UPDATE listeners
SET cursor = :cursor
FROM target
WHERE listeners.listener_key = target.listener_key
RETURNING listeners.cursor;

-- name: dispatch_listener_event(id, runtime_id, epoch, dedupe_key, dedupe_until, run_id, input_payload, search_text, now, event)^
-- Remember an event and create its run, on the version of the subscription, all or nothing. No row, and nothing is
-- changed, when the event is remembered already, the subscription is not active, or a lease is given that is not held.
-- Returns: WorkflowRun
-- Index: listener_subscriptions_pkey, workflows_pkey, workflow_versions_pkey
-- Null: runtime_id, epoch
-- Differs: SQLite takes a statement for each table, PostgreSQL a CTE; and it locks.
-- Locks: FOR KEY SHARE: the workflow against being archived; then FOR NO KEY UPDATE: the subscription; both until the
-- run is committed.
WITH eligible AS (
    SELECT w.id
    FROM workflows AS w
    WHERE w.id = (SELECT s.workflow_id FROM listener_subscriptions AS s WHERE s.id = :id) AND NOT w.is_archived
    FOR KEY SHARE OF w
),
target AS (
    SELECT s.id, s.listener_key, s.workflow_id, s.workflow_version_id, v.default_run_config, v.default_run_text
    FROM eligible
    INNER JOIN listener_subscriptions AS s ON s.workflow_id = eligible.id
    INNER JOIN workflow_versions AS v ON v.id = s.workflow_version_id
    WHERE
        s.id = :id
        AND s.status = 'active'
        AND (
            :runtime_id::text IS NULL
            OR (s.assigned_runtime = :runtime_id AND s.lease_epoch = :epoch AND s.lease_expires_at > :now)
        )
    FOR NO KEY UPDATE OF s
),
remembered AS (
    INSERT INTO listener_dedupe (listener_key, dedupe_key, expires_at)
    SELECT target.listener_key, :dedupe_key, :dedupe_until FROM target
    ON CONFLICT (listener_key, dedupe_key) DO UPDATE
        SET expires_at = excluded.expires_at
        WHERE listener_dedupe.expires_at <= :now
    RETURNING listener_key
),
r AS (
    INSERT INTO workflow_runs (
        id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
        is_handed_off
    )
    SELECT
        :run_id, target.workflow_id, target.workflow_version_id, 'pending', 'listener',
        :now::timestamptz, :now::timestamptz, jsonb_build_array(:event::jsonb),
        (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = target.workflow_id), TRUE
    FROM target
    INNER JOIN remembered ON remembered.listener_key = target.listener_key
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
touched AS (
    UPDATE listener_subscriptions
    SET
        last_event_at = :now,
        last_error = NULL
    FROM target
    CROSS JOIN r
    WHERE listener_subscriptions.id = target.id
),
i AS (
    INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
    SELECT r.run_number, :input_payload::json, target.default_run_config FROM r CROSS JOIN target
    RETURNING input_payload, runnable_config
),
indexed AS (
    INSERT INTO workflow_run_search (run_number, search_text)
    SELECT r.run_number, :search_text::text || target.default_run_text FROM r CROSS JOIN target
),
handed AS (
    INSERT INTO run_outbox (run_id, available_at, attempts, created_at)
    SELECT r.id, :now::timestamptz, 0, :now::timestamptz FROM r
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
CROSS JOIN i;

-- name: prune_listener_dedupe(now, limit)!
-- Forget up to :limit events whose keys have expired.
-- Index: ix_listener_dedupe__expires
-- Locks: FOR UPDATE SKIP LOCKED: two that prune at once take different rows.
-- Differs: SQLite needs no SKIP LOCKED; its only writer holds the lock. In PostgreSQL a CTE: see
--     prune_listener_subscriptions.
WITH expired AS MATERIALIZED (
    SELECT listener_key, dedupe_key
    FROM listener_dedupe
    WHERE expires_at <= :now
    ORDER BY expires_at, listener_key, dedupe_key
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM listener_dedupe
USING expired
WHERE listener_dedupe.listener_key = expired.listener_key AND listener_dedupe.dedupe_key = expired.dedupe_key;
