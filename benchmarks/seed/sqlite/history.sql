-- Run histories, one for every tenth run, with ten steps each, so :scale steps. Search over steps is off by default, so
-- there is none. Ids: see workflows.sql; 4004 are executions, 4001 the workflows they say they are of.

-- Of each 100 executions 90 have completed, 5 failed, 3 were cancelled and 2 run.
CREATE TEMPORARY TABLE seeded_histories (
    number INTEGER PRIMARY KEY,
    execution_id TEXT NOT NULL,
    workflow_number INTEGER NOT NULL,
    workflow_id TEXT NOT NULL,
    status TEXT NOT NULL
);

INSERT INTO seeded_histories (number, execution_id, workflow_number, workflow_id, status)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < :scale / 10
)
SELECT
    number,
    printf(
        '%08x-%04x-4004-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
    ),
    workflow_number,
    printf(
        '%08x-%04x-4001-8000-%012x',
        workflow_number * 2654435761 & 4294967295, workflow_number * 2654435761 >> 32 & 65535, workflow_number
    ),
    CASE
        WHEN number * 37 % 100 < 90 THEN 'completed'
        WHEN number * 37 % 100 < 95 THEN 'error'
        WHEN number * 37 % 100 < 98 THEN 'cancelled'
        ELSE 'running'
    END
FROM (
    SELECT
        number,
        1 + ((number - 1) % workflows + (number - 1) / workflows * 37) % workflows AS workflow_number
    FROM (SELECT number, max(20, :scale / 200) AS workflows FROM numbers) AS numbered
) AS spread;

-- One begins every ten seconds, and has a step in each of the ten seconds.
INSERT INTO run_history (
    execution_id, workflow_id, run_name, status, error, started_at, completed_at, trace_id, trace_started_at,
    trace_completed_at, trace_last_span_at, step_count
)
SELECT
    execution_id,
    workflow_id,
    'Triage ' || workflow_number,
    status,
    CASE status
        WHEN 'error' THEN 'The step answer timed out after 30 seconds'
        WHEN 'cancelled' THEN 'A newer request takes its place'
    END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + 10 * number, 'unixepoch'),
    CASE
        WHEN status <> 'running'
            THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689611 + 10 * number, 'unixepoch')
    END,
    replace(execution_id, '-', ''),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + 10 * number, 'unixepoch'),
    CASE
        WHEN status <> 'running'
            THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689611 + 10 * number, 'unixepoch')
    END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689610 + 10 * number, 'unixepoch'),
    10
FROM seeded_histories
ORDER BY number;

INSERT INTO run_history_inputs (execution_id, tags, callbacks, metadata, runnable_config, inputs)
SELECT
    execution_id,
    '["production"]',
    '[]',
    '{"tenant":"t-' || (workflow_number % 50) || '"}',
    '{"tags":["production"],"metadata":{"tenant":"t-' || (workflow_number % 50) || '"},"run_name":"Triage '
    || workflow_number || '"}',
    '{"customer":{"id":' || number || '},"message":"Where is the order ORD' || number
    || '? It was due on Monday.","channel":"email"}'
FROM seeded_histories
ORDER BY number;

INSERT INTO run_history_steps (execution_id, step_index, at, payload)
WITH RECURSIVE numbers (number) AS (
    SELECT 0
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number + 1 < :scale / 10 * 10
)
SELECT
    h.execution_id,
    n.number % 10,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689611 + n.number, 'unixepoch'),
    '{"node":"' || CASE n.number % 5
        WHEN 0 THEN 'classify' WHEN 1 THEN 'orders' WHEN 2 THEN 'draft' WHEN 3 THEN 'approve' ELSE 'reply'
    END
    || '","status":"done","output":{"text":"The order ORD' || h.number
    || ' was sent on Friday and will arrive tomorrow.","team":"delivery"},"usage":{"prompt":'
    || (200 + n.number % 701) || ',"completion":' || (20 + n.number % 97) || '}}'
FROM numbers AS n
INNER JOIN seeded_histories AS h ON h.number = 1 + n.number / 10
ORDER BY n.number;

DROP TABLE seeded_histories;
