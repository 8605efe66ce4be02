-- Webhooks: their configs, and the one statement that accepts a call, with all that has to be true for it.

-- name: get_webhook(workflow_id)^
-- Get a workflow's webhook, if it has one, and what a run of it is created from; no row when the workflow is missing.
-- Returns: StoredWebhook
-- Index: workflows_pkey
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
-- Locks: FOR NO KEY UPDATE: the workflow, before the webhook, as all that changes webhooks; it waits only for a call
-- that makes a place.
-- Single: of the two arms one writes, as there is a webhook to replace or none.
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
WITH locked AS (
    SELECT id FROM workflows WHERE id = :workflow_id FOR NO KEY UPDATE
),
-- Two arms rather than an upsert: what is deleted in the meantime is not made again, with secrets that were forgotten.
replaced AS (
    UPDATE webhook_triggers AS t
    SET
        config = :config::json,
        shared_secret = :shared_secret,
        hmac_secret = :hmac_secret,
        slots = CASE WHEN :clear_slots THEN 0 ELSE t.slots END,
        slot_set = CASE WHEN :clear_slots THEN :revision ELSE t.slot_set END,
        revision = :revision,
        updated_at = :now
    FROM locked
    WHERE t.workflow_id = locked.id AND t.revision = :replaces::uuid
    RETURNING t.workflow_id
),
made AS (
    INSERT INTO webhook_triggers (
        workflow_id, config, shared_secret, hmac_secret, slots, slot_set, revision, created_at, updated_at
    )
    SELECT
        id, :config::json, :shared_secret, :hmac_secret, 0, :revision::uuid, :revision::uuid, :now::timestamptz,
        :now::timestamptz
    FROM locked
    WHERE :replaces::uuid IS NULL
    ON CONFLICT (workflow_id) DO NOTHING
    RETURNING workflow_id
),
put AS (
    SELECT workflow_id FROM replaced
    UNION ALL
    SELECT workflow_id FROM made
),
-- Places that a call makes at this moment are not seen and stay behind, in a set that counts no more.
cleared AS (
    DELETE FROM webhook_slots USING put WHERE webhook_slots.workflow_id = put.workflow_id AND :clear_slots
)
UPDATE workflows
SET updated_at = greatest(updated_at, :now), audit_log = audit_log || :event::jsonb
FROM put
WHERE id = put.workflow_id
RETURNING id;

-- name: delete_webhook(workflow_id, now, event)$
-- Turn a workflow's webhook off and forget all about it, and record that in the workflow; no row when it has none.
-- Returns: UUID
-- Index: webhook_triggers_pkey
-- Locks: FOR NO KEY UPDATE: the workflow, before the webhook; it waits for calls that are just being accepted.
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
WITH locked AS (
    SELECT id FROM workflows WHERE id = :workflow_id FOR NO KEY UPDATE
),
deleted AS (
    DELETE FROM webhook_triggers AS t USING locked WHERE t.workflow_id = locked.id RETURNING t.workflow_id
)
UPDATE workflows
SET updated_at = greatest(updated_at, :now), audit_log = audit_log || :event::jsonb
FROM deleted
WHERE id = deleted.workflow_id
RETURNING id;

