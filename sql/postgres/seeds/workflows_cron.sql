-- Schedules of 1900 of the workflows, a few of them due at any time; every 13th is paused, every 17th set aside. Ids
-- count: 00000008-… schedules. Every 50th run is one of its workflow's schedule.

-- sample: schedule_id = "00000008-0000-4000-8000-000000000001"
-- sample: put_cron_trigger.schedule_id = "00000008-0000-4000-8000-00000000ffff"
-- sample: config = {"expression": "0 9 * * *"}
-- sample: allow_overlapping = true
-- sample: unseen = "0001-01-01T00:00:00.000000Z"
-- sample: revision = 1
-- sample: list_due_schedules.now = "2025-03-02T00:00:00.000000Z"
-- sample: list_due_schedules.after_at = "0001-01-01T00:00:00.000000Z"
-- sample: list_due_schedules.after_created = "0001-01-01T00:00:00.000000Z"
-- sample: list_due_schedules.after_id = "00000000-0000-0000-0000-000000000000"
-- sample: scheduled_for = "2026-03-02T00:00:00.000000Z"
-- sample: next_fire_at = "2026-03-03T00:00:00.000000Z"
-- sample: get_schedule.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: pass_occurrence.workflow_id = "00000001-0000-4000-8000-000000000102"
-- sample: pass_occurrence.schedule_id = "00000008-0000-4000-8000-000000000102"
-- sample: pass_occurrence.scheduled_for = "2025-02-01T04:16:00.000000Z"
-- sample: put_cron_trigger.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: delete_cron_trigger.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: pause_schedule.workflow_id = "00000001-0000-4000-8000-000000000002"
-- sample: resume_schedule.workflow_id = "00000001-0000-4000-8000-00000000000d"

INSERT INTO cron_triggers (
    workflow_id, schedule_id, config, allow_overlapping, next_fire_at, counted_from, last_dispatched_at, is_paused,
    is_suspended, set_aside_reason, revision, created_at, updated_at
)
SELECT
    ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000008-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    '{"expression":"0 9 * * *","timezone":"UTC"}'::json,
    n % 2 = 1,
    timestamptz '2025-03-01 00:00:00+00' + n * interval '1 hour',
    timestamptz '2025-03-01 00:00:00+00',
    NULL,
    n % 13 = 0,
    n % 10 = 0,
    CASE WHEN n % 17 = 0 THEN 'ValueError: a reason' END,
    1,
    timestamptz '2025-03-01 00:00:00+00' + n * interval '1 second',
    timestamptz '2025-03-01 00:00:00+00' + n * interval '1 second'
FROM generate_series(1, 1900) AS n;

UPDATE workflow_runs
SET
    schedule_id = ('00000008-0000-4000-8000-' || right(workflow_id::text, 12))::uuid,
    scheduled_for = created_at
WHERE right(id::text, 2) IN ('00', '32', '64', '96', 'c8');
