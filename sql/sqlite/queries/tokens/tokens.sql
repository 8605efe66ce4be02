-- Service tokens. Columns follow structs.ServiceTokenRecord. A token that is revoked, or rotated, can't be made
-- anything else by a write that does not know of it: every change says in its WHERE what it may change.

-- name: get_token(identifier)^
-- Get one token by its identifier, in whatever state.
-- Returns: ServiceTokenRecord
-- Index: sqlite_autoindex_service_tokens_1
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
FROM service_tokens
WHERE identifier = :identifier;

-- name: find_token_by_hash(secret_hash)^
-- Find the token whose hash is stored as this very text: one brought along from the older product.
-- Returns: ServiceTokenRecord
-- Index: sqlite_autoindex_service_tokens_2
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
FROM service_tokens
WHERE secret_hash = :secret_hash;

-- name: list_hash_kinds(limit)
-- List with which parameters argon2id hashes were made, up to :limit kinds: what they begin with, as far as the fourth
-- dollar sign. Of each kind only the first hash is looked at, however many have it.
-- Returns: HashKind
-- Index: sqlite_autoindex_service_tokens_2
-- Differs: functions of characters have other names.
WITH RECURSIVE kinds (kind, number) AS (
    SELECT substr(lowest.secret_hash, 1, 14 + instr(substr(lowest.secret_hash || '$', 16), '$')), 1
    FROM (
        SELECT min(secret_hash) AS secret_hash FROM service_tokens
        WHERE secret_hash > '$argon2id$v=19$m=' AND secret_hash < '$argon2id$v=19$m>'
    ) AS lowest
    UNION ALL
    SELECT
        (
            SELECT substr(min(t.secret_hash), 1, 14 + instr(substr(min(t.secret_hash) || '$', 16), '$'))
            FROM service_tokens AS t
            -- The character that follows the dollar sign: past all hashes of this kind.
            WHERE t.secret_hash > k.kind || char(37) AND t.secret_hash < '$argon2id$v=19$m>'
        ), k.number + 1
    FROM kinds AS k
    WHERE k.kind IS NOT NULL AND k.number < :limit
)
SELECT kind FROM kinds WHERE kind IS NOT NULL ORDER BY kind;

-- name: list_tokens(status, now, before_at, before_id, limit)
-- List the tokens that are active, expired or revoked at a time, or all of them, newest first.
-- Returns: ListedServiceToken
-- Null: status (all)
-- Scan: an installation has some hundred tokens; PostgreSQL may read them all to look for a status.
-- Index: ix_service_tokens__created in order
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count, created_at
FROM service_tokens
WHERE
    (created_at, identifier) < (:before_at, :before_id)
    AND (
        :status IS NULL
        OR :status = CASE
            WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= :now THEN 'expired' ELSE 'active'
        END
    )
ORDER BY created_at DESC, identifier DESC
LIMIT :limit;

-- name: insert_token(identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at, revocation_reason, rotated_to, last_used_at, use_count, now, is_minted, actor)^
-- Add a token; one that is minted is logged.
-- Returns: ServiceTokenRecord
-- Conflict: sqlite_autoindex_service_tokens_1, or sqlite_autoindex_service_tokens_2, when there is such a token.
-- Differs: SQLite writes the log with a second statement, PostgreSQL in a CTE.
INSERT INTO service_tokens (
    identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
)
VALUES (
    :identifier, :secret_hash, :scopes, :workspace_ids, :now, :issued_at, :expires_at, :rotation_expires_at,
    :revoked_at, :revocation_reason, :rotated_to, :last_used_at, :use_count
)
RETURNING
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count;

INSERT INTO service_token_audit (token_id, action, actor, timestamp)
SELECT :identifier, 'created', :actor, :now
WHERE :is_minted;

-- name: update_token(identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at, revocation_reason, rotated_to)^
-- Rewrite a token; no row when it is missing or revoked, or was rotated and the writer does not know of it.
-- Returns: ServiceTokenRecord
-- Conflict: sqlite_autoindex_service_tokens_2 when another token has it.
UPDATE service_tokens
SET
    secret_hash = :secret_hash,
    scopes = :scopes,
    workspace_ids = :workspace_ids,
    issued_at = :issued_at,
    expires_at = :expires_at,
    rotation_expires_at = :rotation_expires_at,
    revoked_at = :revoked_at,
    revocation_reason = :revocation_reason,
    rotated_to = :rotated_to
