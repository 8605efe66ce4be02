-- Cron schedules. A dispatcher lists what is due, computes in Python what is to fire, and fires it: each change asks
-- for the schedule and its revision that were listed, so that of any number of dispatchers one gets it, and the others
-- change nothing. The revision alone would not do: a schedule that is deleted and made anew counts from 1 again.
--
-- What writes a schedule and its workflow locks the workflow first, as archiving does: in another order two of them
-- wait for each other.

-- name: get_schedule(workflow_id)^
-- Get the schedule of a workflow.
-- Returns: StoredSchedule
-- Index: cron_triggers_pkey
SELECT
    t.workflow_id, w.name AS workflow_name, t.config::text,
    CASE
        WHEN t.is_suspended THEN 'suspended'
        WHEN t.is_paused THEN 'paused'
        WHEN t.set_aside_reason IS NOT NULL THEN 'set_aside'
        WHEN t.next_fire_at IS NULL THEN 'ended'
        ELSE 'active'
    END AS state,
    t.set_aside_reason AS reason, t.next_fire_at, t.last_dispatched_at, t.created_at, t.updated_at
FROM cron_triggers AS t
INNER JOIN workflows AS w ON w.id = t.workflow_id
WHERE t.workflow_id = :workflow_id;

-- name: put_cron_trigger(workflow_id, schedule_id, config, allow_overlapping, unseen, now, event)$
-- Set a workflow's schedule and record that in the workflow. A changed one counts from now on, and so does one that
-- was set aside.
-- No row when the workflow is missing, or has this config already and is not set aside.
-- Returns: UUID
-- Locks: FOR NO KEY UPDATE: the workflow, before its schedule, as archiving does.
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
WITH locked AS (
    -- Waits for an archiving that is not committed, and then knows its outcome.
    SELECT id, is_archived FROM workflows WHERE id = :workflow_id FOR NO KEY UPDATE
),
put AS (
    INSERT INTO cron_triggers AS t (
        workflow_id, schedule_id, config, allow_overlapping, next_fire_at, counted_from, is_paused, is_suspended,
        revision, created_at, updated_at
    )
    SELECT
        id, :schedule_id, :config::json, :allow_overlapping, :unseen::timestamptz, :now::timestamptz, FALSE,
        is_archived, 1, :now::timestamptz, :now::timestamptz
    FROM locked
    ON CONFLICT (workflow_id) DO UPDATE
        SET
            config = excluded.config,
            allow_overlapping = excluded.allow_overlapping,
            next_fire_at = excluded.next_fire_at,
            counted_from = excluded.counted_from,
            is_suspended = excluded.is_suspended,
            set_aside_reason = NULL,
            revision = t.revision + 1,
            updated_at = greatest(t.updated_at, excluded.updated_at)
        WHERE t.config::text <> excluded.config::text OR t.set_aside_reason IS NOT NULL
    RETURNING workflow_id
)
UPDATE workflows
SET updated_at = greatest(updated_at, :now), audit_log = audit_log || :event::jsonb
FROM put
WHERE id = put.workflow_id
RETURNING id;

-- name: delete_cron_trigger(workflow_id, now, event)$
-- Remove a workflow's schedule and record that in the workflow; no row when it has none.
-- Returns: UUID
-- Index: cron_triggers_pkey
-- Locks: FOR NO KEY UPDATE: the workflow, before its schedule, as archiving does.
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
WITH locked AS (
    SELECT id FROM workflows WHERE id = :workflow_id FOR NO KEY UPDATE
),
deleted AS (
    DELETE FROM cron_triggers AS t USING locked WHERE t.workflow_id = locked.id RETURNING t.workflow_id
)
UPDATE workflows
SET updated_at = greatest(updated_at, :now), audit_log = audit_log || :event::jsonb
FROM deleted
WHERE id = deleted.workflow_id
RETURNING id;

-- name: list_due_schedules(now, after_at, after_created, after_id, limit)
-- List the schedules to look at: due, or never looked at, in the order of their due time and of their making. Left out
-- are those that forbid overlap and whose last run has not ended. The config is text: one that can't be read must not
-- hide the others.
-- Returns: DueSchedule
-- Index: ix_cron_triggers__due in order, ix_workflow_runs__unfinished_scheduled
-- Plan: custom
-- Differs: SQLite takes CROSS JOIN in the order that is written, whatever its statistics say of a smaller database.
SELECT
    t.workflow_id, t.schedule_id, t.config::text, t.next_fire_at, t.counted_from, t.revision,
    t.created_at, v.id IS NOT NULL AS has_version
