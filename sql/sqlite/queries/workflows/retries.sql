-- Retries: policies, decisions to try a failed run again, and the runs that do. A chain counts from its first run.

-- name: get_retry_policy(workflow_id)^
-- Get the retry policy of a workflow, null when it has none of its own; no row when the workflow is missing.
-- Returns: StoredRetryPolicy
-- Index: sqlite_autoindex_workflows_1, sqlite_autoindex_retry_policies_1
SELECT
    (
        SELECT p.config FROM retry_policies AS p
        WHERE p.workflow_id = w.id
        ORDER BY p.number DESC
        LIMIT 1
    ) AS config
FROM workflows AS w
WHERE w.id = :workflow_id;

-- name: put_retry_policy(workflow_id, config, now, event)$
-- Give a workflow its next retry policy and record that in the workflow. Runs that exist keep theirs.
-- No row when the workflow is missing, or has this policy already.
-- Returns: UUID
-- Conflict: sqlite_autoindex_retry_policies_1 in a race, when another one is put at the same time.
-- Differs: SQLite writes the two rows with two statements, PostgreSQL in a CTE.
INSERT INTO retry_policies (workflow_id, number, config, created_at)
SELECT
    w.id, (SELECT coalesce(max(p.number), 0) + 1 FROM retry_policies AS p WHERE p.workflow_id = w.id), :config, :now
FROM workflows AS w
WHERE
    w.id = :workflow_id
    AND :config <> coalesce(
        (
            SELECT p.config FROM retry_policies AS p
            WHERE p.workflow_id = w.id
            ORDER BY p.number DESC
            LIMIT 1
        ), ''
    )
RETURNING workflow_id;

UPDATE workflows
SET updated_at = max(updated_at, :now), audit_log = json_insert(audit_log, '$[#]', json(:event))
WHERE id = :workflow_id;

-- name: get_retry_state(run_id)^
-- Tell what a decision to try a run again depends on: the policy it was created under, and the decisions of its chain.
-- Returns: RetryState
-- Index: sqlite_autoindex_workflow_runs_1
SELECT
    r.status, p.config AS policy,
    coalesce(own.first_run_id, r.id) AS first_run_id,
    (
        SELECT coalesce(max(d.retry_number), 0) FROM workflow_run_retries AS d
        WHERE d.first_run_id = coalesce(own.first_run_id, r.id)
    ) AS decisions,
    (
        SELECT max(d.retry_number) FROM workflow_run_retries AS d
        WHERE d.failed_run_id = r.id AND d.status = 'done'
    ) IS NOT NULL AS is_retried
FROM workflow_runs AS r
LEFT JOIN workflow_run_retries AS own ON own.run_id = r.id
LEFT JOIN retry_policies AS p ON p.workflow_id = r.workflow_id AND p.number = r.retry_policy
WHERE r.id = :run_id;

-- name: insert_retry(first_run_id, retry_number, failed_run_id, scheduled_for, delay_seconds, now)$
-- Decide to try a run again; a decision about it that still waits gives way. No row when it has been tried again, or
-- others decide or dispatch at the same time: then it has to be looked at anew.
-- Returns: int
-- Conflict: uq_workflow_run_retries__standing in a race, when another one decides at the same time.
-- Differs: SQLite writes with two statements, PostgreSQL with a CTE.
UPDATE workflow_run_retries
SET status = 'superseded'
WHERE
    failed_run_id = :failed_run_id AND status = 'waiting' AND retry_number < :retry_number
    AND NOT EXISTS (
        SELECT 1 FROM workflow_run_retries AS taken
        WHERE taken.first_run_id = :first_run_id AND taken.retry_number = :retry_number
    );

INSERT INTO workflow_run_retries (
    first_run_id, retry_number, failed_run_id, scheduled_for, delay_seconds, status, created_at
)
SELECT :first_run_id, :retry_number, :failed_run_id, :scheduled_for, :delay_seconds, 'waiting', :now
WHERE
    NOT EXISTS (
        SELECT 1 FROM workflow_run_retries AS d
        WHERE d.failed_run_id = :failed_run_id AND d.status IN ('waiting', 'done')
    )
ON CONFLICT (first_run_id, retry_number) DO NOTHING
RETURNING retry_number;

-- name: list_due_retries(now, after_at, after_id, after_number, limit)
-- List the decisions that are due and whose run has ended, of workflows that are not archived. Left out are those whose
-- schedule forbids overlap while a run of it has not ended.
-- Returns: DueRetry
-- Index: ix_workflow_run_retries__due in order
-- Differs: SQLite takes CROSS JOIN in the order that is written, whatever its statistics say of a smaller database.
SELECT
    d.first_run_id, d.retry_number, d.failed_run_id, d.scheduled_for, f.workflow_id, f.status, i.input_payload,
    i.runnable_config, t.revision AS schedule_revision
