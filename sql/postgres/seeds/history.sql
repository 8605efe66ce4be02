-- 12000 histories, half of them of one workflow; one of forty still runs. The first 3000 have three steps each, but the
-- very first 9000.

-- sample: workflow_id = "traced 3"
-- sample: execution_id = "execution 2003"
-- sample: start_history.execution_id = "a new one"
-- sample: end_history.execution_id = "execution 40"
-- sample: finish_history.execution_id = "execution 80"
-- sample: list_steps.execution_id = "execution 1"
-- sample: search_steps.execution_id = null
-- sample: search_steps.workflow_id = null
-- sample: execution_ids = ["execution 1", "execution 2"]
-- sample: status = "completed"
-- sample: finished_before = "2025-02-01T10:00:00.000000Z"
-- sample: before_index = 0
-- sample: after_index = 100
-- sample: tags = ["nightly"]
-- sample: callbacks = []
-- sample: metadata = {}
-- sample: runnable_config = {}
-- sample: inputs = {"order": 7}
-- sample: payload = {"node": "answer"}
-- sample: search_text = "answer"
-- sample: search = "rare7"
-- sample: trace_started_at = "2026-01-02T03:04:05.000006Z"

INSERT INTO run_history (
    execution_id, workflow_id, run_name, status, error, started_at, completed_at, trace_id, trace_started_at,
    trace_completed_at, trace_last_span_at, step_count
)
SELECT
    'execution ' || n,
    'traced ' || CASE WHEN n % 2 = 0 THEN 3 ELSE n % 200 END,
    CASE WHEN n % 5 = 0 THEN 'Nightly ' || n END,
    status,
    CASE status WHEN 'error' THEN 'Step 2 timed out' WHEN 'cancelled' THEN 'Not needed' END,
    timestamptz '2025-02-01 00:00:00+00' + n * interval '1 minute',
    CASE WHEN status <> 'running' THEN timestamptz '2025-02-01 00:00:09+00' + n * interval '1 minute' END,
    'trace ' || n,
    timestamptz '2025-02-01 00:00:00+00' + n * interval '1 minute',
    CASE WHEN status <> 'running' THEN timestamptz '2025-02-01 00:00:09+00' + n * interval '1 minute' END,
    timestamptz '2025-02-01 00:00:09+00' + n * interval '1 minute',
    CASE WHEN n = 1 THEN 9000 WHEN n <= 3000 THEN 3 ELSE 0 END
FROM (
    SELECT
        n,
        CASE
            WHEN n % 40 = 0 THEN 'running' WHEN n % 10 = 1 THEN 'error' WHEN n % 20 = 2 THEN 'cancelled'
            ELSE 'completed'
        END AS status
    FROM generate_series(1, 12000) AS n
) AS history;

INSERT INTO run_history_inputs (execution_id, tags, callbacks, metadata, runnable_config, inputs)
SELECT
    'execution ' || n,
    '["nightly"]'::json,
    '[]'::json,
    format('{"tenant":"t-%s"}', n % 50)::json,
    format('{"tags":["nightly"],"metadata":{"tenant":"t-%s"}}', n % 50)::json,
    format('{"order":%s,"note":"%s"}', n, repeat('Please look at this one soon. ', 20))::json
FROM generate_series(1, 12000) AS n;

INSERT INTO run_history_steps (execution_id, step_index, at, payload)
SELECT
    'execution ' || n,
    step,
    timestamptz '2025-02-01 00:00:00+00' + n * interval '1 minute' + step * interval '3 seconds',
    format('{"node":"node%s","text":"%s"}', step, repeat('The answer to order ' || n || '. ', 10))::json
FROM generate_series(1, 3000) AS n
CROSS JOIN generate_series(0, CASE WHEN n = 1 THEN 8999 ELSE 2 END) AS step;

-- One step has more distinct words than a tsvector holds.
INSERT INTO run_history_search (execution_id, step_index, search_text)
SELECT
    'execution ' || n,
    step,
    format('node%s %s the answer to order rare%s', step, chr(57344), n % 1000)
    || CASE
        WHEN n = 7 AND step = 0
            THEN (SELECT string_agg(' ' || lpad(to_hex(k), 32, '0'), '' ORDER BY k) FROM generate_series(1, 32000) AS k)
        ELSE ''
    END
FROM generate_series(1, 3000) AS n
CROSS JOIN generate_series(0, CASE WHEN n = 1 THEN 8999 ELSE 2 END) AS step;
