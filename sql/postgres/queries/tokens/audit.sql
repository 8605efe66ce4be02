-- The log of what happened to service tokens. Columns follow structs.ServiceTokenAuditEntry.

-- name: insert_audit_entry(token_id, action, actor, ip_address, user_agent, now, details)!
-- Log one event.
INSERT INTO service_token_audit (token_id, action, actor, ip_address, user_agent, timestamp, details)
VALUES (:token_id, :action, :actor, :ip_address, :user_agent, :now, :details::json);

-- name: list_audit_of_token(token_id, before_at, before_id, limit)
-- List what happened to one token, newest first.
-- Returns: ServiceTokenAuditEntry
-- Index: ix_service_token_audit__token in order
SELECT id, token_id, action, actor, ip_address, user_agent, timestamp, details
FROM service_token_audit
WHERE token_id = :token_id AND (timestamp, id) < (:before_at, :before_id)
ORDER BY timestamp DESC, id DESC
LIMIT :limit;

-- name: list_audit(before_at, before_id, limit)
-- List what happened to all tokens, newest first.
-- Returns: ServiceTokenAuditEntry
-- Index: ix_service_token_audit__timestamp in order
SELECT id, token_id, action, actor, ip_address, user_agent, timestamp, details
FROM service_token_audit
WHERE (timestamp, id) < (:before_at, :before_id)
ORDER BY timestamp DESC, id DESC
LIMIT :limit;

-- name: prune_audit(logged_before, limit)!
-- Delete up to :limit entries from before a time, oldest first.
-- Index: ix_service_token_audit__timestamp in order
-- Locks: FOR UPDATE SKIP LOCKED: two that prune at once take different entries.
-- Differs: SQLite has one writer. In a CTE, which is run once: a subquery may be run for each row, and lock other
-- entries each time.
WITH prunable AS MATERIALIZED (
    SELECT id FROM service_token_audit
    WHERE timestamp < :logged_before
    ORDER BY timestamp, id
    LIMIT :limit
    FOR UPDATE SKIP LOCKED
)
DELETE FROM service_token_audit
USING prunable
WHERE service_token_audit.id = prunable.id;