FROM cron_triggers AS t
INNER JOIN workflows AS w ON w.id = t.workflow_id
LEFT JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
WHERE
    t.next_fire_at IS NOT NULL AND NOT t.is_paused AND NOT t.is_suspended AND t.set_aside_reason IS NULL
    AND t.next_fire_at <= :now
    AND (t.next_fire_at, t.created_at, t.workflow_id) > (:after_at, :after_created, :after_id)
    AND NOT w.is_archived
    AND (
        t.allow_overlapping
        OR NOT EXISTS (
            -- Says once more that it is not null: by itself PostgreSQL would read all unfinished runs.
            SELECT 1 FROM workflow_runs AS r
            WHERE r.schedule_id = t.schedule_id AND r.schedule_id IS NOT NULL AND r.status IN ('pending', 'running')
        )
    )
ORDER BY t.next_fire_at, t.created_at, t.workflow_id
LIMIT :limit;

-- name: move_schedule(workflow_id, schedule_id, revision, next_fire_at)!
-- Say when to look at a schedule next, without firing.
-- Null: next_fire_at (it will never fire again)
-- Index: cron_triggers_pkey
UPDATE cron_triggers
SET next_fire_at = :next_fire_at, revision = revision + 1
WHERE workflow_id = :workflow_id AND schedule_id = :schedule_id AND revision = :revision;

-- name: fire_schedule(id, workflow_id, schedule_id, revision, scheduled_for, next_fire_at, input_payload, now, event, search_text)^
-- Create the run of one occurrence, of the version that is the latest now, and move the schedule on.
-- No row when another dispatcher has changed the schedule, its last run has not ended and it forbids overlap, the
-- occurrence has had its run, or the workflow is archived or has no version.
-- Returns: WorkflowRun
-- Null: next_fire_at (it will never fire again)
-- Locks: FOR KEY SHARE: the workflow against being archived until the run is committed.
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
WITH eligible AS (
    SELECT w.id AS workflow_id, v.id AS workflow_version_id, v.default_run_config, v.default_run_text
    FROM workflows AS w
    INNER JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
    WHERE w.id = :workflow_id AND NOT w.is_archived
    FOR KEY SHARE OF w
),
moved AS (
    UPDATE cron_triggers AS t
    SET next_fire_at = :next_fire_at, last_dispatched_at = :scheduled_for, revision = t.revision + 1
    FROM eligible
    WHERE
        t.workflow_id = eligible.workflow_id AND t.schedule_id = :schedule_id AND t.revision = :revision
        AND NOT t.is_paused AND NOT t.is_suspended AND t.set_aside_reason IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM workflow_runs AS r
            WHERE r.schedule_id = t.schedule_id AND r.scheduled_for = :scheduled_for
        )
        AND (
            t.allow_overlapping
            OR NOT EXISTS (
                SELECT 1 FROM workflow_runs AS r
                WHERE r.schedule_id = t.schedule_id AND r.status IN ('pending', 'running')
            )
        )
    RETURNING t.schedule_id
),
r AS (
    INSERT INTO workflow_runs (
        id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
        is_handed_off, schedule_id, scheduled_for
    )
    SELECT
        :id, eligible.workflow_id, eligible.workflow_version_id, 'pending', 'cron',
        :now::timestamptz, :now::timestamptz, jsonb_build_array(:event::jsonb),
        (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = eligible.workflow_id),
        TRUE, moved.schedule_id, :scheduled_for
    FROM eligible
    CROSS JOIN moved
    RETURNING
        run_number, id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by, started_at,
        completed_at, error
),
i AS (
    INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
    SELECT r.run_number, :input_payload::json, eligible.default_run_config FROM r CROSS JOIN eligible
    RETURNING input_payload, runnable_config
),
indexed AS (
    INSERT INTO workflow_run_search (run_number, search_text)
    SELECT r.run_number, :search_text::text || eligible.default_run_text FROM r CROSS JOIN eligible
),
handed AS (
    INSERT INTO run_outbox (run_id, available_at, attempts, created_at)
    SELECT r.id, :now::timestamptz, 0, :now::timestamptz FROM r
)
SELECT
    r.id, r.created_at, r.updated_at, r.audit_log, r.workflow_version_id, r.status, r.triggered_by,
    i.input_payload, i.runnable_config, NULL::json AS output_payload, r.started_at, r.completed_at, r.error
