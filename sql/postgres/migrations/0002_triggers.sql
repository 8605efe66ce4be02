-- What starts runs: cron schedules, webhooks, retries and listeners; and the outbox, which hands runs to workers.
--
-- All state is here and none in a process, so any number of processes may dispatch at once. docs/scheduling.md tells
-- what happens in which transaction.

-- Whether a version of it has had listeners: as long as none has, a new version has no others to take the place of.
ALTER TABLE workflows ADD COLUMN has_listeners boolean NOT NULL DEFAULT FALSE;

ALTER TABLE workflow_runs
-- The number of the retry policy in force when the run was created; NULL is the default policy.
ADD COLUMN retry_policy bigint,
-- Whether it went to the outbox when it was created: if it is pending and not there, nobody is at it.
ADD COLUMN is_handed_off boolean NOT NULL DEFAULT FALSE,
-- Of a run that a schedule started (or a retry of one): the schedule, and the occurrence that the run is.
ADD COLUMN schedule_id uuid,
ADD COLUMN scheduled_for timestamptz;

-- Each occurrence of a schedule yields at most one run.
CREATE UNIQUE INDEX uq_workflow_runs__occurrence ON workflow_runs (schedule_id, scheduled_for)
WHERE schedule_id IS NOT NULL AND scheduled_for IS NOT NULL;
-- The runs that keep a schedule from overlapping: a handful, whatever the size of the table.
CREATE INDEX ix_workflow_runs__unfinished_scheduled ON workflow_runs (schedule_id)
WHERE schedule_id IS NOT NULL AND status IN ('pending', 'running');

