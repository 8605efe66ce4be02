-- Run history: what happened in each execution, step by step.
--
-- These are tables of volume: where there are several servers they are distributed by execution_id, together
-- (docs/decisions/scale-out.md). So each key begins with it, there are no triggers, and workflow_id refers to nothing.

-- One row for each execution, kept small: every step that is appended writes it.
CREATE TABLE run_history (
    execution_id text COLLATE "C" NOT NULL PRIMARY KEY,
    workflow_id text COLLATE "C" NOT NULL,
    run_name text,
    status text NOT NULL CHECK (status IN ('running', 'completed', 'error', 'cancelled')),
    error text,
    started_at timestamptz NOT NULL,
    completed_at timestamptz,
    trace_id text,
    trace_started_at timestamptz,
    trace_completed_at timestamptz,
    trace_last_span_at timestamptz,
    -- How many steps there are: the next one takes it as its index.
    step_count bigint NOT NULL CHECK (step_count >= 0),
    CHECK ((status = 'running') = (completed_at IS NULL))
);

CREATE INDEX ix_run_history__workflow_started ON run_history (workflow_id, started_at, execution_id);
CREATE INDEX ix_run_history__status_completed ON run_history (status, completed_at, execution_id);

-- What an execution was given: written once, so that steps and state changes never rewrite it.
CREATE TABLE run_history_inputs (
    execution_id text COLLATE "C" NOT NULL PRIMARY KEY REFERENCES run_history (execution_id) ON DELETE CASCADE,
    tags json NOT NULL,
    callbacks json NOT NULL,
    metadata json NOT NULL,
    runnable_config json NOT NULL,
    inputs json NOT NULL
);

CREATE TABLE run_history_steps (
    execution_id text COLLATE "C" NOT NULL REFERENCES run_history (execution_id) ON DELETE CASCADE,
    step_index bigint NOT NULL,
    at timestamptz NOT NULL,
    payload json NOT NULL,
    PRIMARY KEY (execution_id, step_index)
);

-- Search over steps, where ORCHEO_HISTORY_SEARCH is on: token streams made by the library (docs/search.md).
CREATE TABLE run_history_search (
    execution_id text COLLATE "C" NOT NULL,
    step_index bigint NOT NULL,
    search_text text NOT NULL,
    terms tsvector GENERATED ALWAYS AS (search_terms(search_text)) STORED,
    PRIMARY KEY (execution_id, step_index),
    FOREIGN KEY (execution_id, step_index) REFERENCES run_history_steps (execution_id, step_index) ON DELETE CASCADE
);

CREATE INDEX ix_run_history_search__terms ON run_history_search USING gin (terms) WITH (gin_pending_list_limit = 256);
CREATE INDEX ix_run_history_search__oversize ON run_history_search (execution_id) WHERE terms IS NULL;
