-- The outbox: runs to hand to workers. A row that is claimed is not gone: its lease ends by itself, and it is offered
-- again.

-- name: claim_outbox(claim_id, consumer, now, lease_until, limit)
-- Lease up to :limit runs that are offered, oldest first, to one consumer.
-- Returns: OutboxEntry
-- Index: ix_run_outbox__available
-- Scan: the outbox is small, unless no worker has come for long: then PostgreSQL takes the index.
-- Locks: FOR UPDATE SKIP LOCKED: consumers that claim at once get different rows, and do not wait.
-- Differs: of consumers that claim at once, PostgreSQL gives each other rows; SQLite has one writer.
WITH offered AS (
    SELECT run_id
    FROM run_outbox
    WHERE available_at <= :now
    ORDER BY available_at, run_id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
),
claimed AS (
    UPDATE run_outbox AS o
    SET claim_id = :claim_id, consumer = :consumer, available_at = :lease_until, attempts = o.attempts + 1
    FROM offered
    WHERE o.run_id = offered.run_id
    RETURNING o.run_id, o.claim_id, o.consumer, o.attempts, o.available_at, o.created_at
)
SELECT
    o.run_id, r.workflow_id, r.workflow_version_id, r.triggered_by, r.status, o.claim_id, o.consumer, o.attempts,
    o.available_at, o.created_at
FROM claimed AS o
INNER JOIN workflow_runs AS r ON r.id = o.run_id
ORDER BY o.created_at, o.run_id;

-- name: acknowledge_outbox(entries)!
-- Delete the rows of these claims, and no others: :entries is a list of objects with run_id and claim_id.
-- Index: run_outbox_pkey
-- Differs: each database unpacks a list in its own way. PostgreSQL expects a hundred of them, and would read the whole
-- outbox to join it with so many: of an array it expects ten, which it looks up by their key.
DELETE FROM run_outbox AS o
USING json_to_recordset(:entries::json) AS e (run_id uuid, claim_id uuid)
WHERE
    o.run_id = any(array(SELECT k.run_id FROM json_to_recordset(:entries::json) AS k (run_id uuid)))
    AND o.run_id = e.run_id AND o.claim_id = e.claim_id;

-- name: release_outbox(entries, available_at)!
-- Offer the rows of these claims again, from a time on.
-- Index: run_outbox_pkey
-- Differs: each database unpacks a list in its own way. PostgreSQL expects a hundred of them, and would read the whole
-- outbox to join it with so many: of an array it expects ten, which it looks up by their key.
UPDATE run_outbox AS o
SET claim_id = NULL, consumer = NULL, available_at = :available_at
FROM json_to_recordset(:entries::json) AS e (run_id uuid, claim_id uuid)
WHERE
    o.run_id = any(array(SELECT k.run_id FROM json_to_recordset(:entries::json) AS k (run_id uuid)))
    AND o.run_id = e.run_id AND o.claim_id = e.claim_id;

-- name: sweep_outbox(created_before, now, limit)!
-- Offer up to :limit runs again that went to the outbox, are not there any more, and are pending since before a time.
-- Index: ix_workflow_runs__status_created
-- Scan: the outbox is small, unless no worker has come for long: then PostgreSQL takes the index.
INSERT INTO run_outbox (run_id, available_at, attempts, created_at)
SELECT r.id, :now::timestamptz, 0, :now::timestamptz
FROM workflow_runs AS r
WHERE
    r.status = 'pending' AND r.is_handed_off AND r.created_at < :created_before
    AND NOT EXISTS (SELECT 1 FROM run_outbox AS o WHERE o.run_id = r.id)
ORDER BY r.created_at, r.id
LIMIT :limit
ON CONFLICT (run_id) DO NOTHING;

-- name: list_outbox(after_at, after_id, limit)
-- List the rows by the time from which they are offered; that of a claimed one is the end of its lease. The claim
-- itself stays with whoever made it: with it anybody could acknowledge the run.
-- Returns: OutboxEntry
-- Index: ix_run_outbox__available in order
-- Differs: SQLite takes CROSS JOIN in the order that is written, whatever its statistics say of a smaller database.
SELECT
    o.run_id, r.workflow_id, r.workflow_version_id, r.triggered_by, r.status, NULL::uuid AS claim_id, o.consumer,
    o.attempts, o.available_at, o.created_at
FROM run_outbox AS o
INNER JOIN workflow_runs AS r ON r.id = o.run_id
WHERE (o.available_at, o.run_id) > (:after_at, :after_id)
ORDER BY o.available_at, o.run_id
LIMIT :limit;

-- name: count_outbox(now)^
-- Count what is offered and what is claimed.
-- Returns: OutboxCounts
-- Scan: the outbox holds what no worker has acknowledged: in a sound installation, little.
SELECT
    count(*) AS total,
    coalesce(sum(CASE WHEN available_at <= :now THEN 1 ELSE 0 END), 0) AS offered,
    coalesce(sum(CASE WHEN claim_id IS NOT NULL AND available_at > :now THEN 1 ELSE 0 END), 0) AS claimed
FROM run_outbox;
