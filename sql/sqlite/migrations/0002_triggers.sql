-- What starts runs: cron schedules, webhooks, retries and listeners; and the outbox, which hands runs to workers.
--
-- All state is here and none in a process, so any number of processes may dispatch at once. docs/scheduling.md tells
-- what happens in which transaction.

-- Whether a version of it has had listeners: as long as none has, a new version has no others to take the place of.
ALTER TABLE workflows ADD COLUMN has_listeners INTEGER NOT NULL DEFAULT 0 CHECK (has_listeners IN (0, 1));

-- The number of the retry policy in force when the run was created; NULL is the default policy.
ALTER TABLE workflow_runs ADD COLUMN retry_policy INTEGER;
-- Whether it went to the outbox when it was created: if it is pending and not there, nobody is at it.
ALTER TABLE workflow_runs ADD COLUMN is_handed_off INTEGER NOT NULL DEFAULT 0 CHECK (is_handed_off IN (0, 1));
-- Of a run that a schedule started (or a retry of one): the schedule, and the occurrence that the run is.
ALTER TABLE workflow_runs ADD COLUMN schedule_id TEXT;
ALTER TABLE workflow_runs ADD COLUMN scheduled_for TEXT;

-- Each occurrence of a schedule yields at most one run.
CREATE UNIQUE INDEX uq_workflow_runs__occurrence ON workflow_runs (schedule_id, scheduled_for)
WHERE schedule_id IS NOT NULL AND scheduled_for IS NOT NULL;
-- The runs that keep a schedule from overlapping: a handful, whatever the size of the table.
CREATE INDEX ix_workflow_runs__unfinished_scheduled ON workflow_runs (schedule_id)
WHERE schedule_id IS NOT NULL AND status IN ('pending', 'running');

