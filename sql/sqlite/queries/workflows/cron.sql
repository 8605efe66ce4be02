-- Cron schedules. A dispatcher lists what is due, computes in Python what is to fire, and fires it: each change asks
-- for the schedule and its revision that were listed, so that of any number of dispatchers one gets it, and the others
-- change nothing. The revision alone would not do: a schedule that is deleted and made anew counts from 1 again.

-- name: get_schedule(workflow_id)^
-- Get the schedule of a workflow.
-- Returns: StoredSchedule
-- Index: sqlite_autoindex_cron_triggers_1
SELECT
    t.workflow_id, w.name AS workflow_name, t.config,
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
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
INSERT INTO cron_triggers (
    workflow_id, schedule_id, config, allow_overlapping, next_fire_at, counted_from, is_paused, is_suspended,
    revision, created_at, updated_at
)
SELECT id, :schedule_id, :config, :allow_overlapping, :unseen, :now, 0, is_archived, 1, :now, :now
FROM workflows
WHERE id = :workflow_id
ON CONFLICT (workflow_id) DO UPDATE
SET
    config = excluded.config,
    allow_overlapping = excluded.allow_overlapping,
    next_fire_at = excluded.next_fire_at,
    counted_from = excluded.counted_from,
    is_suspended = excluded.is_suspended,
    set_aside_reason = NULL,
    revision = revision + 1,
    updated_at = max(updated_at, excluded.updated_at)
WHERE config <> excluded.config OR set_aside_reason IS NOT NULL
RETURNING workflow_id;

UPDATE workflows
SET updated_at = max(updated_at, :now), audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :workflow_id;

-- name: delete_cron_trigger(workflow_id, now, event)$
-- Remove a workflow's schedule and record that in the workflow; no row when it has none.
-- Returns: UUID
-- Index: sqlite_autoindex_cron_triggers_1
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
DELETE FROM cron_triggers WHERE workflow_id = :workflow_id RETURNING workflow_id;

UPDATE workflows
SET updated_at = max(updated_at, :now), audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :workflow_id;

-- name: list_due_schedules(now, after_at, after_created, after_id, limit)
-- List the schedules to look at: due, or never looked at, in the order of their due time and of their making. Left out
-- are those that forbid overlap and whose last run has not ended. The config is text: one that can't be read must not
-- hide the others.
-- Returns: DueSchedule
-- Index: ix_cron_triggers__due in order, ix_workflow_runs__unfinished_scheduled
-- Plan: custom
-- Differs: SQLite takes CROSS JOIN in the order that is written, whatever its statistics say of a smaller database.
SELECT
    t.workflow_id, t.schedule_id, t.config, t.next_fire_at, t.counted_from, t.revision,
    t.created_at, v.id IS NOT NULL AS has_version
FROM cron_triggers AS t
CROSS JOIN workflows AS w ON w.id = t.workflow_id
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
-- Index: sqlite_autoindex_cron_triggers_1
UPDATE cron_triggers
SET next_fire_at = :next_fire_at, revision = revision + 1
WHERE workflow_id = :workflow_id AND schedule_id = :schedule_id AND revision = :revision;

-- name: fire_schedule(id, workflow_id, schedule_id, revision, scheduled_for, next_fire_at, input_payload, now, event, search_text)^
-- Create the run of one occurrence, of the version that is the latest now, and move the schedule on.
-- No row when another dispatcher has changed the schedule, its last run has not ended and it forbids overlap, the
-- occurrence has had its run, or the workflow is archived or has no version.
-- Returns: WorkflowRun
-- Null: next_fire_at (it will never fire again)
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
    is_handed_off, schedule_id, scheduled_for
)
SELECT
    :id, w.id, v.id, 'pending', 'cron', :now, :now, json_array(json(:event)),
    (SELECT max(p.number) FROM retry_policies AS p WHERE p.workflow_id = w.id),
    1, t.schedule_id, :scheduled_for
