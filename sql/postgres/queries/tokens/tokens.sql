-- Service tokens. Columns follow structs.ServiceTokenRecord. A token that is revoked, or rotated, can't be made
-- anything else by a write that does not know of it: every change says in its WHERE what it may change.

-- name: get_token(identifier)^
-- Get one token by its identifier, in whatever state.
-- Returns: ServiceTokenRecord
-- Index: service_tokens_pkey
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
FROM service_tokens
WHERE identifier = :identifier;

-- name: find_token_by_hash(secret_hash)^
-- Find the token whose hash is stored as this very text: one brought along from the older product.
-- Returns: ServiceTokenRecord
-- Index: uq_service_tokens__secret_hash
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
FROM service_tokens
WHERE secret_hash = :secret_hash;

-- name: list_hash_kinds(limit)
-- List with which parameters argon2id hashes were made, up to :limit kinds: what they begin with, as far as the fourth
-- dollar sign. Of each kind only the first hash is looked at, however many have it.
-- Returns: HashKind
-- Index: uq_service_tokens__secret_hash
-- Differs: functions of characters have other names.
WITH RECURSIVE kinds (kind, number) AS (
    SELECT left(lowest.secret_hash, 14 + strpos(substr(lowest.secret_hash || '$', 16), '$')), 1
    FROM (
        SELECT min(secret_hash) AS secret_hash FROM service_tokens
        WHERE secret_hash > '$argon2id$v=19$m=' AND secret_hash < '$argon2id$v=19$m>'
    ) AS lowest
    UNION ALL
    SELECT
        (
            SELECT left(min(t.secret_hash), 14 + strpos(substr(min(t.secret_hash) || '$', 16), '$'))
            FROM service_tokens AS t
            -- The character that follows the dollar sign: past all hashes of this kind.
            WHERE t.secret_hash > k.kind || chr(37) AND t.secret_hash < '$argon2id$v=19$m>'
        ), k.number + 1
    FROM kinds AS k
    WHERE k.kind IS NOT NULL AND k.number < :limit::bigint
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
        :status::text IS NULL
        OR :status::text = CASE
            WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= :now THEN 'expired' ELSE 'active'
        END
    )
ORDER BY created_at DESC, identifier DESC
LIMIT :limit;

-- name: insert_token(identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at, revocation_reason, rotated_to, last_used_at, use_count, now, is_minted, actor)^
-- Add a token; one that is minted is logged.
-- Returns: ServiceTokenRecord
-- Conflict: service_tokens_pkey, or uq_service_tokens__secret_hash, when there is such a token.
-- Differs: SQLite writes the log with a second statement, PostgreSQL in a CTE.
WITH added AS (
    INSERT INTO service_tokens (
        identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at, rotation_expires_at,
        revoked_at, revocation_reason, rotated_to, last_used_at, use_count
    )
    VALUES (
        :identifier, :secret_hash, :scopes::jsonb, :workspace_ids::jsonb, :now, :issued_at, :expires_at,
        :rotation_expires_at, :revoked_at, :revocation_reason, :rotated_to, :last_used_at, :use_count
    )
    RETURNING
        identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
        revocation_reason, rotated_to, last_used_at, use_count
),
logged AS (
    INSERT INTO service_token_audit (token_id, action, actor, timestamp)
    SELECT added.identifier, 'created', :actor::text, :now::timestamptz
    FROM added
    WHERE :is_minted
)
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
FROM added;

