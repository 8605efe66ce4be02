-- What listener runtimes do: hold leases, keep their place in a platform's events, and turn events into runs. Why the
-- status alone says whether a subscription may work is told in listeners.sql.
--
-- A lease is a runtime, an epoch and an expiry. With a lease given, a statement changes something only while the lease
-- is held; the row is locked, so that it can't pass to another runtime in the meantime.

-- name: claim_listener(id, runtime_id, expires_at, now, event)^
-- Lease an active subscription to a runtime if it is free, expired or its own already; no row otherwise. Only a lease
-- that has not expired goes on under its epoch, and the audit trail notes only that the runtime is another one.
-- Returns: LeasedListener
-- Index: sqlite_autoindex_listener_subscriptions_1
UPDATE listener_subscriptions
SET
    assigned_runtime = :runtime_id,
    lease_expires_at = :expires_at,
    lease_epoch = lease_epoch + CASE WHEN assigned_runtime = :runtime_id AND lease_expires_at > :now THEN 0 ELSE 1 END,
    updated_at = CASE WHEN assigned_runtime = :runtime_id THEN updated_at ELSE max(updated_at, :now) END,
    audit_log = CASE
        WHEN assigned_runtime = :runtime_id THEN audit_log
        ELSE json_insert(audit_log, '$[#]', json(:event))
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
-- Index: sqlite_autoindex_listener_subscriptions_1
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
-- Index: sqlite_autoindex_listener_subscriptions_1
UPDATE listener_subscriptions
SET
    assigned_runtime = NULL,
    lease_expires_at = NULL,
    updated_at = max(updated_at, :now),
    audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :id AND assigned_runtime = :runtime_id
RETURNING
    id, created_at, updated_at, audit_log, workflow_id, workflow_version_id, node_name, platform, bot_identity_key,
    config, status, assigned_runtime, lease_expires_at, last_event_at, last_error;

-- name: get_listener_cursor(id)^
-- Get the cursor of the listener that a subscription belongs to.
-- Returns: StoredCursor
-- Index: sqlite_autoindex_listener_subscriptions_1, sqlite_autoindex_listeners_1
SELECT l.cursor
FROM listener_subscriptions AS s
INNER JOIN listeners AS l ON l.listener_key = s.listener_key
WHERE s.id = :id;

-- name: save_listener_cursor(id, runtime_id, epoch, cursor, now)^
-- Keep the cursor of a listener, whatever versions come. No row when the subscription is missing or not the current
-- one, or a lease is given that is not held.
-- Returns: StoredCursor
-- Index: sqlite_autoindex_listener_subscriptions_1, sqlite_autoindex_listeners_1
-- Null: runtime_id, epoch
-- Differs: PostgreSQL locks what the decision rests on; the writer of SQLite holds the lock already.
UPDATE listeners
SET cursor = :cursor
WHERE
    subscription_id = :id AND listener_key = (
        SELECT s.listener_key
        FROM listener_subscriptions AS s
        WHERE
            s.id = :id
            AND (
                :runtime_id IS NULL
                OR (s.assigned_runtime = :runtime_id AND s.lease_epoch = :epoch AND s.lease_expires_at > :now)
            )
    )
RETURNING cursor;

-- name: dispatch_listener_event(id, runtime_id, epoch, dedupe_key, dedupe_until, run_id, input_payload, search_text, now, event)^
-- Remember an event and create its run, on the version of the subscription, all or nothing. No row, and nothing is
-- changed, when the event is remembered already, the subscription is not active, or a lease is given that is not held.
-- Returns: WorkflowRun
-- Index: sqlite_autoindex_listener_subscriptions_1, sqlite_autoindex_workflows_1, sqlite_autoindex_workflow_versions_1
-- Null: runtime_id, epoch
-- Differs: SQLite takes a statement for each table, PostgreSQL a CTE; and it locks.
INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
    is_handed_off
)
SELECT
    :run_id, w.id, s.workflow_version_id, 'pending', 'listener', :now, :now, json_array(json(:event)),
    (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = w.id), 1
FROM listener_subscriptions AS s
INNER JOIN workflows AS w ON w.id = s.workflow_id
LEFT JOIN listener_dedupe AS d ON d.listener_key = s.listener_key AND d.dedupe_key = :dedupe_key
WHERE
    s.id = :id
    AND s.status = 'active'
    AND NOT w.is_archived
    AND (
        :runtime_id IS NULL
        OR (s.assigned_runtime = :runtime_id AND s.lease_epoch = :epoch AND s.lease_expires_at > :now)
    )
    AND (d.expires_at IS NULL OR d.expires_at <= :now)
RETURNING
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by,
    :input_payload AS input_payload,
    (
        SELECT v.default_run_config FROM workflow_versions AS v WHERE v.id = workflow_runs.workflow_version_id
    ) AS runnable_config,
    NULL AS output_payload, started_at, completed_at, error;

INSERT INTO listener_dedupe (listener_key, dedupe_key, expires_at)
SELECT listener_key, :dedupe_key, :dedupe_until FROM listener_subscriptions WHERE id = :id
ON CONFLICT (listener_key, dedupe_key) DO UPDATE SET expires_at = excluded.expires_at;

UPDATE listener_subscriptions
SET
    last_event_at = :now,
    last_error = NULL
WHERE id = :id;

INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
SELECT r.run_number, :input_payload, v.default_run_config
FROM workflow_runs AS r
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id
WHERE r.id = :run_id;

INSERT INTO workflow_run_search (run_number, search_text)
SELECT r.run_number, :search_text || v.default_run_text
FROM workflow_runs AS r
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id
WHERE r.id = :run_id;

INSERT INTO run_outbox (run_id, available_at, attempts, created_at) VALUES (:run_id, :now, 0, :now);

-- name: prune_listener_dedupe(now, limit)!
-- Forget up to :limit events whose keys have expired.
-- Index: ix_listener_dedupe__expires
-- Differs: SQLite needs no SKIP LOCKED; its only writer holds the lock. In PostgreSQL a CTE: see
--     prune_listener_subscriptions.
DELETE FROM listener_dedupe
WHERE (listener_key, dedupe_key) IN (
    SELECT listener_key, dedupe_key
    FROM listener_dedupe
    WHERE expires_at <= :now
    ORDER BY expires_at, listener_key, dedupe_key
    LIMIT :limit
);
