-- Run histories, one for every tenth run, with ten steps each, so :scale steps. Search over steps is off by default, so
-- there is none. Ids: see workflows.sql; 4004 are executions, 4001 the workflows they say they are of.

-- Of each 100 executions 90 have completed, 5 failed, 3 were cancelled and 2 run.
CREATE TEMPORARY TABLE seeded_histories (
    number bigint PRIMARY KEY,
    execution_id text NOT NULL,
    workflow_number bigint NOT NULL,
    workflow_id text NOT NULL,
    status text NOT NULL
);

INSERT INTO seeded_histories (number, execution_id, workflow_number, workflow_id, status)
SELECT
    number,
    lpad(to_hex(number * 2654435761 & 4294967295), 8, '0')
    || '-' || lpad(to_hex(number * 2654435761 >> 32 & 65535), 4, '0')
    || '-4004-8000-' || lpad(to_hex(number), 12, '0'),
    workflow_number,
    lpad(to_hex(workflow_number * 2654435761 & 4294967295), 8, '0')
    || '-' || lpad(to_hex(workflow_number * 2654435761 >> 32 & 65535), 4, '0')
    || '-4001-8000-' || lpad(to_hex(workflow_number), 12, '0'),
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
    FROM (
        SELECT number, greatest(20, :scale::bigint / 200) AS workflows
        FROM generate_series(1, :scale::bigint / 10) AS number
    ) AS numbered
) AS spread;

ANALYZE seeded_histories;

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
    timestamptz '2025-01-01 00:00:00+00' + number * interval '10 seconds',
    CASE WHEN status <> 'running' THEN timestamptz '2025-01-01 00:00:11+00' + number * interval '10 seconds' END,
    replace(execution_id, '-', ''),
    timestamptz '2025-01-01 00:00:00+00' + number * interval '10 seconds',
    CASE WHEN status <> 'running' THEN timestamptz '2025-01-01 00:00:11+00' + number * interval '10 seconds' END,
    timestamptz '2025-01-01 00:00:10+00' + number * interval '10 seconds',
    10
FROM seeded_histories
ORDER BY number;

INSERT INTO run_history_inputs (execution_id, tags, callbacks, metadata, runnable_config, inputs)
SELECT
    execution_id,
    '["production"]'::json,
    '[]'::json,
    ('{"tenant":"t-' || (workflow_number % 50) || '"}')::json,
    (
        '{"tags":["production"],"metadata":{"tenant":"t-' || (workflow_number % 50) || '"},"run_name":"Triage '
        || workflow_number || '"}'
    )::json,
    (
        '{"customer":{"id":' || number || '},"message":"Where is the order ORD' || number
        || '? It was due on Monday.","channel":"email"}'
    )::json
FROM seeded_histories
ORDER BY number;

INSERT INTO run_history_steps (execution_id, step_index, at, payload)
SELECT
    h.execution_id,
    n.number % 10,
    timestamptz '2025-01-01 00:00:11+00' + n.number * interval '1 second',
    (
        '{"node":"' || CASE n.number % 5
            WHEN 0 THEN 'classify' WHEN 1 THEN 'orders' WHEN 2 THEN 'draft' WHEN 3 THEN 'approve' ELSE 'reply'
        END
        || '","status":"done","output":{"text":"The order ORD' || h.number
        || ' was sent on Friday and will arrive tomorrow.","team":"delivery"},"usage":{"prompt":'
        || (200 + n.number % 701) || ',"completion":' || (20 + n.number % 97) || '}}'
    )::json
FROM generate_series(0, :scale::bigint / 10 * 10 - 1) AS n (number)
INNER JOIN seeded_histories AS h ON h.number = 1 + n.number / 10
ORDER BY n.number;

DROP TABLE seeded_histories;
