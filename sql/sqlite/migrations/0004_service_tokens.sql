-- Service tokens: credentials of machines, and the log of what happened to them. No secret is kept, only its hash.

CREATE TABLE service_tokens (
    identifier TEXT NOT NULL PRIMARY KEY,
    -- argon2id with its parameters; of a token brought along from the older product, SHA-256 in hex.
    secret_hash TEXT NOT NULL CONSTRAINT uq_service_tokens__secret_hash UNIQUE,
    scopes TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(scopes) AND json_type(scopes) = 'array'),
    workspace_ids TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(workspace_ids) AND json_type(workspace_ids) = 'array'),
    created_at TEXT NOT NULL,
    issued_at TEXT,
    expires_at TEXT,
    rotation_expires_at TEXT,
    -- Not a foreign key: the successor may have been deleted.
    rotated_to TEXT,
    revoked_at TEXT,
    revocation_reason TEXT,
    last_used_at TEXT,
    use_count INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX ix_service_tokens__created ON service_tokens (created_at, identifier);

-- Entries outlive their token, so there is no foreign key.
CREATE TABLE service_token_audit (
    id INTEGER NOT NULL PRIMARY KEY,
    token_id TEXT NOT NULL,
    action TEXT NOT NULL,
    actor TEXT,
    ip_address TEXT,
    user_agent TEXT,
    timestamp TEXT NOT NULL,
    details TEXT
) STRICT;

CREATE INDEX ix_service_token_audit__token ON service_token_audit (token_id, timestamp, id);
CREATE INDEX ix_service_token_audit__timestamp ON service_token_audit (timestamp, id);
