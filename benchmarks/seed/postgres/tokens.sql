-- Service tokens as they are brought along from the older product, known by their SHA-256, with two uses each. Every
-- twentieth was revoked, every twentieth has expired. Ids: see workflows.sql; 4005 are tokens.

CREATE TEMPORARY TABLE seeded_tokens (
    number bigint PRIMARY KEY,
    identifier text NOT NULL
);

INSERT INTO seeded_tokens (number, identifier)
SELECT
    number,
    lpad(to_hex(number * 2654435761 & 4294967295), 8, '0')
    || '-' || lpad(to_hex(number * 2654435761 >> 32 & 65535), 4, '0')
    || '-4005-8000-' || lpad(to_hex(number), 12, '0')
FROM generate_series(1, greatest(20, :scale::bigint / 200)) AS number;

ANALYZE seeded_tokens;

INSERT INTO service_tokens (
    identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at, revoked_at, revocation_reason,
    last_used_at, use_count
)
SELECT
    identifier,
    encode(sha256(convert_to('bench-token-' || lpad(number::text, 31, '0'), 'UTF8')), 'hex'),
    '["workflows:execute","workflows:read"]',
    '[]',
    timestamptz '2024-06-01 00:00:00+00' + number * interval '1 minute',
    timestamptz '2024-06-01 00:00:00+00' + number * interval '1 minute',
    CASE WHEN number % 20 = 10 THEN timestamptz '2025-06-01 00:00:00+00' END,
    CASE WHEN number % 20 = 0 THEN timestamptz '2025-03-01 00:00:00+00' + number * interval '1 second' END,
    CASE WHEN number % 20 = 0 THEN 'Left the team' END,
    timestamptz '2025-02-01 00:00:00+00' + number * interval '1 second',
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
        u.first_at + t.number * interval '1 second' AS at,
        ('{"ip":"192.0.2.' || (1 + t.number % 250) || '","user_agent":"bench/1.0"}')::json AS details
    FROM (VALUES (timestamptz '2025-01-01 00:00:00+00'), (timestamptz '2025-02-01 00:00:00+00')) AS u (first_at)
    CROSS JOIN seeded_tokens AS t
    UNION ALL
    SELECT
        identifier,
        'revoked',
        'ada',
        NULL,
        NULL,
        timestamptz '2025-03-01 00:00:00+00' + number * interval '1 second',
        '{"reason":"Left the team"}'::json
    FROM seeded_tokens
    WHERE number % 20 = 0
) AS entry
ORDER BY at, token_id;

DROP TABLE seeded_tokens;
