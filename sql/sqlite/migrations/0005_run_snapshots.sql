-- Snapshots of an orchestrator's runs: what lists show is apart from the state, which is large.

CREATE TABLE run_snapshots (
    run_id TEXT NOT NULL PRIMARY KEY,
    thread_id TEXT NOT NULL,
    objective TEXT NOT NULL,
    status TEXT NOT NULL,
    workspace_path TEXT NOT NULL,
    task_counts TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX ix_run_snapshots__created ON run_snapshots (created_at DESC, run_id);
CREATE INDEX ix_run_snapshots__status_created ON run_snapshots (status, created_at DESC, run_id);

CREATE TABLE run_snapshot_states (
    run_id TEXT NOT NULL PRIMARY KEY REFERENCES run_snapshots (run_id) ON DELETE CASCADE,
    state TEXT NOT NULL
) STRICT;

-- Search over objectives: token streams made by the library (docs/search.md), indexed by FTS5. The number of a row
-- begins with the second of its snapshot, so that FTS5 gives the newest first.
CREATE TABLE run_snapshot_search (
    search_id INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL UNIQUE REFERENCES run_snapshots (run_id) ON DELETE CASCADE,
    search_text TEXT NOT NULL
) STRICT;

CREATE VIRTUAL TABLE run_snapshot_search_index USING fts5 (
    search_text,
    content = 'run_snapshot_search', content_rowid = 'search_id', tokenize = 'ascii'
);

CREATE TRIGGER run_snapshot_search_inserted AFTER INSERT ON run_snapshot_search
BEGIN
    UPDATE run_snapshot_search
    SET
        -- A million numbers for each second: the next free one.
        search_id = coalesce(
            (
                SELECT max(other.search_id) + 1 FROM run_snapshot_search AS other
                WHERE
                    other.search_id >= unixepoch(substr(r.created_at, 1, 19)) << 20
                    AND other.search_id < (unixepoch(substr(r.created_at, 1, 19)) + 1) << 20
                    AND other.search_id <> NEW.search_id
            ),
            unixepoch(substr(r.created_at, 1, 19)) << 20
        )
    FROM run_snapshots AS r
    WHERE run_snapshot_search.search_id = NEW.search_id AND r.run_id = NEW.run_id;
    INSERT INTO run_snapshot_search_index (rowid, search_text)
    SELECT s.search_id, s.search_text
    FROM run_snapshot_search AS s
    WHERE s.run_id = NEW.run_id;
END;

CREATE TRIGGER run_snapshot_search_deleted AFTER DELETE ON run_snapshot_search
BEGIN
    INSERT INTO run_snapshot_search_index (run_snapshot_search_index, rowid, search_text)
    VALUES ('delete', OLD.search_id, OLD.search_text);
END;

CREATE TRIGGER run_snapshot_search_updated AFTER UPDATE OF search_text ON run_snapshot_search
BEGIN
    INSERT INTO run_snapshot_search_index (run_snapshot_search_index, rowid, search_text)
    VALUES ('delete', OLD.search_id, OLD.search_text);
    INSERT INTO run_snapshot_search_index (rowid, search_text) VALUES (NEW.search_id, NEW.search_text);
END;