FROM r
CROSS JOIN i;

-- name: pass_occurrence(workflow_id, schedule_id, revision, scheduled_for, next_fire_at)!
-- Move a schedule on from an occurrence that has had its run.
-- Null: next_fire_at (it will never fire again)
-- Index: cron_triggers_pkey
UPDATE cron_triggers
SET next_fire_at = :next_fire_at, revision = revision + 1
WHERE
    workflow_id = :workflow_id AND schedule_id = :schedule_id AND revision = :revision
    AND EXISTS (
        SELECT 1 FROM workflow_runs AS r
        WHERE r.schedule_id = cron_triggers.schedule_id AND r.scheduled_for = :scheduled_for
    );

-- name: set_schedule_aside(workflow_id, schedule_id, revision, reason, now)!
-- Leave a schedule out, with the reason, until somebody resumes or configures it.
-- Index: cron_triggers_pkey
UPDATE cron_triggers
SET set_aside_reason = :reason, revision = revision + 1, updated_at = greatest(updated_at, :now)
WHERE workflow_id = :workflow_id AND schedule_id = :schedule_id AND revision = :revision;

-- name: pause_schedule(workflow_id, now, event)$
-- Pause a schedule and record that in the workflow; no row when there is none, or it is paused.
-- Returns: UUID
-- Index: cron_triggers_pkey
-- Locks: FOR NO KEY UPDATE: the workflow, before its schedule, as archiving does.
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
WITH locked AS (
    SELECT id FROM workflows WHERE id = :workflow_id FOR NO KEY UPDATE
),
paused AS (
    UPDATE cron_triggers AS t
    SET is_paused = TRUE, revision = t.revision + 1, updated_at = greatest(t.updated_at, :now)
    FROM locked
    WHERE t.workflow_id = locked.id AND NOT t.is_paused
    RETURNING t.workflow_id
)
UPDATE workflows
SET updated_at = greatest(updated_at, :now), audit_log = audit_log || :event::jsonb
FROM paused
WHERE id = paused.workflow_id
RETURNING id;

-- name: resume_schedule(workflow_id, unseen, now, event)$
-- Resume a schedule that is paused or set aside, from now on, and record that in the workflow; no row when it is
-- neither.
-- Returns: UUID
-- Index: cron_triggers_pkey
-- Locks: FOR NO KEY UPDATE: the workflow, before its schedule, as archiving does.
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
WITH locked AS (
    SELECT id FROM workflows WHERE id = :workflow_id FOR NO KEY UPDATE
),
resumed AS (
    UPDATE cron_triggers AS t
    SET
        is_paused = FALSE,
        set_aside_reason = NULL,
        next_fire_at = :unseen,
        counted_from = :now,
        revision = t.revision + 1,
        updated_at = greatest(t.updated_at, :now)
    FROM locked
    WHERE t.workflow_id = locked.id AND (t.is_paused OR t.set_aside_reason IS NOT NULL)
    RETURNING t.workflow_id
)
UPDATE workflows
SET updated_at = greatest(updated_at, :now), audit_log = audit_log || :event::jsonb
FROM resumed
WHERE id = resumed.workflow_id
RETURNING id;

-- name: list_schedules(after_at, after_id, limit)
-- List all schedules in the order of their making, for an operator.
-- Returns: StoredSchedule
-- Index: ix_cron_triggers__created in order
-- Differs: SQLite takes CROSS JOIN in the order that is written, whatever its statistics say of a smaller database.
SELECT
    t.workflow_id, w.name AS workflow_name, t.config::text,
    CASE
        WHEN t.is_suspended THEN 'suspended'
        WHEN t.is_paused THEN 'paused'
        WHEN t.set_aside_reason IS NOT NULL THEN 'set_aside'
        WHEN t.next_fire_at IS NULL THEN 'ended'
        ELSE 'active'
    END AS state,
    t.set_aside_reason AS reason, t.next_fire_at, t.last_dispatched_at, t.created_at, t.updated_at
FROM cron_triggers AS t
INNER JOIN workflows AS w ON w.id = t.workflow_id
WHERE (t.created_at, t.workflow_id) > (:after_at, :after_id)
ORDER BY t.created_at, t.workflow_id
LIMIT :limit;
