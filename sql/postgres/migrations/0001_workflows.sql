-- Workflows, their versions and their runs.
--
-- The documents that clients send are json, not jsonb: kept byte for byte, so that both databases give back the same
-- text. jsonb is what the library itself makes: tags, audit records, the settings of ChatKit.
-- Where a query has to look inside one, it (or its index) casts to jsonb. All tables are plain ones on a distributed
-- server (docs/decisions/scale-out.md).

CREATE TABLE workflows (
    id uuid NOT NULL PRIMARY KEY,
    handle text COLLATE "C",
    slug text NOT NULL,
    name text NOT NULL,
    description text,
    tags jsonb NOT NULL,
    is_archived boolean NOT NULL,
    draft_access text NOT NULL CHECK (draft_access IN ('personal', 'authenticated', 'workspace')),
    is_public boolean NOT NULL,
    published_at timestamptz,
    published_by text,
    require_login boolean NOT NULL,
    share_url text,
    chatkit jsonb,
    -- The number of the newest version; the next one takes it plus one when it is inserted.
    latest_version bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- The newest audit records, up to 40 of them; older ones move to audit_records (see the triggers below).
    audit_log jsonb NOT NULL
);

CREATE UNIQUE INDEX uq_workflows__active_handle ON workflows (handle) WHERE NOT is_archived;
CREATE INDEX ix_workflows__archived_handle ON workflows (handle, updated_at, id) WHERE is_archived;
CREATE INDEX ix_workflows__created ON workflows (created_at, id);
CREATE INDEX ix_workflows__active_created ON workflows (created_at, id) WHERE NOT is_archived;

-- Handles: an active workflow shares its handle with nobody; archived ones may share one among themselves.
-- The unique index above can't see archived holders, so this rule is a trigger; SQLite has its twin. The lock lets
-- writers of one handle pass one at a time: after it, the look-up sees what the previous one committed. There are 1024
-- such locks, not one for each handle: a transaction may write any number of handles, the server's table of locks is
-- limited.
CREATE FUNCTION workflows_guard_handle() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('orcheo_sql.workflows.handle'), hashtext(NEW.handle) & 1023);
    IF EXISTS (
        SELECT 1 FROM workflows AS other
        WHERE other.handle = NEW.handle AND NOT other.is_archived AND other.id <> NEW.id
    ) OR NOT NEW.is_archived AND EXISTS (
        SELECT 1 FROM workflows AS other
        WHERE other.handle = NEW.handle AND other.is_archived AND other.id <> NEW.id
    ) THEN
        RAISE unique_violation USING CONSTRAINT = 'uq_workflows__handle', MESSAGE = 'uq_workflows__handle';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER workflows_guard_handle_on_insert BEFORE INSERT ON workflows
FOR EACH ROW WHEN (NEW.handle IS NOT NULL)
EXECUTE FUNCTION workflows_guard_handle();

CREATE TRIGGER workflows_guard_handle_on_update BEFORE UPDATE OF handle, is_archived ON workflows
FOR EACH ROW WHEN (
    NEW.handle IS NOT NULL AND (NEW.handle IS DISTINCT FROM OLD.handle OR (OLD.is_archived AND NOT NEW.is_archived))
)
EXECUTE FUNCTION workflows_guard_handle();

CREATE TABLE workflow_versions (
    id uuid NOT NULL PRIMARY KEY,
    workflow_id uuid NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    version bigint NOT NULL CHECK (version > 0),
    created_by text NOT NULL,
    notes text,
    mermaid text,
    metadata json NOT NULL,
    -- Normalised, without defaults for what was not given; and, beside it, what a run without an override gets.
    runnable_config json,
    default_run_config json NOT NULL,
    default_run_text text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    audit_log jsonb NOT NULL,
    graph json NOT NULL,
    CONSTRAINT uq_workflow_versions__workflow_id__version UNIQUE (workflow_id, version),
    CONSTRAINT uq_workflow_versions__workflow_id__id UNIQUE (workflow_id, id)
);

CREATE TABLE workflow_runs (
    id uuid NOT NULL PRIMARY KEY,
    workflow_id uuid NOT NULL,
    workflow_version_id uuid NOT NULL,
    status text NOT NULL CHECK (status IN ('pending', 'running', 'succeeded', 'failed', 'cancelled')),
    triggered_by text NOT NULL,
    error text,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- Complete: a run has at most one record per state it passes.
    audit_log jsonb NOT NULL,
    -- A run's version is one of its workflow's, by construction.
    FOREIGN KEY (workflow_id, workflow_version_id) REFERENCES workflow_versions (workflow_id, id) ON DELETE CASCADE
);