CREATE TABLE cron_triggers (
    workflow_id TEXT NOT NULL PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE,
    -- A schedule that is deleted and made anew is another one: it knows nothing of the runs of the former.
    schedule_id TEXT NOT NULL,
    config TEXT NOT NULL CHECK (json_valid(config) AND json_type(config) = 'object'),
    allow_overlapping INTEGER NOT NULL CHECK (allow_overlapping IN (0, 1)),
    -- When to look at it next; the year 1 means that nothing has looked yet, NULL that it will never fire again.
    next_fire_at TEXT,
    -- Occurrences before this time are none of its business: it was configured, resumed or un-archived then.
    counted_from TEXT NOT NULL,
    last_dispatched_at TEXT,
    is_paused INTEGER NOT NULL CHECK (is_paused IN (0, 1)),
    -- Follows the workflow's is_archived (see workflows_suspend_triggers).
    is_suspended INTEGER NOT NULL CHECK (is_suspended IN (0, 1)),
    -- Why it is left out until somebody resumes or configures it: it could not be dispatched, and can't be next time.
    set_aside_reason TEXT,
    -- Raised by every change; a dispatcher that looked at an older one changes nothing.
    revision INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

CREATE INDEX ix_cron_triggers__due ON cron_triggers (next_fire_at, created_at, workflow_id)
WHERE next_fire_at IS NOT NULL AND NOT is_paused AND NOT is_suspended AND set_aside_reason IS NULL;
CREATE INDEX ix_cron_triggers__created ON cron_triggers (created_at, workflow_id);

CREATE TABLE webhook_triggers (
    workflow_id TEXT NOT NULL PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE,
    -- Without its secrets, which stand beside it, sealed (docs/decisions/secrets.md).
    config TEXT NOT NULL,
    shared_secret TEXT,
    hmac_secret TEXT,
    -- How many rows it has in webhook_slots, and which: a changed rate limit begins a new set.
    slots INTEGER NOT NULL,
    slot_set TEXT NOT NULL,
    -- Another one after every change, never one that was used before: a webhook that is deleted and made anew has
    -- nothing in common with the former, whoever still knows that one.
    revision TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT;

-- The rate limit of a webhook as places: an accepted call takes the one that has been free longest, and there are as
-- many as calls are allowed at once. Rows are made when they are first needed. So no call waits to be counted.
CREATE TABLE webhook_slots (
    workflow_id TEXT NOT NULL REFERENCES webhook_triggers (workflow_id) ON DELETE CASCADE,
    slot_set TEXT NOT NULL,
    slot INTEGER NOT NULL,
    used_at TEXT NOT NULL,
    PRIMARY KEY (workflow_id, slot_set, slot)
) STRICT;

CREATE INDEX ix_webhook_slots__used ON webhook_slots (workflow_id, slot_set, used_at, slot);

-- Signatures of accepted calls, so that a captured call is not accepted again while its signature is valid.
CREATE TABLE webhook_signatures (
    workflow_id TEXT NOT NULL REFERENCES webhook_triggers (workflow_id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    accepted_at TEXT NOT NULL,
    -- NULL: it never stops being valid, so it is remembered until somebody decides otherwise.
    expires_at TEXT,
    PRIMARY KEY (workflow_id, digest)
) STRICT;

CREATE INDEX ix_webhook_signatures__expires ON webhook_signatures (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ix_webhook_signatures__lasting ON webhook_signatures (accepted_at) WHERE expires_at IS NULL;

-- Policies are numbered and never change: a run keeps the one that was in force when it was created.
CREATE TABLE retry_policies (
    workflow_id TEXT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    config TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (workflow_id, number)
) STRICT;

-- Decisions to try a run again. A chain of retries counts from its first run.
CREATE TABLE workflow_run_retries (
    first_run_id TEXT NOT NULL REFERENCES workflow_runs (id) ON DELETE CASCADE,
    retry_number INTEGER NOT NULL,
    -- The run of the chain that failed, and the run that tries it again, once there is one.
    failed_run_id TEXT NOT NULL REFERENCES workflow_runs (id) ON DELETE CASCADE,
    run_id TEXT UNIQUE REFERENCES workflow_runs (id) ON DELETE CASCADE,
    scheduled_for TEXT NOT NULL,
    delay_seconds REAL NOT NULL,
    -- waiting until due and its run has failed; superseded by a later decision about the same run; dropped because that
    -- run did not fail after all; done.
    status TEXT NOT NULL CHECK (status IN ('waiting', 'superseded', 'dropped', 'done')),
    created_at TEXT NOT NULL,
    PRIMARY KEY (first_run_id, retry_number),
    CHECK ((status = 'done') = (run_id IS NOT NULL))
) STRICT;

CREATE INDEX ix_workflow_run_retries__due ON workflow_run_retries (scheduled_for, first_run_id, retry_number)
WHERE status = 'waiting';
-- Of the decisions about a run at most one stands: it is tried again at most once.
CREATE UNIQUE INDEX uq_workflow_run_retries__standing ON workflow_run_retries (failed_run_id)
WHERE status IN ('waiting', 'done');
CREATE INDEX ix_workflow_run_retries__failed ON workflow_run_retries (failed_run_id, retry_number);

-- A listener: a node of a workflow that serves one identity on one platform, whatever the version.
CREATE TABLE listeners (
    listener_key TEXT NOT NULL PRIMARY KEY,
    workflow_id TEXT NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    -- The subscription of the newest synchronisation; NULL when the graph has the node no more.
    subscription_id TEXT,
    -- An operator's pause stands until somebody sets the status to active, through new versions.
    is_paused INTEGER NOT NULL CHECK (is_paused IN (0, 1)),
    cursor TEXT,
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX ix_listeners__workflow ON listeners (workflow_id);

-- A listener in one version. Only that of the newest synchronisation can be other than disabled.
CREATE TABLE listener_subscriptions (
    id TEXT NOT NULL PRIMARY KEY,
    listener_key TEXT NOT NULL REFERENCES listeners (listener_key) ON DELETE CASCADE,
    workflow_id TEXT NOT NULL,
    workflow_version_id TEXT NOT NULL,
    node_name TEXT NOT NULL,
    platform TEXT NOT NULL,
    bot_identity_key TEXT NOT NULL,
    config TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('active', 'blocked', 'paused', 'error', 'disabled')),
    -- Of one that is disabled because its workflow is archived: the status it has again after that.
    archived_status TEXT CHECK (archived_status IN ('active', 'blocked', 'paused', 'error')),
    assigned_runtime TEXT,
    lease_expires_at TEXT,
    -- Raised whenever the lease passes to a runtime that did not hold it at that moment: a fencing token.
    lease_epoch INTEGER NOT NULL,
    last_event_at TEXT,
    last_error TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    audit_log TEXT NOT NULL,
    FOREIGN KEY (workflow_id, workflow_version_id) REFERENCES workflow_versions (workflow_id, id) ON DELETE CASCADE
) STRICT;

CREATE INDEX ix_listener_subscriptions__created ON listener_subscriptions (created_at, id);
CREATE INDEX ix_listener_subscriptions__workflow_created ON listener_subscriptions (workflow_id, created_at, id);
CREATE INDEX ix_listener_subscriptions__served ON listener_subscriptions (created_at, id) WHERE status <> 'disabled';
CREATE INDEX ix_listener_subscriptions__disabled ON listener_subscriptions (updated_at, id) WHERE status = 'disabled';
CREATE INDEX ix_listener_subscriptions__listener ON listener_subscriptions (listener_key);

CREATE TRIGGER listener_subscriptions_spill_audit AFTER UPDATE OF audit_log ON listener_subscriptions
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
    UPDATE listener_subscriptions
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

CREATE TRIGGER listener_subscriptions_drop_audit AFTER DELETE ON listener_subscriptions
BEGIN
    DELETE FROM audit_records WHERE entity_id = OLD.id;
END;

-- The events that a listener has dispatched, until their keys expire.
CREATE TABLE listener_dedupe (
    listener_key TEXT NOT NULL REFERENCES listeners (listener_key) ON DELETE CASCADE,
    dedupe_key TEXT NOT NULL,
    expires_at TEXT NOT NULL,
    PRIMARY KEY (listener_key, dedupe_key)
) STRICT;

CREATE INDEX ix_listener_dedupe__expires ON listener_dedupe (expires_at);

-- Runs to hand to workers. A row is written with its run and deleted when a worker acknowledges it. Claiming moves
-- available_at to the end of the lease, so a row whose worker died comes up again by itself.
CREATE TABLE run_outbox (
    run_id TEXT NOT NULL PRIMARY KEY REFERENCES workflow_runs (id) ON DELETE CASCADE,
    available_at TEXT NOT NULL,
    claim_id TEXT,
    consumer TEXT,
    attempts INTEGER NOT NULL,
    created_at TEXT NOT NULL
) STRICT;

CREATE INDEX ix_run_outbox__available ON run_outbox (available_at, run_id);

-- One rule for all triggers: an archived workflow starts no runs. Its schedule rests, and counts from the time of
-- un-archiving; its current subscriptions are disabled, and then have the status again that they had.
CREATE TRIGGER workflows_suspend_triggers_on_update AFTER UPDATE OF is_archived ON workflows
WHEN NEW.is_archived IS NOT OLD.is_archived
BEGIN
    UPDATE cron_triggers
    SET
        is_suspended = NEW.is_archived,
        next_fire_at = '0001-01-01T00:00:00.000000Z',
        counted_from = NEW.updated_at,
        revision = revision + 1
    WHERE workflow_id = NEW.id;
    UPDATE listener_subscriptions
    SET
        status = 'disabled',
        archived_status = status,
        assigned_runtime = NULL,
        lease_expires_at = NULL,
        updated_at = max(updated_at, NEW.updated_at),
        audit_log = json_insert(
            audit_log, '$[#]', json_object(
                'actor', json_extract(NEW.audit_log, '$[#-1].actor'),
                'action', 'listener_subscription_disabled',
                'at', json_extract(NEW.audit_log, '$[#-1].at'),
                'metadata', json_object()
            )
        )
    WHERE workflow_id = NEW.id AND NEW.is_archived AND status <> 'disabled';
    UPDATE listener_subscriptions
    SET
        status = archived_status,
        archived_status = NULL,
        updated_at = max(updated_at, NEW.updated_at),
        audit_log = json_insert(
            audit_log, '$[#]', json_object(
                'actor', json_extract(NEW.audit_log, '$[#-1].actor'),
                'action', 'listener_subscription_restored',
                'at', json_extract(NEW.audit_log, '$[#-1].at'),
                'metadata', json_object()
            )
        )
    WHERE
        workflow_id = NEW.id
        AND NOT NEW.is_archived
        AND archived_status IS NOT NULL
        AND id IN (SELECT l.subscription_id FROM listeners AS l WHERE l.workflow_id = NEW.id);
END;
