-- Service tokens as they are brought along from the older product, known by their SHA-256 (sha256_hex is a function of
-- the connection that seeds), with two uses each. Every twentieth was revoked, every twentieth has expired. Ids: see
-- workflows.sql; 4005 are tokens.

CREATE TEMPORARY TABLE seeded_tokens (
    number INTEGER PRIMARY KEY,
    identifier TEXT NOT NULL
);

INSERT INTO seeded_tokens (number, identifier)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < max(20, :scale / 200)
)
SELECT
    number,
    printf(
        '%08x-%04x-4005-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
    )
FROM numbers;

INSERT INTO service_tokens (
    identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at, revoked_at, revocation_reason,
    last_used_at, use_count
)
SELECT
    identifier,
    sha256_hex(printf('bench-token-%031d', number)),
    '["workflows:execute","workflows:read"]',
    '[]',
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1717200000 + 60 * number, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1717200000 + 60 * number, 'unixepoch'),
    CASE WHEN number % 20 = 10 THEN '2025-06-01T00:00:00.000000Z' END,
    CASE
        WHEN number % 20 = 0 THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1740787200 + number, 'unixepoch')
    END,
    CASE WHEN number % 20 = 0 THEN 'Left the team' END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1738368000 + number, 'unixepoch'),
    2
FROM seeded_tokens
ORDER BY number;

INSERT INTO service_token_audit (token_id, action, actor, ip_address, user_agent, timestamp, details)
SELECT token_id, action, actor, ip_address, user_agent, at, details
FROM (
    SELECT
        t.identifier AS token_id,
        'used' AS action,
        NULL AS actor,
        '192.0.2.' || (1 + t.number % 250) AS ip_address,
        'bench/1.0' AS user_agent,
        strftime('%Y-%m-%dT%H:%M:%S.000000Z', u.epoch + t.number, 'unixepoch') AS at,
        '{"ip":"192.0.2.' || (1 + t.number % 250) || '","user_agent":"bench/1.0"}' AS details
    FROM (
        SELECT 1735689600 AS epoch
        UNION ALL
        SELECT 1738368000
    ) AS u
    CROSS JOIN seeded_tokens AS t
    UNION ALL
    SELECT
        identifier,
        'revoked',
        'ada',
        NULL,
        NULL,
        strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1740787200 + number, 'unixepoch'),
        '{"reason":"Left the team"}'
    FROM seeded_tokens
    WHERE number % 20 = 0
) AS entry
ORDER BY at, token_id;

DROP TABLE seeded_tokens;