CREATE INDEX ix_workflow_runs__created ON workflow_runs (created_at, id);
CREATE INDEX ix_workflow_runs__workflow_created ON workflow_runs (workflow_id, created_at, id);
CREATE INDEX ix_workflow_runs__workflow_status_created ON workflow_runs (workflow_id, status, created_at, id);
CREATE INDEX ix_workflow_runs__status_created ON workflow_runs (status, created_at, id);
-- A trigger is free text of any length, an index entry is not: it holds the beginning.
CREATE INDEX ix_workflow_runs__trigger_created ON workflow_runs (left(triggered_by, 64), created_at, id);

-- What a run was given and what it gave: written once, so that state changes never rewrite a payload.
CREATE TABLE workflow_run_inputs (
    run_id uuid NOT NULL PRIMARY KEY REFERENCES workflow_runs (id) ON DELETE CASCADE,
    runnable_config json NOT NULL,
    -- What filters on a run's metadata look at; a config without any has empty ones.
    metadata jsonb NOT NULL GENERATED ALWAYS AS (coalesce(runnable_config::jsonb -> 'metadata', '{}')) STORED,
    input_payload json NOT NULL
);

CREATE TABLE workflow_run_outputs (
    run_id uuid NOT NULL PRIMARY KEY REFERENCES workflow_runs (id) ON DELETE CASCADE,
    output_payload json NOT NULL
);

-- New entries of a GIN index wait in a list that each search reads through: 256 kB of it, here and below, not 4 MB.
CREATE INDEX ix_workflow_run_inputs__input ON workflow_run_inputs
USING gin ((input_payload::jsonb) jsonb_path_ops) WITH (gin_pending_list_limit = 256);
CREATE INDEX ix_workflow_run_inputs__metadata ON workflow_run_inputs
USING gin (metadata jsonb_path_ops) WITH (gin_pending_list_limit = 256);
CREATE INDEX ix_workflow_run_outputs__output ON workflow_run_outputs
USING gin ((output_payload::jsonb) jsonb_path_ops) WITH (gin_pending_list_limit = 256);

