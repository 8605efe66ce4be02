-- Audit trails: what left the row of an entity (audit_records), then what is still in it.

-- name: list_audit_records(entity_id, after_seq, limit)
-- List the audit trail of a workflow, version, run or listener subscription, oldest first.
-- Returns: AuditEntry
-- Index: audit_records_pkey, workflows_pkey
-- Differs: SQLite counts the elements of an array from 0, PostgreSQL from 1.
SELECT entry.seq, entry.record
FROM (
    SELECT seq, record FROM audit_records WHERE entity_id = :entity_id AND seq > :after_seq
    UNION ALL
    SELECT
        (SELECT coalesce(max(seq), 0) FROM audit_records WHERE entity_id = :entity_id) + kept.ordinal AS seq,
        kept.record
    FROM (
        SELECT audit_log FROM workflows WHERE id = :entity_id
        UNION ALL
        SELECT audit_log FROM workflow_versions WHERE id = :entity_id
        UNION ALL
        SELECT audit_log FROM workflow_runs WHERE id = :entity_id
        UNION ALL
        SELECT audit_log FROM listener_subscriptions WHERE id = :entity_id
    ) AS entity
    CROSS JOIN LATERAL jsonb_array_elements(entity.audit_log) WITH ORDINALITY AS kept (record, ordinal)
) AS entry
WHERE entry.seq > :after_seq
ORDER BY entry.seq
LIMIT :limit;
