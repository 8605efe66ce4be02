-- Training checkpoints of the agentensor loop.
--
-- Two facts about a workflow's checkpoints stand in one row of their own: the newest number and the best one. So
-- numbers never collide or come back, and there is at most one best, whoever writes at the same time.

CREATE TABLE agentensor_workflows (
    workflow_id TEXT NOT NULL PRIMARY KEY,
    latest_version INTEGER NOT NULL,
    best_version INTEGER,
    -- The best one exists. Looked at when the transaction ends, because its row is written before the checkpoint's.
    CONSTRAINT fk_agentensor_workflows__best FOREIGN KEY (workflow_id, best_version)
    REFERENCES agentensor_checkpoints (workflow_id, config_version) DEFERRABLE INITIALLY DEFERRED
) STRICT;

CREATE TABLE agentensor_checkpoints (
    workflow_id TEXT NOT NULL REFERENCES agentensor_workflows (workflow_id) ON DELETE CASCADE,
    config_version INTEGER NOT NULL CHECK (config_version > 0),
    id TEXT NOT NULL CONSTRAINT uq_agentensor_checkpoints__id UNIQUE,
    metrics TEXT NOT NULL,
    metadata TEXT NOT NULL,
    artifact_url TEXT,
    created_at TEXT NOT NULL,
    -- Last, because it is large: SQLite reads a row from the front.
    runnable_config TEXT NOT NULL,
    PRIMARY KEY (workflow_id, config_version)
) STRICT;
