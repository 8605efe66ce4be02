-- Webhooks: their configs, and the one statement that accepts a call, with all that has to be true for it.

-- name: get_webhook(workflow_id)^
-- Get a workflow's webhook, if it has one, and what a run of it is created from; no row when the workflow is missing.
-- Returns: StoredWebhook
-- Index: sqlite_autoindex_workflows_1
SELECT
    w.is_archived, v.id AS workflow_version_id, t.config, t.shared_secret, t.hmac_secret, t.revision
FROM workflows AS w
LEFT JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
LEFT JOIN webhook_triggers AS t ON t.workflow_id = w.id
WHERE w.id = :workflow_id;

-- name: put_webhook(workflow_id, config, shared_secret, hmac_secret, replaces, revision, clear_slots, now, event)$
-- Set a workflow's webhook and record that in the workflow; with :clear_slots, past calls count no more.
-- No row when the workflow is missing, or the webhook that it has by now is not the one to replace (NULL: none).
-- Returns: UUID
-- Null: shared_secret, hmac_secret, replaces
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
INSERT INTO webhook_triggers (
    workflow_id, config, shared_secret, hmac_secret, slots, slot_set, revision, created_at, updated_at
)
SELECT id, :config, :shared_secret, :hmac_secret, 0, :revision, :revision, :now, :now
FROM workflows
WHERE
    id = :workflow_id
    -- What is deleted in the meantime is not made again, with secrets that were forgotten.
    AND :replaces IS (SELECT t.revision FROM webhook_triggers AS t WHERE t.workflow_id = :workflow_id)
ON CONFLICT (workflow_id) DO UPDATE
SET
    config = excluded.config,
    shared_secret = excluded.shared_secret,
    hmac_secret = excluded.hmac_secret,
    slots = CASE WHEN :clear_slots THEN 0 ELSE slots END,
    slot_set = CASE WHEN :clear_slots THEN excluded.slot_set ELSE slot_set END,
    revision = excluded.revision,
    updated_at = excluded.updated_at
RETURNING workflow_id;

DELETE FROM webhook_slots WHERE workflow_id = :workflow_id AND :clear_slots;

UPDATE workflows
SET updated_at = max(updated_at, :now), audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :workflow_id;

-- name: delete_webhook(workflow_id, now, event)$
-- Turn a workflow's webhook off and forget all about it, and record that in the workflow; no row when it has none.
-- Returns: UUID
-- Index: sqlite_autoindex_webhook_triggers_1
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
DELETE FROM webhook_triggers WHERE workflow_id = :workflow_id RETURNING workflow_id;

UPDATE workflows
SET updated_at = max(updated_at, :now), audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :workflow_id;

-- name: accept_webhook_call(id, workflow_id, revision, digest, signature_expires_at, slot_limit, counted_from, input_payload, now, event, search_text)^
-- Accept a call: remember its signature, take a place of the rate limit and create its run, of the version that is the
-- latest now, all or nothing. No row when the webhook has another revision, the signature was seen, no place is free,
-- the workflow is archived or has no version; nor, on PostgreSQL, when its latest version changes at this moment.
-- Returns: WorkflowRun
-- Null: digest, signature_expires_at, slot_limit, counted_from
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
    is_handed_off
)
SELECT
    :id, w.id, v.id, 'pending', 'webhook', :now, :now, json_array(json(:event)),
    (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = w.id), 1
FROM workflows AS w
INNER JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
INNER JOIN webhook_triggers AS t ON t.workflow_id = w.id
WHERE
    w.id = :workflow_id AND NOT w.is_archived AND t.revision = :revision
    AND (
        :digest IS NULL
        OR NOT EXISTS (
            SELECT 1 FROM webhook_signatures AS s
            WHERE s.workflow_id = w.id AND s.digest = :digest AND (s.expires_at IS NULL OR s.expires_at > :now)
        )
    )
    AND (
        :slot_limit IS NULL
        OR t.slots < :slot_limit
        OR EXISTS (
            SELECT 1 FROM webhook_slots AS s
            WHERE
                s.workflow_id = w.id AND s.slot_set = t.slot_set
                AND s.used_at < :counted_from AND s.slot <= :slot_limit
        )
    )
RETURNING
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by,
    :input_payload AS input_payload,
    (
        SELECT v.default_run_config FROM workflow_versions AS v WHERE v.id = workflow_runs.workflow_version_id
    ) AS runnable_config,
    NULL AS output_payload, started_at, completed_at, error;