FROM workflows AS w
INNER JOIN workflow_versions AS v ON v.workflow_id = w.id AND v.version = w.latest_version
INNER JOIN cron_triggers AS t ON t.workflow_id = w.id
WHERE
    w.id = :workflow_id AND NOT w.is_archived AND t.schedule_id = :schedule_id AND t.revision = :revision
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
RETURNING
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by,
    :input_payload AS input_payload,
    (
        SELECT v.default_run_config FROM workflow_versions AS v WHERE v.id = workflow_runs.workflow_version_id
    ) AS runnable_config,
    NULL AS output_payload, started_at, completed_at, error;

UPDATE cron_triggers
SET next_fire_at = :next_fire_at, last_dispatched_at = :scheduled_for, revision = revision + 1
WHERE workflow_id = :workflow_id;

INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
SELECT r.run_number, :input_payload, v.default_run_config
FROM workflow_runs AS r
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id
WHERE r.id = :id;

INSERT INTO workflow_run_search (run_number, search_text)
SELECT r.run_number, :search_text || v.default_run_text
FROM workflow_runs AS r
INNER JOIN workflow_versions AS v ON v.id = r.workflow_version_id
WHERE r.id = :id;

INSERT INTO run_outbox (run_id, available_at, attempts, created_at) VALUES (:id, :now, 0, :now);

-- name: pass_occurrence(workflow_id, schedule_id, revision, scheduled_for, next_fire_at)!
-- Move a schedule on from an occurrence that has had its run.
-- Null: next_fire_at (it will never fire again)
-- Index: sqlite_autoindex_cron_triggers_1
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
-- Index: sqlite_autoindex_cron_triggers_1
UPDATE cron_triggers
SET set_aside_reason = :reason, revision = revision + 1, updated_at = max(updated_at, :now)
WHERE workflow_id = :workflow_id AND schedule_id = :schedule_id AND revision = :revision;

-- name: pause_schedule(workflow_id, now, event)$
-- Pause a schedule and record that in the workflow; no row when there is none, or it is paused.
-- Returns: UUID
-- Index: sqlite_autoindex_cron_triggers_1
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
UPDATE cron_triggers
SET is_paused = 1, revision = revision + 1, updated_at = max(updated_at, :now)
WHERE workflow_id = :workflow_id AND NOT is_paused
RETURNING workflow_id;

UPDATE workflows
SET updated_at = max(updated_at, :now), audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :workflow_id;

-- name: resume_schedule(workflow_id, unseen, now, event)$
-- Resume a schedule that is paused or set aside, from now on, and record that in the workflow; no row when it is
-- neither.
-- Returns: UUID
-- Index: sqlite_autoindex_cron_triggers_1
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
UPDATE cron_triggers
SET
    is_paused = 0,
    set_aside_reason = NULL,
    next_fire_at = :unseen,
    counted_from = :now,
    revision = revision + 1,
    updated_at = max(updated_at, :now)
WHERE workflow_id = :workflow_id AND (is_paused OR set_aside_reason IS NOT NULL)
RETURNING workflow_id;

UPDATE workflows
SET updated_at = max(updated_at, :now), audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :workflow_id;

-- name: list_schedules(after_at, after_id, limit)
-- List all schedules in the order of their making, for an operator.
-- Returns: StoredSchedule
-- Index: ix_cron_triggers__created in order
-- Differs: SQLite takes CROSS JOIN in the order that is written, whatever its statistics say of a smaller database.
SELECT
    t.workflow_id, w.name AS workflow_name, t.config,
    CASE
        WHEN t.is_suspended THEN 'suspended'
        WHEN t.is_paused THEN 'paused'
        WHEN t.set_aside_reason IS NOT NULL THEN 'set_aside'
        WHEN t.next_fire_at IS NULL THEN 'ended'
        ELSE 'active'
    END AS state,
    t.set_aside_reason AS reason, t.next_fire_at, t.last_dispatched_at, t.created_at, t.updated_at
FROM cron_triggers AS t
CROSS JOIN workflows AS w ON w.id = t.workflow_id
WHERE (t.created_at, t.workflow_id) > (:after_at, :after_id)
ORDER BY t.created_at, t.workflow_id
LIMIT :limit;
