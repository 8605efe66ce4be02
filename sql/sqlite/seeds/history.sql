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
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 12000
),
histories (n, status) AS (
    SELECT
        n,
        CASE
            WHEN n % 40 = 0 THEN 'running' WHEN n % 10 = 1 THEN 'error' WHEN n % 20 = 2 THEN 'cancelled'
            ELSE 'completed'
        END
    FROM numbers
)
SELECT
    'execution ' || n,
    'traced ' || CASE WHEN n % 2 = 0 THEN 3 ELSE n % 200 END,
    CASE WHEN n % 5 = 0 THEN 'Nightly ' || n END,
    status,
    CASE status WHEN 'error' THEN 'Step 2 timed out' WHEN 'cancelled' THEN 'Not needed' END,
    strftime('%Y-%m-%dT%H:%M:%S', 1738368000 + n * 60, 'unixepoch') || '.000000Z',
    CASE
        WHEN status <> 'running' THEN strftime('%Y-%m-%dT%H:%M:%S', 1738368009 + n * 60, 'unixepoch') || '.000000Z'
    END,
    'trace ' || n,
    strftime('%Y-%m-%dT%H:%M:%S', 1738368000 + n * 60, 'unixepoch') || '.000000Z',
    CASE
        WHEN status <> 'running' THEN strftime('%Y-%m-%dT%H:%M:%S', 1738368009 + n * 60, 'unixepoch') || '.000000Z'
    END,
    strftime('%Y-%m-%dT%H:%M:%S', 1738368009 + n * 60, 'unixepoch') || '.000000Z',
    CASE WHEN n = 1 THEN 9000 WHEN n <= 3000 THEN 3 ELSE 0 END
FROM histories;

INSERT INTO run_history_inputs (execution_id, tags, callbacks, metadata, runnable_config, inputs)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 12000
)
SELECT
    'execution ' || n,
    '["nightly"]',
    '[]',
    printf('{"tenant":"t-%d"}', n % 50),
    printf('{"tags":["nightly"],"metadata":{"tenant":"t-%d"}}', n % 50),
    printf('{"order":%d,"note":"%s"}', n, replace(printf('%20s', ''), ' ', 'Please look at this one soon. '))
FROM numbers;

INSERT INTO run_history_steps (execution_id, step_index, at, payload)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 12000
)
SELECT
    'execution ' || numbers.n,
    steps.n - 1,
    strftime('%Y-%m-%dT%H:%M:%S', 1738368000 + numbers.n * 60 + (steps.n - 1) * 3, 'unixepoch') || '.000000Z',
    printf(
        '{"node":"node%d","text":"%s"}', steps.n - 1,
        replace(printf('%10s', ''), ' ', 'The answer to order ' || numbers.n || '. ')
    )
FROM numbers
INNER JOIN numbers AS steps ON steps.n <= iif(numbers.n = 1, 9000, 3)
WHERE numbers.n <= 3000;

INSERT INTO run_history_search (execution_id, step_index, search_text)
SELECT
    execution_id,
    step_index,
    printf('node%d %s the answer to order rare%d', step_index, char(57344), substr(execution_id, 11) % 1000)
FROM run_history_steps;