-- name: update_token(identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at, revocation_reason, rotated_to)^
-- Rewrite a token; no row when it is missing or revoked, or was rotated and the writer does not know of it.
-- Returns: ServiceTokenRecord
-- Conflict: uq_service_tokens__secret_hash when another token has it.
UPDATE service_tokens
SET
    secret_hash = :secret_hash,
    scopes = :scopes::jsonb,
    workspace_ids = :workspace_ids::jsonb,
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
-- Conflict: service_tokens_pkey when the successor's is taken.
-- Differs: SQLite writes the rows with statements of their own, PostgreSQL in CTEs.
WITH predecessor AS (
    UPDATE service_tokens
    SET
        rotated_to = :successor,
        rotation_expires_at = :overlap_end,
        expires_at = least(coalesce(expires_at, :overlap_end), :overlap_end)
    WHERE
        identifier = :identifier AND revoked_at IS NULL AND rotated_to IS NULL
        AND (expires_at IS NULL OR expires_at > :now)
    RETURNING identifier, rotated_to, scopes, workspace_ids
),
added AS (
    INSERT INTO service_tokens (
        identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at, use_count
    )
    SELECT
        rotated_to, :secret_hash, scopes, workspace_ids, :now::timestamptz, :now::timestamptz, :expires_at::timestamptz,
        0
    FROM predecessor
    RETURNING
        identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
        revocation_reason, rotated_to, last_used_at, use_count
),
logged AS (
    INSERT INTO service_token_audit (token_id, action, actor, timestamp, details)
    SELECT rotated_to, 'created', :actor::text, :now::timestamptz, :successor_details::json FROM predecessor
    UNION ALL
    SELECT identifier, 'rotated', :actor::text, :now::timestamptz, :details::json FROM predecessor
)
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
FROM added;

-- name: revoke_token(identifier, reason, now, actor, details)^
-- End a token for good; no row when it is missing, or revoked already: then the first time and reason stay.
-- Returns: ServiceTokenRecord
-- Differs: SQLite writes the log with a second statement, PostgreSQL in a CTE.
WITH revoked AS (
    UPDATE service_tokens
    SET revoked_at = :now, revocation_reason = :reason
    WHERE identifier = :identifier AND revoked_at IS NULL
    RETURNING
        identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
        revocation_reason, rotated_to, last_used_at, use_count
),
logged AS (
    INSERT INTO service_token_audit (token_id, action, actor, timestamp, details)
    SELECT identifier, 'revoked', :actor::text, :now::timestamptz, :details::json FROM revoked
)
SELECT
    identifier, secret_hash, scopes, workspace_ids, issued_at, expires_at, rotation_expires_at, revoked_at,
    revocation_reason, rotated_to, last_used_at, use_count
FROM revoked;

-- name: renew_hash(identifier, secret_hash, renewed)!
-- Put another hash of the same token in the place of one, unless that was changed meanwhile.
-- Conflict: uq_service_tokens__secret_hash when another token has it.
UPDATE service_tokens SET secret_hash = :renewed WHERE identifier = :identifier AND secret_hash = :secret_hash;

-- name: delete_token(identifier)!
-- Delete a token; its log stays.
-- Index: service_tokens_pkey
DELETE FROM service_tokens WHERE identifier = :identifier;

-- name: record_uses(uses)$
-- Count uses of tokens and log them, those of a missing token too, and return how many entries that makes. :uses is a
-- list of objects with token_id, uses, used_at, ip_address, user_agent and details.
-- Returns: int
-- Scan: an installation has some hundred tokens; PostgreSQL may read them all rather than some by their key.
-- Locks: FOR NO KEY UPDATE: the tokens, in one order, so that two who count at once don't wait for each other.
-- Differs: SQLite has one writer, so it needs no lock.
WITH used AS (
    SELECT u.token_id, u.uses, u.used_at, u.ip_address, u.user_agent, u.details
    FROM json_to_recordset(:uses::json) AS u (
        token_id text, uses bigint, used_at timestamptz, ip_address text, user_agent text, details json
    )
),
locked AS MATERIALIZED (
    SELECT identifier FROM service_tokens
    WHERE identifier IN (SELECT token_id FROM used)
    ORDER BY identifier
    FOR NO KEY UPDATE
),
counted AS (
    UPDATE service_tokens AS t
    SET use_count = t.use_count + c.uses, last_used_at = greatest(t.last_used_at, c.used_at)
    FROM (
        SELECT locked.identifier, sum(used.uses)::bigint AS uses, max(used.used_at) AS used_at
        FROM locked
        INNER JOIN used ON used.token_id = locked.identifier
        GROUP BY locked.identifier
    ) AS c
    WHERE t.identifier = c.identifier
),
logged AS (
    INSERT INTO service_token_audit (token_id, action, ip_address, user_agent, timestamp, details)
    SELECT token_id, 'used', ip_address, user_agent, used_at, details FROM used
    RETURNING id
)
SELECT count(*) AS logged FROM logged;