FROM workflow_run_retries AS d
CROSS JOIN workflow_runs AS f ON f.id = d.failed_run_id
CROSS JOIN workflows AS w ON w.id = f.workflow_id
CROSS JOIN workflow_run_inputs AS i ON i.run_number = f.run_number
LEFT JOIN cron_triggers AS t ON t.workflow_id = f.workflow_id AND t.schedule_id = f.schedule_id
WHERE
    d.status = 'waiting' AND d.scheduled_for <= :now
    AND (d.scheduled_for, d.first_run_id, d.retry_number) > (:after_at, :after_id, :after_number)
    AND +f.status IN ('succeeded', 'failed', 'cancelled')
    AND NOT w.is_archived
    AND (
        t.revision IS NULL
        OR t.allow_overlapping
        OR NOT EXISTS (
            SELECT 1 FROM workflow_runs AS other
            WHERE other.schedule_id = f.schedule_id AND other.status IN ('pending', 'running')
        )
    )
ORDER BY d.scheduled_for, d.first_run_id, d.retry_number
LIMIT :limit;

-- name: drop_retry(first_run_id, retry_number)!
-- Give up a decision whose run did not fail after all.
-- Index: sqlite_autoindex_workflow_run_retries_2
UPDATE workflow_run_retries
SET status = 'dropped'
WHERE first_run_id = :first_run_id AND retry_number = :retry_number AND status = 'waiting';

-- name: dispatch_retry(id, first_run_id, retry_number, schedule_revision, now, event, search_text)^
-- Create the run that tries a failed one again: same version, input, config and policy, linked by its decision.
-- No row when another dispatcher has done so, the run has not failed, its workflow is archived, or (given a revision)
-- its schedule has changed: a run of it may have begun, or it may forbid overlap now.
-- Returns: WorkflowRun
-- Null: schedule_revision (it has no schedule, or one that is gone)
-- Differs: SQLite writes each table with a statement of its own, PostgreSQL in CTEs.
INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, created_at, updated_at, audit_log, retry_policy,
    is_handed_off, schedule_id
)
SELECT
    :id, f.workflow_id, f.workflow_version_id, 'pending', 'retry', :now, :now, json_array(json(:event)),
    f.retry_policy, 1, f.schedule_id
FROM workflow_run_retries AS d
INNER JOIN workflow_runs AS f ON f.id = d.failed_run_id
INNER JOIN workflows AS w ON w.id = f.workflow_id
WHERE
    d.first_run_id = :first_run_id AND d.retry_number = :retry_number AND d.status = 'waiting'
    AND f.status = 'failed' AND NOT w.is_archived
    AND (
        :schedule_revision IS NULL
        OR EXISTS (
            SELECT 1 FROM cron_triggers AS t
            WHERE
                t.workflow_id = f.workflow_id AND t.schedule_id = f.schedule_id AND t.revision = :schedule_revision
        )
    )
RETURNING
    id, created_at, updated_at, audit_log, workflow_version_id, status, triggered_by,
    (
        SELECT i.input_payload
        FROM workflow_run_retries AS d
        INNER JOIN workflow_runs AS f ON f.id = d.failed_run_id
        INNER JOIN workflow_run_inputs AS i ON i.run_number = f.run_number
        WHERE d.first_run_id = :first_run_id AND d.retry_number = :retry_number
    ) AS input_payload,
    (
        SELECT i.runnable_config
        FROM workflow_run_retries AS d
        INNER JOIN workflow_runs AS f ON f.id = d.failed_run_id
        INNER JOIN workflow_run_inputs AS i ON i.run_number = f.run_number
        WHERE d.first_run_id = :first_run_id AND d.retry_number = :retry_number
    ) AS runnable_config,
    NULL AS output_payload, started_at, completed_at, error;

UPDATE workflow_run_retries
SET status = 'done', run_id = :id
WHERE first_run_id = :first_run_id AND retry_number = :retry_number;

UPDATE cron_triggers
SET revision = revision + iif(allow_overlapping, 0, 1)
WHERE revision = :schedule_revision AND workflow_id = (SELECT r.workflow_id FROM workflow_runs AS r WHERE r.id = :id);

INSERT INTO workflow_run_inputs (run_number, input_payload, runnable_config)
SELECT r.run_number, i.input_payload, i.runnable_config
FROM workflow_run_retries AS d
INNER JOIN workflow_runs AS r ON r.id = d.run_id
INNER JOIN workflow_runs AS f ON f.id = d.failed_run_id
INNER JOIN workflow_run_inputs AS i ON i.run_number = f.run_number
WHERE d.first_run_id = :first_run_id AND d.retry_number = :retry_number;

INSERT INTO workflow_run_search (run_number, search_text)
SELECT r.run_number, :search_text FROM workflow_runs AS r WHERE r.id = :id;

INSERT INTO run_outbox (run_id, available_at, attempts, created_at) VALUES (:id, :now, 0, :now);

-- name: list_run_retries(run_id)
-- List the decisions of the chain that a run belongs to, in their order.
-- Returns: RunRetry
-- Index: sqlite_autoindex_workflow_run_retries_2
SELECT
    d.first_run_id, d.retry_number, d.failed_run_id, d.run_id, d.status, d.scheduled_for, d.delay_seconds, d.created_at
FROM workflow_run_retries AS d
WHERE
    d.first_run_id = coalesce(
        (SELECT own.first_run_id FROM workflow_run_retries AS own WHERE own.run_id = :run_id), :run_id
    )
ORDER BY d.retry_number;