WHERE identifier = :identifier AND revoked_at IS NULL AND (rotated_to IS NULL OR rotated_to = :rotated_to)
RETURNING
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count;

-- name: rotate_token(identifier, successor, secret_hash, expires_at, overlap_end, now, actor, details, successor_details)^
-- Add the successor of a token, which ends when the overlap does; the successor is returned.
-- No row when the token is missing, not active, or rotated already.
-- Returns: ServiceTokenRecord
-- Null: expires_at (the successor never expires)
-- Conflict: sqlite_autoindex_service_tokens_1 when the successor's is taken.
-- Differs: SQLite writes the rows with statements of their own, PostgreSQL in CTEs.
INSERT INTO service_tokens (
    identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at, use_count
)
SELECT :successor, :secret_hash, scopes, workspace_ids, :now, :now, :expires_at, 0
FROM service_tokens
WHERE
    identifier = :identifier AND revoked_at IS NULL AND rotated_to IS NULL
    AND (expires_at IS NULL OR expires_at > :now)
RETURNING
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count;

UPDATE service_tokens
SET
    rotated_to = :successor,
    rotation_expires_at = :overlap_end,
    expires_at = min(coalesce(expires_at, :overlap_end), :overlap_end)
WHERE identifier = :identifier;

INSERT INTO service_token_audit (token_id, action, actor, timestamp, details)
VALUES
(:successor, 'created', :actor, :now, :successor_details),
(:identifier, 'rotated', :actor, :now, :details);

-- name: revoke_token(identifier, reason, now, actor, details)^
-- End a token for good; no row when it is missing, or revoked already: then the first time and reason stay.
-- Returns: ServiceTokenRecord
-- Differs: SQLite writes the log with a second statement, PostgreSQL in a CTE.
UPDATE service_tokens
SET revoked_at = :now, revocation_reason = :reason
WHERE identifier = :identifier AND revoked_at IS NULL
RETURNING
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count;

INSERT INTO service_token_audit (token_id, action, actor, timestamp, details)
VALUES (:identifier, 'revoked', :actor, :now, :details);

-- name: renew_hash(identifier, secret_hash, renewed)!
-- Put another hash of the same token in the place of one, unless that was changed meanwhile.
-- Conflict: sqlite_autoindex_service_tokens_2 when another token has it.
UPDATE service_tokens SET secret_hash = :renewed WHERE identifier = :identifier AND secret_hash = :secret_hash;

-- name: delete_token(identifier)!
-- Delete a token; its log stays.
-- Index: sqlite_autoindex_service_tokens_1
DELETE FROM service_tokens WHERE identifier = :identifier;

-- name: record_uses(uses)$
-- Count uses of tokens and log them, those of a missing token too, and return how many entries that makes. :uses is a
-- list of objects with token_id, uses, used_at, ip_address, user_agent and details.
-- Returns: int
-- Scan: an installation has some hundred tokens; PostgreSQL may read them all rather than some by their key.
-- Differs: SQLite needs no lock. PostgreSQL locks the tokens in one order first, so that two who count at once don't
-- wait for each other.
SELECT json_array_length(:uses) AS logged;

UPDATE service_tokens
SET
    use_count = use_count + counted.uses,
    last_used_at = max(coalesce(last_used_at, counted.used_at), counted.used_at)
FROM (
    SELECT value ->> 'token_id' AS token_id, sum(value ->> 'uses') AS uses, max(value ->> 'used_at') AS used_at
    FROM json_each(:uses)
    GROUP BY value ->> 'token_id'
) AS counted
WHERE identifier = counted.token_id;

INSERT INTO service_token_audit (token_id, action, ip_address, user_agent, timestamp, details)
SELECT
    value ->> 'token_id', 'used', value ->> 'ip_address', value ->> 'user_agent', value ->> 'used_at',
    value ->> 'details'
FROM json_each(:uses);