-- Whether a document meets every condition of a JSON filter (docs/filters.md). On SQLite the library's Python function
-- of this name answers the same. plpgsql, because it takes a tenth of the time of the same function in SQL.
CREATE FUNCTION json_meets(document jsonb, conditions jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    condition jsonb;
    operator text;
    given jsonb;
    there jsonb;
    sign integer;
    is_met boolean;
BEGIN
    FOR i IN 0 .. jsonb_array_length(conditions) - 1 LOOP
        condition := conditions -> i;
        operator := condition ->> 'op';
        given := condition -> 'value';
        -- Paths are strict: keys are looked up in objects only, positions in arrays only; else there is nothing (NULL).
        there := jsonb_path_query_first(document, (condition ->> 'path')::jsonpath, '{}', TRUE);
        sign := CASE
            WHEN operator NOT IN ('lt', 'le', 'gt', 'ge') OR jsonb_typeof(there) <> jsonb_typeof(given) THEN NULL
            WHEN jsonb_typeof(there) = 'number'
                THEN (there::numeric > given::numeric)::integer - (there::numeric < given::numeric)::integer
            WHEN jsonb_typeof(there) = 'string'
                THEN ((there #>> '{}') > (given #>> '{}') COLLATE "C")::integer
                    - ((there #>> '{}') < (given #>> '{}') COLLATE "C")::integer
        END;
        is_met := CASE operator
            WHEN 'eq' THEN there = given
            WHEN 'ne' THEN there IS DISTINCT FROM given
            WHEN 'lt' THEN sign < 0
            WHEN 'le' THEN sign <= 0
            WHEN 'gt' THEN sign > 0
            WHEN 'ge' THEN sign >= 0
            WHEN 'in' THEN jsonb_typeof(there) NOT IN ('array', 'object') AND given @> there
            WHEN 'exists' THEN there IS NOT NULL
            WHEN 'missing' THEN there IS NULL
        END;
        IF is_met IS NOT TRUE THEN
            RETURN FALSE;
        END IF;
    END LOOP;
    RETURN TRUE;
END
$$;

-- Search: token streams made by the library (docs/search.md). A tsvector holds at most 1 MB of distinct words: for a
-- stream with more, terms are NULL and the few such rows are compared as text.
CREATE FUNCTION search_terms(stream text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN octet_length(stream) <= 1000000
            THEN array_to_tsvector(array_remove(string_to_array(stream, ' '), ''))
        WHEN (
            SELECT sum(octet_length(word)) FROM (SELECT DISTINCT unnest(string_to_array(stream, ' ')) AS word) AS words
        ) <= 1000000
            THEN array_to_tsvector(array_remove(string_to_array(stream, ' '), ''))
    END
$$;

CREATE TABLE workflow_search (
    workflow_id uuid NOT NULL PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE,
    handle_text text NOT NULL,
    name_text text NOT NULL,
    description_text text NOT NULL,
    tags_text text NOT NULL,
    graph_text text NOT NULL,
    terms tsvector GENERATED ALWAYS AS (
        search_terms(
            handle_text || ' ' || name_text || ' ' || description_text || ' ' || tags_text || ' ' || graph_text
        )
    ) STORED
);

CREATE INDEX ix_workflow_search__terms ON workflow_search
USING gin (terms) WITH (gin_pending_list_limit = 256);
CREATE INDEX ix_workflow_search__oversize ON workflow_search (workflow_id) WHERE terms IS NULL;

CREATE TABLE workflow_run_search (
    run_id uuid NOT NULL PRIMARY KEY REFERENCES workflow_runs (id) ON DELETE CASCADE,
    search_text text NOT NULL,
    terms tsvector GENERATED ALWAYS AS (search_terms(search_text)) STORED
);

CREATE INDEX ix_workflow_run_search__terms ON workflow_run_search
USING gin (terms) WITH (gin_pending_list_limit = 256);
CREATE INDEX ix_workflow_run_search__oversize ON workflow_run_search (run_id) WHERE terms IS NULL;

-- Audit records that have left the row of their entity; with those in the row they are the whole trail.
CREATE TABLE audit_records (
    entity_id uuid NOT NULL,
    seq bigint NOT NULL,
    record jsonb NOT NULL,
    PRIMARY KEY (entity_id, seq)
);

-- Each write appends to audit_log in place: one statement, one row. Past 40 records all but the newest 20 move on, past
-- 64 KiB all but the newest one, so that a row stays small however long its history grows.
CREATE FUNCTION spill_audit() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    stays CONSTANT integer := CASE WHEN octet_length(NEW.audit_log::text) > 65536 THEN 1 ELSE 20 END;
BEGIN
    INSERT INTO audit_records (entity_id, seq, record)
    SELECT
        NEW.id,
        (SELECT coalesce(max(seq), 0) FROM audit_records WHERE entity_id = NEW.id) + kept.ordinal,
        kept.record
    FROM jsonb_array_elements(NEW.audit_log) WITH ORDINALITY AS kept (record, ordinal)
    WHERE kept.ordinal <= jsonb_array_length(NEW.audit_log) - stays;
    EXECUTE format('UPDATE %s SET audit_log = $1 WHERE id = $2', TG_RELID::regclass)
    USING
        (
            SELECT jsonb_agg(kept.record ORDER BY kept.ordinal)
            FROM jsonb_array_elements(NEW.audit_log) WITH ORDINALITY AS kept (record, ordinal)
            WHERE kept.ordinal > jsonb_array_length(NEW.audit_log) - stays
        ),
        NEW.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER workflows_spill_audit AFTER UPDATE OF audit_log ON workflows
FOR EACH ROW WHEN (
    jsonb_array_length(NEW.audit_log) > 40
    OR octet_length(NEW.audit_log::text) > 65536 AND jsonb_array_length(NEW.audit_log) > 1
)
EXECUTE FUNCTION spill_audit();

CREATE TRIGGER workflow_versions_spill_audit AFTER UPDATE OF audit_log ON workflow_versions
FOR EACH ROW WHEN (
    jsonb_array_length(NEW.audit_log) > 40
    OR octet_length(NEW.audit_log::text) > 65536 AND jsonb_array_length(NEW.audit_log) > 1
)
EXECUTE FUNCTION spill_audit();

CREATE FUNCTION drop_audit() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM audit_records WHERE entity_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER workflows_drop_audit AFTER DELETE ON workflows
FOR EACH ROW EXECUTE FUNCTION drop_audit();

CREATE TRIGGER workflow_versions_drop_audit AFTER DELETE ON workflow_versions
FOR EACH ROW EXECUTE FUNCTION drop_audit();
