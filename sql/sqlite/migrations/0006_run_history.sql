-- Run history: what happened in each execution, step by step.

-- One row for each execution, kept small: every step that is appended writes it.
CREATE TABLE run_history (
    execution_id TEXT NOT NULL PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    run_name TEXT,
    status TEXT NOT NULL CHECK (status IN ('running', 'completed', 'error', 'cancelled')),
    error TEXT,
    started_at TEXT NOT NULL,
    completed_at TEXT,
    trace_id TEXT,
    trace_started_at TEXT,
    trace_completed_at TEXT,
    trace_last_span_at TEXT,
    -- How many steps there are: the next one takes it as its index.
    step_count INTEGER NOT NULL CHECK (step_count >= 0),
    CHECK ((status = 'running') = (completed_at IS NULL))
) STRICT;

CREATE INDEX ix_run_history__workflow_started ON run_history (workflow_id, started_at, execution_id);
CREATE INDEX ix_run_history__status_completed ON run_history (status, completed_at, execution_id);

-- What an execution was given: written once, so that steps and state changes never rewrite it.
CREATE TABLE run_history_inputs (
    execution_id TEXT NOT NULL PRIMARY KEY REFERENCES run_history (execution_id) ON DELETE CASCADE,
    tags TEXT NOT NULL,
    callbacks TEXT NOT NULL,
    metadata TEXT NOT NULL,
    runnable_config TEXT NOT NULL,
    inputs TEXT NOT NULL
) STRICT;

CREATE TABLE run_history_steps (
    execution_id TEXT NOT NULL REFERENCES run_history (execution_id) ON DELETE CASCADE,
    step_index INTEGER NOT NULL,
    at TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (execution_id, step_index)
) STRICT;

-- Search over steps, where ORCHEO_HISTORY_SEARCH is on: token streams made by the library (docs/search.md), indexed by
-- FTS5. The number of a row begins with the second of its step, so that FTS5 gives the newest first.
CREATE TABLE run_history_search (
    search_id INTEGER PRIMARY KEY,
    execution_id TEXT NOT NULL,
    step_index INTEGER NOT NULL,
    search_text TEXT NOT NULL,
    -- The workflow and the execution, with a letter in front that tells which; the trigger below sets it.
    owner_text TEXT NOT NULL DEFAULT '',
    UNIQUE (execution_id, step_index),
    FOREIGN KEY (execution_id, step_index) REFERENCES run_history_steps (execution_id, step_index) ON DELETE CASCADE
) STRICT;

CREATE VIRTUAL TABLE run_history_search_index USING fts5 (
    search_text, owner_text,
    content = 'run_history_search', content_rowid = 'search_id', tokenize = 'ascii'
);

CREATE TRIGGER run_history_search_inserted AFTER INSERT ON run_history_search
BEGIN
    UPDATE run_history_search
    SET
        -- A million numbers for each second: the next free one.
        search_id = coalesce(
            (
                SELECT max(other.search_id) + 1 FROM run_history_search AS other
                WHERE
                    other.search_id >= unixepoch(substr(t.at, 1, 19)) << 20
                    AND other.search_id < (unixepoch(substr(t.at, 1, 19)) + 1) << 20
                    AND other.search_id <> NEW.search_id
            ),
            unixepoch(substr(t.at, 1, 19)) << 20
        ),
        owner_text = 'w' || h.workflow_id || ' e' || NEW.execution_id
    FROM run_history_steps AS t
    INNER JOIN run_history AS h ON h.execution_id = t.execution_id
    WHERE
        run_history_search.search_id = NEW.search_id
        AND t.execution_id = NEW.execution_id AND t.step_index = NEW.step_index;
    INSERT INTO run_history_search_index (rowid, search_text, owner_text)
    SELECT s.search_id, s.search_text, s.owner_text
    FROM run_history_search AS s
    WHERE s.execution_id = NEW.execution_id AND s.step_index = NEW.step_index;
END;

CREATE TRIGGER run_history_search_deleted AFTER DELETE ON run_history_search
BEGIN
    INSERT INTO run_history_search_index (run_history_search_index, rowid, search_text, owner_text)
    VALUES ('delete', OLD.search_id, OLD.search_text, OLD.owner_text);
END;
