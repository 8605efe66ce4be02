-- Workflows, their versions and their runs.
--
-- Instants are fixed-width UTC text, so that text order is time order. Documents are JSON text, kept as they were sent.

CREATE TABLE workflows (
    id TEXT NOT NULL PRIMARY KEY,
    handle TEXT,
    slug TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,
    is_archived INTEGER NOT NULL CHECK (is_archived IN (0, 1)),
    draft_access TEXT NOT NULL CHECK (draft_access IN ('personal', 'authenticated', 'workspace')),
    is_public INTEGER NOT NULL CHECK (is_public IN (0, 1)),
    published_at TEXT,
    published_by TEXT,
    require_login INTEGER NOT NULL CHECK (require_login IN (0, 1)),
    share_url TEXT,
    chatkit TEXT,
    -- The number of the newest version; the next one takes it plus one when it is inserted.
    latest_version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- The newest audit records, up to 40 of them; older ones move to audit_records (see the triggers below).
    audit_log TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX uq_workflows__active_handle ON workflows (handle) WHERE NOT is_archived;
CREATE INDEX ix_workflows__archived_handle ON workflows (handle, updated_at, id) WHERE is_archived;
CREATE INDEX ix_workflows__created ON workflows (created_at, id);
CREATE INDEX ix_workflows__active_created ON workflows (created_at, id) WHERE NOT is_archived;

-- Handles: an active workflow shares its handle with nobody; archived ones may share one among themselves.
-- The unique index above can't see archived holders, so this rule is a trigger; PostgreSQL has its twin.
CREATE TRIGGER workflows_guard_handle_on_insert BEFORE INSERT ON workflows
WHEN NEW.handle IS NOT NULL
BEGIN
    SELECT RAISE(ABORT, 'uq_workflows__handle')
    WHERE
        EXISTS (
            SELECT 1 FROM workflows AS other
            WHERE other.handle = NEW.handle AND NOT other.is_archived AND other.id <> NEW.id
        )
        OR NOT NEW.is_archived AND EXISTS (
            SELECT 1 FROM workflows AS other
            WHERE other.handle = NEW.handle AND other.is_archived AND other.id <> NEW.id
        );
END;

CREATE TRIGGER workflows_guard_handle_on_update BEFORE UPDATE OF handle, is_archived ON workflows
WHEN NEW.handle IS NOT NULL AND (NEW.handle IS NOT OLD.handle OR (OLD.is_archived AND NOT NEW.is_archived))
BEGIN
    SELECT RAISE(ABORT, 'uq_workflows__handle')
    WHERE
        EXISTS (
            SELECT 1 FROM workflows AS other
            WHERE other.handle = NEW.handle AND NOT other.is_archived AND other.id <> NEW.id
        )
        OR NOT NEW.is_archived AND EXISTS (
            SELECT 1 FROM workflows AS other
            WHERE other.handle = NEW.handle AND other.is_archived AND other.id <> NEW.id
        );
END;

CREATE TABLE workflow_versions (
    id TEXT NOT NULL PRIMARY KEY,
    workflow_id TEXT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    version INTEGER NOT NULL CHECK (version > 0),
    created_by TEXT NOT NULL,
    notes TEXT,
    mermaid TEXT,
    metadata TEXT NOT NULL,
    -- Normalised, without defaults for what was not given; and, beside it, what a run without an override gets.
    runnable_config TEXT,
    default_run_config TEXT NOT NULL,
    default_run_text TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    audit_log TEXT NOT NULL,
    -- Last, because it is large: SQLite reads a row from the front.
    graph TEXT NOT NULL,
    CONSTRAINT uq_workflow_versions__workflow_id__version UNIQUE (workflow_id, version),
    CONSTRAINT uq_workflow_versions__workflow_id__id UNIQUE (workflow_id, id)
) STRICT;

CREATE TABLE workflow_runs (
    -- First, for in subqueries of RETURNING, SQLite 3.40 gives each column the affinity of the first one: with a number
    -- first, no index of texts is used there.
    id TEXT NOT NULL,
    -- What the tables of its parts refer to it by: half as wide as its id. It stays in the database, and is no order.
    run_number INTEGER PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    workflow_version_id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
    triggered_by TEXT NOT NULL,
    error TEXT,
    started_at TEXT,
    completed_at TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    -- Complete: a run has at most one record per state it passes.
    audit_log TEXT NOT NULL,
    CONSTRAINT uq_workflow_runs__id UNIQUE (id),
    -- A run's version is one of its workflow's, by construction.
    FOREIGN KEY (workflow_id, workflow_version_id) REFERENCES workflow_versions (workflow_id, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX ix_workflow_runs__created ON workflow_runs (created_at, id);
CREATE INDEX ix_workflow_runs__workflow_created ON workflow_runs (workflow_id, created_at, id);
CREATE INDEX ix_workflow_runs__workflow_status_created ON workflow_runs (workflow_id, status, created_at, id);
CREATE INDEX ix_workflow_runs__status_created ON workflow_runs (status, created_at, id);
CREATE INDEX ix_workflow_runs__trigger_created ON workflow_runs (triggered_by, created_at, id);

-- What a run was given and what it gave: written once, so that state changes never rewrite a payload.
CREATE TABLE workflow_run_inputs (
    run_number INTEGER PRIMARY KEY REFERENCES workflow_runs (run_number) ON DELETE CASCADE,
    runnable_config TEXT NOT NULL,
    -- What filters on a run's metadata look at; a config without any has empty ones.
    metadata TEXT NOT NULL GENERATED ALWAYS AS (coalesce(runnable_config -> '$.metadata', '{}')) VIRTUAL,
    input_payload TEXT NOT NULL
) STRICT;

CREATE TABLE workflow_run_outputs (
    run_number INTEGER PRIMARY KEY REFERENCES workflow_runs (run_number) ON DELETE CASCADE,
    output_payload TEXT NOT NULL
) STRICT;

-- Search: token streams made by the library (docs/search.md), indexed by FTS5. The number of a row begins with the
-- second in which what it is about was made. FTS5 goes through what it finds from the highest number down, so hits come
-- newest first, and a page of them takes no longer for a common word.
CREATE TABLE workflow_search (
    search_id INTEGER PRIMARY KEY,
    workflow_id TEXT NOT NULL UNIQUE REFERENCES workflows (id) ON DELETE CASCADE,
    handle_text TEXT NOT NULL,
    name_text TEXT NOT NULL,
    description_text TEXT NOT NULL,
    tags_text TEXT NOT NULL,
    graph_text TEXT NOT NULL
) STRICT;

CREATE VIRTUAL TABLE workflow_search_index USING fts5 (
    handle_text, name_text, description_text, tags_text, graph_text,
    content = 'workflow_search', content_rowid = 'search_id', tokenize = 'ascii'
);

CREATE TRIGGER workflow_search_inserted AFTER INSERT ON workflow_search
BEGIN
    UPDATE workflow_search
    SET
        -- A million numbers for each second: the next free one.
        search_id = coalesce(
            (
                SELECT max(other.search_id) + 1 FROM workflow_search AS other
                WHERE
                    other.search_id >= unixepoch(substr(w.created_at, 1, 19)) << 20
                    AND other.search_id < (unixepoch(substr(w.created_at, 1, 19)) + 1) << 20
                    AND other.search_id <> NEW.search_id
            ),
            unixepoch(substr(w.created_at, 1, 19)) << 20
        )
    FROM workflows AS w
    WHERE workflow_search.search_id = NEW.search_id AND w.id = NEW.workflow_id;
    INSERT INTO workflow_search_index (rowid, handle_text, name_text, description_text, tags_text, graph_text)
    SELECT s.search_id, s.handle_text, s.name_text, s.description_text, s.tags_text, s.graph_text
    FROM workflow_search AS s
    WHERE s.workflow_id = NEW.workflow_id;
END;

CREATE TRIGGER workflow_search_deleted AFTER DELETE ON workflow_search
BEGIN
    INSERT INTO workflow_search_index
    (workflow_search_index, rowid, handle_text, name_text, description_text, tags_text, graph_text)
    VALUES (
        'delete', OLD.search_id,
        OLD.handle_text, OLD.name_text, OLD.description_text, OLD.tags_text, OLD.graph_text
    );
END;

CREATE TRIGGER workflow_search_updated
AFTER UPDATE OF handle_text, name_text, description_text, tags_text, graph_text ON workflow_search
BEGIN
    INSERT INTO workflow_search_index
    (workflow_search_index, rowid, handle_text, name_text, description_text, tags_text, graph_text)
    VALUES (
        'delete', OLD.search_id,
        OLD.handle_text, OLD.name_text, OLD.description_text, OLD.tags_text, OLD.graph_text
    );
    INSERT INTO workflow_search_index (rowid, handle_text, name_text, description_text, tags_text, graph_text)
    VALUES (NEW.search_id, NEW.handle_text, NEW.name_text, NEW.description_text, NEW.tags_text, NEW.graph_text);
END;

CREATE TABLE workflow_run_search (
    search_id INTEGER PRIMARY KEY,
    run_number INTEGER NOT NULL UNIQUE REFERENCES workflow_runs (run_number) ON DELETE CASCADE,
    search_text TEXT NOT NULL,
    -- For filters: the workflow and what triggered the run, with a letter in front that tells which; and the texts and
    -- numbers of its metadata. The trigger below sets them.
    owner_text TEXT NOT NULL DEFAULT '',
    metadata_text TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE VIRTUAL TABLE workflow_run_search_index USING fts5 (
    search_text, owner_text, metadata_text,
    content = 'workflow_run_search', content_rowid = 'search_id', tokenize = 'ascii'
);

CREATE TRIGGER workflow_run_search_inserted AFTER INSERT ON workflow_run_search
BEGIN
    UPDATE workflow_run_search
    SET
        search_id = coalesce(
            (
                SELECT max(other.search_id) + 1 FROM workflow_run_search AS other
                WHERE
                    other.search_id >= unixepoch(substr(r.created_at, 1, 19)) << 20
                    AND other.search_id < (unixepoch(substr(r.created_at, 1, 19)) + 1) << 20
                    AND other.search_id <> NEW.search_id
            ),
            unixepoch(substr(r.created_at, 1, 19)) << 20
        ),
        owner_text = 'w' || replace(r.workflow_id, '-', '') || ' t' || r.triggered_by,
        metadata_text = (
            SELECT coalesce(group_concat(part.atom, ' '), '') FROM json_tree(nullif(i.metadata, '{}')) AS part
            WHERE part.type IN ('text', 'integer', 'real')
        )
    FROM workflow_runs AS r
    INNER JOIN workflow_run_inputs AS i ON i.run_number = r.run_number
    WHERE workflow_run_search.search_id = NEW.search_id AND r.run_number = NEW.run_number;
    INSERT INTO workflow_run_search_index (rowid, search_text, owner_text, metadata_text)
    SELECT s.search_id, s.search_text, s.owner_text, s.metadata_text
    FROM workflow_run_search AS s
    WHERE s.run_number = NEW.run_number;
END;

CREATE TRIGGER workflow_run_search_deleted AFTER DELETE ON workflow_run_search
BEGIN
    INSERT INTO workflow_run_search_index
    (workflow_run_search_index, rowid, search_text, owner_text, metadata_text)
    VALUES ('delete', OLD.search_id, OLD.search_text, OLD.owner_text, OLD.metadata_text);
END;

CREATE TRIGGER workflow_run_search_updated AFTER UPDATE OF search_text ON workflow_run_search
BEGIN
    INSERT INTO workflow_run_search_index
    (workflow_run_search_index, rowid, search_text, owner_text, metadata_text)
    VALUES ('delete', OLD.search_id, OLD.search_text, OLD.owner_text, OLD.metadata_text);
    INSERT INTO workflow_run_search_index (rowid, search_text, owner_text, metadata_text)
    VALUES (NEW.search_id, NEW.search_text, NEW.owner_text, NEW.metadata_text);
END;

-- Audit records that have left the row of their entity; with those in the row they are the whole trail.
CREATE TABLE audit_records (
    entity_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (entity_id, seq)
) STRICT, WITHOUT ROWID;

-- Each write appends to audit_log in place: one statement, one row. Past 40 records all but the newest 20 move on, past
-- 64 KiB all but the newest one, so that a row stays small however long its history grows.
CREATE TRIGGER workflows_spill_audit AFTER UPDATE OF audit_log ON workflows
WHEN
    json_array_length(NEW.audit_log) > 40
    OR length(NEW.audit_log) > 65536 AND json_array_length(NEW.audit_log) > 1
BEGIN
    INSERT INTO audit_records (entity_id, seq, record)
    SELECT
        NEW.id,
        (SELECT coalesce(max(seq), 0) FROM audit_records WHERE entity_id = NEW.id) + kept.key + 1,
        kept.value
    FROM json_each(NEW.audit_log) AS kept
    WHERE kept.key < json_array_length(NEW.audit_log) - iif(length(NEW.audit_log) > 65536, 1, 20);
    UPDATE workflows
    SET
        audit_log = (
            SELECT json_group_array(json(kept.value))
            FROM (
                SELECT value FROM json_each(NEW.audit_log)
                WHERE key >= json_array_length(NEW.audit_log) - iif(length(NEW.audit_log) > 65536, 1, 20) ORDER BY key
            ) AS kept
        )
    WHERE id = NEW.id;
END;

CREATE TRIGGER workflow_versions_spill_audit AFTER UPDATE OF audit_log ON workflow_versions
WHEN
    json_array_length(NEW.audit_log) > 40
    OR length(NEW.audit_log) > 65536 AND json_array_length(NEW.audit_log) > 1
BEGIN
    INSERT INTO audit_records (entity_id, seq, record)
    SELECT
        NEW.id,
        (SELECT coalesce(max(seq), 0) FROM audit_records WHERE entity_id = NEW.id) + kept.key + 1,
        kept.value
    FROM json_each(NEW.audit_log) AS kept
    WHERE kept.key < json_array_length(NEW.audit_log) - iif(length(NEW.audit_log) > 65536, 1, 20);
    UPDATE workflow_versions
    SET
        audit_log = (
            SELECT json_group_array(json(kept.value))
            FROM (
                SELECT value FROM json_each(NEW.audit_log)
                WHERE key >= json_array_length(NEW.audit_log) - iif(length(NEW.audit_log) > 65536, 1, 20) ORDER BY key
            ) AS kept
        )
    WHERE id = NEW.id;
END;

CREATE TRIGGER workflows_drop_audit AFTER DELETE ON workflows
BEGIN
    DELETE FROM audit_records WHERE entity_id = OLD.id;
END;

CREATE TRIGGER workflow_versions_drop_audit AFTER DELETE ON workflow_versions
BEGIN
    DELETE FROM audit_records WHERE entity_id = OLD.id;
END;