CREATE TABLE cron_triggers (
    workflow_id uuid NOT NULL PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE,
    -- A schedule that is deleted and made anew is another one: it knows nothing of the runs of the former.
    schedule_id uuid NOT NULL,
    config json NOT NULL CHECK (json_typeof(config) = 'object'),
    allow_overlapping boolean NOT NULL,
    -- When to look at it next; the year 1 means that nothing has looked yet, NULL that it will never fire again.
    next_fire_at timestamptz,
    -- Occurrences before this time are none of its business: it was configured, resumed or un-archived then.
    counted_from timestamptz NOT NULL,
    last_dispatched_at timestamptz,
    is_paused boolean NOT NULL,
    -- Follows the workflow's is_archived (see workflows_suspend_triggers).
    is_suspended boolean NOT NULL,
    -- Why it is left out until somebody resumes or configures it: it could not be dispatched, and can't be next time.
    set_aside_reason text,
    -- Raised by every change; a dispatcher that looked at an older one changes nothing.
    revision bigint NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE INDEX ix_cron_triggers__due ON cron_triggers (next_fire_at, created_at, workflow_id)
WHERE next_fire_at IS NOT NULL AND NOT is_paused AND NOT is_suspended AND set_aside_reason IS NULL;
CREATE INDEX ix_cron_triggers__created ON cron_triggers (created_at, workflow_id);

CREATE TABLE webhook_triggers (
    workflow_id uuid NOT NULL PRIMARY KEY REFERENCES workflows (id) ON DELETE CASCADE,
    -- Without its secrets, which stand beside it, sealed (docs/decisions/secrets.md).
    config json NOT NULL,
    shared_secret text,
    hmac_secret text,
    -- How many rows it has in webhook_slots, and which: a changed rate limit begins a new set.
    slots bigint NOT NULL,
    slot_set uuid NOT NULL,
    -- Another one after every change, never one that was used before: a webhook that is deleted and made anew has
    -- nothing in common with the former, whoever still knows that one.
    revision uuid NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

-- The rate limit of a webhook as places: an accepted call takes the one that has been free longest, and there are as
-- many as calls are allowed at once. Rows are made when they are first needed. So no call waits to be counted.
CREATE TABLE webhook_slots (
    workflow_id uuid NOT NULL REFERENCES webhook_triggers (workflow_id) ON DELETE CASCADE,
    slot_set uuid NOT NULL,
    slot bigint NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, slot_set, slot)
);

CREATE INDEX ix_webhook_slots__used ON webhook_slots (workflow_id, slot_set, used_at, slot);

-- Signatures of accepted calls, so that a captured call is not accepted again while its signature is valid.
CREATE TABLE webhook_signatures (
    workflow_id uuid NOT NULL REFERENCES webhook_triggers (workflow_id) ON DELETE CASCADE,
    digest text NOT NULL,
    accepted_at timestamptz NOT NULL,
    -- NULL: it never stops being valid, so it is remembered until somebody decides otherwise.
    expires_at timestamptz,
    PRIMARY KEY (workflow_id, digest)
);

CREATE INDEX ix_webhook_signatures__expires ON webhook_signatures (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX ix_webhook_signatures__lasting ON webhook_signatures (accepted_at) WHERE expires_at IS NULL;

-- Policies are numbered and never change: a run keeps the one that was in force when it was created.
CREATE TABLE retry_policies (
    workflow_id uuid NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    number bigint NOT NULL,
    config json NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (workflow_id, number)
);

-- Decisions to try a run again. A chain of retries counts from its first run.
CREATE TABLE workflow_run_retries (
    first_run_id uuid NOT NULL REFERENCES workflow_runs (id) ON DELETE CASCADE,
    retry_number bigint NOT NULL,
    -- The run of the chain that failed, and the run that tries it again, once there is one.
    failed_run_id uuid NOT NULL REFERENCES workflow_runs (id) ON DELETE CASCADE,
    run_id uuid UNIQUE REFERENCES workflow_runs (id) ON DELETE CASCADE,
    scheduled_for timestamptz NOT NULL,
    delay_seconds double precision NOT NULL,
    -- waiting until due and its run has failed; superseded by a later decision about the same run; dropped because that
    -- run did not fail after all; done.
    status text NOT NULL CHECK (status IN ('waiting', 'superseded', 'dropped', 'done')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (first_run_id, retry_number),
    CHECK ((status = 'done') = (run_id IS NOT NULL))
);

CREATE INDEX ix_workflow_run_retries__due ON workflow_run_retries (scheduled_for, first_run_id, retry_number)
WHERE status = 'waiting';
-- Of the decisions about a run at most one stands: it is tried again at most once.
CREATE UNIQUE INDEX uq_workflow_run_retries__standing ON workflow_run_retries (failed_run_id)
WHERE status IN ('waiting', 'done');
CREATE INDEX ix_workflow_run_retries__failed ON workflow_run_retries (failed_run_id, retry_number);

-- A listener: a node of a workflow that serves one identity on one platform, whatever the version.
CREATE TABLE listeners (
    listener_key uuid NOT NULL PRIMARY KEY,
    workflow_id uuid NOT NULL REFERENCES workflows (id) ON DELETE CASCADE,
    -- The subscription of the newest synchronisation; NULL when the graph has the node no more.
    subscription_id uuid,
    -- An operator's pause stands until somebody sets the status to active, through new versions.
    is_paused boolean NOT NULL,
    cursor json,
    created_at timestamptz NOT NULL
);

CREATE INDEX ix_listeners__workflow ON listeners (workflow_id);

-- A listener in one version. Only that of the newest synchronisation can be other than disabled.
CREATE TABLE listener_subscriptions (
    id uuid NOT NULL PRIMARY KEY,
    listener_key uuid NOT NULL REFERENCES listeners (listener_key) ON DELETE CASCADE,
    workflow_id uuid NOT NULL,
    workflow_version_id uuid NOT NULL,
    node_name text NOT NULL,
    platform text NOT NULL,
    bot_identity_key text NOT NULL,
    config json NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'blocked', 'paused', 'error', 'disabled')),
    -- Of one that is disabled because its workflow is archived: the status it has again after that.
    archived_status text CHECK (archived_status IN ('active', 'blocked', 'paused', 'error')),
    assigned_runtime text,
    lease_expires_at timestamptz,
    -- Raised whenever the lease passes to a runtime that did not hold it at that moment: a fencing token.
    lease_epoch bigint NOT NULL,
    last_event_at timestamptz,
    last_error text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    audit_log jsonb NOT NULL,
    FOREIGN KEY (workflow_id, workflow_version_id) REFERENCES workflow_versions (workflow_id, id) ON DELETE CASCADE
);

CREATE INDEX ix_listener_subscriptions__created ON listener_subscriptions (created_at, id);
CREATE INDEX ix_listener_subscriptions__workflow_created ON listener_subscriptions (workflow_id, created_at, id);
CREATE INDEX ix_listener_subscriptions__served ON listener_subscriptions (created_at, id) WHERE status <> 'disabled';
CREATE INDEX ix_listener_subscriptions__disabled ON listener_subscriptions (updated_at, id) WHERE status = 'disabled';
CREATE INDEX ix_listener_subscriptions__listener ON listener_subscriptions (listener_key);

CREATE TRIGGER listener_subscriptions_spill_audit AFTER UPDATE OF audit_log ON listener_subscriptions
FOR EACH ROW WHEN (
    jsonb_array_length(NEW.audit_log) > 40
    OR octet_length(NEW.audit_log::text) > 65536 AND jsonb_array_length(NEW.audit_log) > 1
)
EXECUTE FUNCTION spill_audit();

CREATE TRIGGER listener_subscriptions_drop_audit AFTER DELETE ON listener_subscriptions
FOR EACH ROW EXECUTE FUNCTION drop_audit();

-- The events that a listener has dispatched, until their keys expire.
CREATE TABLE listener_dedupe (
    listener_key uuid NOT NULL REFERENCES listeners (listener_key) ON DELETE CASCADE,
    dedupe_key text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (listener_key, dedupe_key)
);

CREATE INDEX ix_listener_dedupe__expires ON listener_dedupe (expires_at);

-- Runs to hand to workers. A row is written with its run and deleted when a worker acknowledges it. Claiming moves
-- available_at to the end of the lease, so a row whose worker died comes up again by itself.
CREATE TABLE run_outbox (
    run_id uuid NOT NULL PRIMARY KEY REFERENCES workflow_runs (id) ON DELETE CASCADE,
    available_at timestamptz NOT NULL,
    claim_id uuid,
    consumer text,
    attempts bigint NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE INDEX ix_run_outbox__available ON run_outbox (available_at, run_id);

-- One rule for all triggers: an archived workflow starts no runs. Its schedule rests, and counts from the time of
-- un-archiving; its current subscriptions are disabled, and then have the status again that they had.
-- A trigger, because inside one each statement sees what was committed while the update waited for the workflow's row.
CREATE FUNCTION workflows_suspend_triggers() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    UPDATE cron_triggers
    SET
        is_suspended = NEW.is_archived,
        next_fire_at = '0001-01-01 00:00:00+00',
        counted_from = NEW.updated_at,
        revision = revision + 1
    WHERE workflow_id = NEW.id;
    UPDATE listener_subscriptions
    SET
        status = 'disabled',
        archived_status = status,
        assigned_runtime = NULL,
        lease_expires_at = NULL,
        updated_at = greatest(updated_at, NEW.updated_at),
        audit_log = audit_log || jsonb_build_object(
            'actor', NEW.audit_log -> -1 ->> 'actor',
            'action', 'listener_subscription_disabled',
            'at', NEW.audit_log -> -1 ->> 'at',
            'metadata', '{}'::jsonb
        )
    WHERE workflow_id = NEW.id AND NEW.is_archived AND status <> 'disabled';
    UPDATE listener_subscriptions AS s
    SET
        status = s.archived_status,
        archived_status = NULL,
        updated_at = greatest(s.updated_at, NEW.updated_at),
        audit_log = s.audit_log || jsonb_build_object(
            'actor', NEW.audit_log -> -1 ->> 'actor',
            'action', 'listener_subscription_restored',
            'at', NEW.audit_log -> -1 ->> 'at',
            'metadata', '{}'::jsonb
        )
    FROM listeners AS l
    WHERE
        s.workflow_id = NEW.id
        AND NOT NEW.is_archived
        AND s.archived_status IS NOT NULL
        AND l.listener_key = s.listener_key
        AND l.subscription_id = s.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER workflows_suspend_triggers_on_update AFTER UPDATE OF is_archived ON workflows
FOR EACH ROW WHEN (NEW.is_archived IS DISTINCT FROM OLD.is_archived)
EXECUTE FUNCTION workflows_suspend_triggers();
