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
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 2000
)
SELECT
    printf('token-%06d', n),
    CASE
        WHEN n % 4 = 0 THEN printf('%064x', n) ELSE printf('$argon2id$v=19$m=19456,t=2,p=1$salt%06d$hash%06d', n, n)
    END,
    '["workflows:execute","workflows:read"]',
    '[]',
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + n * 60, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + n * 60, 'unixepoch'),
    CASE WHEN n % 10 = 1 THEN '2025-06-01T00:00:00.000000Z' WHEN n % 10 = 3 THEN '2027-01-01T00:00:00.000000Z' END,
    CASE WHEN n % 10 = 2 THEN '2025-07-01T00:00:00.000000Z' END,
    CASE WHEN n % 10 = 2 THEN 'leaked' END,
    '2025-12-01T00:00:00.000000Z',
    n
FROM numbers;

INSERT INTO service_token_audit (token_id, action, actor, ip_address, timestamp, details)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 20000
)
SELECT
    CASE WHEN n % 10 = 0 THEN 'token-000042' ELSE printf('token-%06d', 1 + n % 2000) END,
    CASE WHEN n <= 2000 THEN 'created' ELSE 'used' END,
    CASE WHEN n <= 2000 THEN 'ada' END,
    CASE WHEN n > 2000 THEN '192.0.2.1' END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + n * 60, 'unixepoch'),
    CASE WHEN n > 2000 THEN '{"uses":3}' END
FROM numbers;