INSERT INTO webhook_signatures (workflow_id, digest, accepted_at, expires_at)
SELECT :workflow_id, :digest, :now, :signature_expires_at
WHERE :digest IS NOT NULL
ON CONFLICT (workflow_id, digest) DO UPDATE SET accepted_at = excluded.accepted_at, expires_at = excluded.expires_at;

-- A place is made where none is free, and then taken.
INSERT INTO webhook_slots (workflow_id, slot_set, slot, used_at)
SELECT t.workflow_id, t.slot_set, t.slots + 1, '0001-01-01T00:00:00.000000Z'
FROM webhook_triggers AS t
WHERE
    t.workflow_id = :workflow_id AND :slot_limit IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM webhook_slots AS s
        WHERE
            s.workflow_id = t.workflow_id AND s.slot_set = t.slot_set
            AND s.used_at < :counted_from AND s.slot <= :slot_limit
    );

UPDATE webhook_triggers
SET
    slots = (
        SELECT coalesce(max(s.slot), 0) FROM webhook_slots AS s
        WHERE s.workflow_id = :workflow_id AND s.slot_set = webhook_triggers.slot_set
    )
WHERE workflow_id = :workflow_id AND :slot_limit IS NOT NULL;

UPDATE webhook_slots
SET used_at = :now
WHERE
    workflow_id = :workflow_id
    AND (slot_set, slot) = (
        SELECT s.slot_set, s.slot
        FROM webhook_triggers AS t
        INNER JOIN webhook_slots AS s ON s.workflow_id = t.workflow_id AND s.slot_set = t.slot_set
        WHERE t.workflow_id = :workflow_id AND s.used_at < :counted_from AND s.slot <= :slot_limit
        ORDER BY s.used_at, s.slot
        LIMIT 1
    );

INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
SELECT r.run_number, :input_payload, v.default_run_config
FROM workflow_runs AS r
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id
WHERE r.id = :id;

INSERT INTO workflow_run_search (run_number, search_text)
SELECT r.run_number, :search_text || v.default_run_text
FROM workflow_runs AS r
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id
WHERE r.id = :id;

INSERT INTO run_outbox (run_id, available_at, attempts, created_at) VALUES (:id, :now, 0, :now);

-- name: get_webhook_refusal(workflow_id, digest, counted_from, now)^
-- Tell why a call was not accepted; no row when the webhook is gone.
-- Returns: WebhookRefusal
-- Null: digest, counted_from
-- Index: sqlite_autoindex_webhook_triggers_1
SELECT
    t.revision,
    t.slots,
    (
        SELECT count(*) FROM webhook_signatures AS s
        WHERE
            s.workflow_id = t.workflow_id AND s.digest = :digest AND (s.expires_at IS NULL OR s.expires_at > :now)
    ) > 0 AS is_seen,
    (
        SELECT count(*) FROM webhook_slots AS s
        WHERE s.workflow_id = t.workflow_id AND s.slot_set = t.slot_set AND s.used_at >= :counted_from
    ) AS accepted_calls
FROM webhook_triggers AS t
WHERE t.workflow_id = :workflow_id;

-- name: prune_webhook_signatures(now, limit)!
-- Forget up to :limit signatures that have expired.
-- Index: ix_webhook_signatures__expires
-- Differs: SQLite has one writer; on PostgreSQL, two that prune at once take different rows.
DELETE FROM webhook_signatures
WHERE (workflow_id, digest) IN (
    SELECT workflow_id, digest
    FROM webhook_signatures
    WHERE expires_at <= :now
    ORDER BY expires_at, workflow_id, digest
    LIMIT :limit
);

-- name: prune_lasting_webhook_signatures(accepted_before, limit)!
-- Forget up to :limit signatures that never expire, of calls accepted before a time; those calls are accepted again.
-- Index: ix_webhook_signatures__lasting
-- Differs: SQLite has one writer; on PostgreSQL, two that prune at once take different rows.
DELETE FROM webhook_signatures
WHERE (workflow_id, digest) IN (
    SELECT workflow_id, digest
    FROM webhook_signatures
    WHERE expires_at IS NULL AND accepted_at < :accepted_before
    ORDER BY accepted_at, workflow_id, digest
    LIMIT :limit
);
