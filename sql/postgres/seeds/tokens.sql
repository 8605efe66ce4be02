-- 2000 tokens: every tenth revoked, every tenth expired, every fourth brought along with a SHA-256. Of the 20000
-- entries of the log every tenth is about one token.

-- sample: identifier = "token-000042"
-- sample: token_id = "token-000042"
-- sample: secret_hash = "00000000000000000000000000000000000000000000000000000000000003e8"
-- sample: insert_token.identifier = "token-new"
-- sample: insert_token.secret_hash = "$argon2id$v=19$m=19456,t=2,p=1$new$new"
-- sample: rotate_token.secret_hash = "$argon2id$v=19$m=19456,t=2,p=1$next$next"
-- sample: rotate_token.identifier = "token-000043"
-- sample: update_token.secret_hash = "$argon2id$v=19$m=19456,t=2,p=1$other$other"
-- sample: update_token.identifier = "token-000043"
-- sample: revoke_token.identifier = "token-000043"
-- sample: renew_hash.identifier = "token-000043"
-- sample: renew_hash.secret_hash = "$argon2id$v=19$m=19456,t=2,p=1$salt000043$hash000043"
-- sample: renewed = "$argon2id$v=19$m=19456,t=3,p=1$renewed$renewed"
-- sample: renew_hash/conflict.renewed = "00000000000000000000000000000000000000000000000000000000000003e8"
-- sample: successor = "token-next"
-- sample: insert_token/conflict.identifier = "token-000042"
-- sample: update_token/conflict.secret_hash = "00000000000000000000000000000000000000000000000000000000000003e8"
-- sample: rotate_token/conflict.successor = "token-000042"
-- sample: status = "active"
-- sample: scopes = ["workflows:read"]
-- sample: workspace_ids = []
-- sample: overlap_end = "2026-01-02T03:09:05.000006Z"
-- sample: revocation_reason = "leaked"
-- sample: reason = "leaked"
-- sample: actor = "ada"
-- sample: rotated_to = "token-next"
-- sample: use_count = 0
-- sample: details = {"reason": "leaked"}
-- sample: successor_details = {"rotated_from": "token-000043"}
-- sample: action = "used"
-- sample: ip_address = "192.0.2.1"
-- sample: user_agent = "ci/1.0"
-- sample: logged_before = "2025-01-02T00:00:00.000000Z"
-- sample: uses = [{"token_id": "token-000042", "uses": 3, "used_at": "2026-01-02T03:04:05.000006Z", "ip_address": null, "user_agent": null, "details": {"uses": 3}}]
-- sample: list_tokens.before_id = ""
-- sample: list_audit.before_id = 9223372036854775807
-- sample: list_audit_of_token.before_id = 9223372036854775807

INSERT INTO service_tokens (
    identifier, secret_hash, scopes, workspace_ids, created_at, issued_at, expires_at, revoked_at, revocation_reason,
    last_used_at, use_count
)
SELECT
    'token-' || lpad(n::text, 6, '0'),
    CASE
        WHEN n % 4 = 0 THEN lpad(to_hex(n), 64, '0')
        ELSE format('$argon2id$v=19$m=19456,t=2,p=1$salt%s$hash%s', lpad(n::text, 6, '0'), lpad(n::text, 6, '0'))
    END,
    '["workflows:execute","workflows:read"]',
    '[]',
    timestamptz '2025-01-01 00:00:00+00' + n * interval '1 minute',
    timestamptz '2025-01-01 00:00:00+00' + n * interval '1 minute',
    CASE
        WHEN n % 10 = 1 THEN timestamptz '2025-06-01 00:00:00+00'
        WHEN n % 10 = 3 THEN timestamptz '2027-01-01 00:00:00+00'
    END,
    CASE WHEN n % 10 = 2 THEN timestamptz '2025-07-01 00:00:00+00' END,
    CASE WHEN n % 10 = 2 THEN 'leaked' END,
    timestamptz '2025-12-01 00:00:00+00',
    n
FROM generate_series(1, 2000) AS n;

INSERT INTO service_token_audit (token_id, action, actor, ip_address, timestamp, details)
SELECT
    CASE WHEN n % 10 = 0 THEN 'token-000042' ELSE 'token-' || lpad((1 + n % 2000)::text, 6, '0') END,
    CASE WHEN n <= 2000 THEN 'created' ELSE 'used' END,
    CASE WHEN n <= 2000 THEN 'ada' END,
    CASE WHEN n > 2000 THEN '192.0.2.1' END,
    timestamptz '2025-01-01 00:00:00+00' + n * interval '1 minute',
    CASE WHEN n > 2000 THEN '{"uses":3}'::json END
FROM generate_series(1, 20000) AS n;
