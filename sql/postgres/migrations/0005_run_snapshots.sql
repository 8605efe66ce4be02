-- Snapshots of an orchestrator's runs: what lists show is apart from the state, which is large.

CREATE TABLE run_snapshots (
    run_id text COLLATE "C" NOT NULL PRIMARY KEY,
    thread_id text NOT NULL,
    objective text NOT NULL,
    status text COLLATE "C" NOT NULL,
    workspace_path text NOT NULL,
    task_counts json NOT NULL,
    tags json NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE INDEX ix_run_snapshots__created ON run_snapshots (created_at DESC, run_id);
CREATE INDEX ix_run_snapshots__status_created ON run_snapshots (status, created_at DESC, run_id);

CREATE TABLE run_snapshot_states (
    run_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES run_snapshots (run_id) ON DELETE CASCADE,
    state json NOT NULL
);

-- Search over objectives: token streams made by the library (docs/search.md).
CREATE TABLE run_snapshot_search (
    run_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES run_snapshots (run_id) ON DELETE CASCADE,
    search_text text NOT NULL,
    terms tsvector GENERATED ALWAYS AS (search_terms(search_text)) STORED
);

CREATE INDEX ix_run_snapshot_search__terms ON run_snapshot_search USING gin (terms) WITH (gin_pending_list_limit = 256);
CREATE INDEX ix_run_snapshot_search__oversize ON run_snapshot_search (run_id) WHERE terms IS NULL;