-- name: accept_webhook_call(id, workflow_id, revision, digest, signature_expires_at, slot_limit, counted_from, input_payload, now, event, search_text)^
-- Accept a call: remember its signature, take a place of the rate limit and create its run, of the version that is the
-- latest now, all or nothing. No row when the webhook has another revision, the signature was seen, no place is free,
-- the workflow is archived or has no version; nor, on PostgreSQL, when its latest version changes at this moment.
-- Returns: WorkflowRun
-- Null: digest, signature_expires_at, slot_limit, counted_from
-- Locks: FOR KEY SHARE: the workflow against being archived, and the webhook against being deleted, until the run is
-- committed. FOR UPDATE SKIP LOCKED: the place. Calls wait for each other only where a place is made or the signature
-- is the same.
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
WITH eligible AS (
    SELECT
        w.id AS workflow_id, v.id AS workflow_version_id, v.default_run_config, v.default_run_text, t.slot_set
    FROM workflows AS w
    INNER JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
    INNER JOIN webhook_triggers AS t ON t.workflow_id = w.id
    WHERE w.id = :workflow_id AND NOT w.is_archived AND t.revision = :revision
    FOR KEY SHARE OF w, t
),
free AS (
    SELECT s.workflow_id, s.slot_set, s.slot
    FROM eligible
    INNER JOIN webhook_slots AS s ON s.workflow_id = eligible.workflow_id AND s.slot_set = eligible.slot_set
    WHERE s.used_at < :counted_from AND s.slot <= :slot_limit
    ORDER BY s.used_at, s.slot
    LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
),
grown AS (
    UPDATE webhook_triggers AS t
    SET slots = t.slots + 1
    FROM eligible
    WHERE
        t.workflow_id = :workflow_id AND t.slots < :slot_limit AND NOT EXISTS (SELECT 1 FROM free)
        -- Again, for what was committed while this waited for another call or a new config.
        AND t.revision = :revision
    RETURNING t.workflow_id, t.slot_set, t.slots
),
remembered AS (
    INSERT INTO webhook_signatures (workflow_id, digest, accepted_at, expires_at)
    SELECT eligible.workflow_id, :digest, :now::timestamptz, :signature_expires_at::timestamptz
    FROM eligible
    WHERE
        :digest::text IS NOT NULL
        AND (:slot_limit::bigint IS NULL OR EXISTS (SELECT 1 FROM free) OR EXISTS (SELECT 1 FROM grown))
    ON CONFLICT (workflow_id, digest) DO UPDATE
        SET accepted_at = excluded.accepted_at, expires_at = excluded.expires_at
        WHERE webhook_signatures.expires_at <= :now
    RETURNING workflow_id
),
accepted AS (
    SELECT eligible.workflow_id, eligible.workflow_version_id, eligible.default_run_config, eligible.default_run_text
    FROM eligible
    WHERE
        (:digest::text IS NULL OR EXISTS (SELECT 1 FROM remembered))
        AND (:slot_limit::bigint IS NULL OR EXISTS (SELECT 1 FROM free) OR EXISTS (SELECT 1 FROM grown))
),
used AS (
    UPDATE webhook_slots AS s
    SET used_at = :now
    FROM free
    INNER JOIN accepted ON accepted.workflow_id = free.workflow_id
    WHERE s.workflow_id = free.workflow_id AND s.slot_set = free.slot_set AND s.slot = free.slot
),
-- A place that was made for a call whose signature was seen stays, as a free one.
added AS (
    INSERT INTO webhook_slots (workflow_id, slot_set, slot, used_at)
    SELECT
        grown.workflow_id, grown.slot_set, grown.slots,
        CASE WHEN accepted.workflow_id IS NULL THEN '0001-01-01 00:00:00+00' ELSE :now::timestamptz END
    FROM grown
    LEFT JOIN accepted ON accepted.workflow_id = grown.workflow_id
),
r AS (
    INSERT INTO workflow_runs (
        id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
        is_handed_off
    )
    SELECT
        :id, workflow_id, workflow_version_id, 'pending', 'webhook',
        :now::timestamptz, :now::timestamptz, jsonb_build_array(:event::jsonb),
        (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = accepted.workflow_id), TRUE
    FROM accepted
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
i AS (
    INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
    SELECT r.run_number, :input_payload::json, accepted.default_run_config FROM r CROSS JOIN accepted
    RETURNING input_payload, runnable_config
),
indexed AS (
    INSERT INTO workflow_run_search (run_number, search_text)
    SELECT r.run_number, :search_text::text || accepted.default_run_text FROM r CROSS JOIN accepted
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

-- name: get_webhook_refusal(workflow_id, digest, counted_from, now)^
-- Tell why a call was not accepted; no row when the webhook is gone.
-- Returns: WebhookRefusal
-- Null: digest, counted_from
-- Index: webhook_triggers_pkey
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
-- Locks: FOR UPDATE SKIP LOCKED: two that prune at once take different rows.
-- Differs: SQLite has one writer; on PostgreSQL, two that prune at once take different rows.
WITH expired AS MATERIALIZED (
    SELECT workflow_id, digest
    FROM webhook_signatures
    WHERE expires_at <= :now
    ORDER BY expires_at, workflow_id, digest
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM webhook_signatures AS s
USING expired
WHERE s.workflow_id = expired.workflow_id AND s.digest = expired.digest;

-- name: prune_lasting_webhook_signatures(accepted_before, limit)!
-- Forget up to :limit signatures that never expire, of calls accepted before a time; those calls are accepted again.
-- Index: ix_webhook_signatures__lasting
-- Locks: FOR UPDATE SKIP LOCKED: two that prune at once take different rows.
-- Differs: SQLite has one writer, so it needs no lock.
WITH old AS MATERIALIZED (
    SELECT workflow_id, digest
    FROM webhook_signatures
    WHERE expires_at IS NULL AND accepted_at < :accepted_before
    ORDER BY accepted_at, workflow_id, digest
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM webhook_signatures AS s
USING old
WHERE s.workflow_id = old.workflow_id AND s.digest = old.digest;
