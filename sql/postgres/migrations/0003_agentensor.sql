-- Training checkpoints of the agentensor loop.
--
-- Two facts about a workflow's checkpoints stand in one row of their own: the newest number and the best one. So
-- numbers never collide or come back, and there is at most one best, whoever writes at the same time.

CREATE TABLE agentensor_workflows (
    workflow_id text NOT NULL PRIMARY KEY,
    latest_version bigint NOT NULL,
    best_version bigint
);

CREATE TABLE agentensor_checkpoints (
    workflow_id text NOT NULL REFERENCES agentensor_workflows (workflow_id) ON DELETE CASCADE,
    config_version bigint NOT NULL CHECK (config_version > 0),
    id text COLLATE "C" NOT NULL CONSTRAINT uq_agentensor_checkpoints__id UNIQUE,
    metrics json NOT NULL,
    metadata json NOT NULL,
    artifact_url text,
    created_at timestamptz NOT NULL,
    runnable_config json NOT NULL,
    PRIMARY KEY (workflow_id, config_version)
);

-- The best one exists. Looked at when the transaction ends, because its row is written before the checkpoint's.
ALTER TABLE agentensor_workflows
ADD CONSTRAINT fk_agentensor_workflows__best FOREIGN KEY (workflow_id, best_version)
REFERENCES agentensor_checkpoints (workflow_id, config_version) DEFERRABLE INITIALLY DEFERRED;
