-- Snapshots of an orchestrator's runs, one for every tenth run: of each ten, seven are complete, two run and one has
-- failed. Ids: see workflows.sql; 4007 are snapshots.

CREATE TEMPORARY TABLE seeded_snapshots (
    number INTEGER PRIMARY KEY,
    run_id TEXT NOT NULL,
    status TEXT NOT NULL,
    third TEXT NOT NULL,
    rest TEXT NOT NULL,
    objective TEXT NOT NULL
);

-- Six tasks each. The first two are done; how the third stands, and the rest, goes with the status.
INSERT INTO seeded_snapshots (number, run_id, status, third, rest, objective)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < :scale / 10
)
SELECT
    number,
    printf(
        '%08x-%04x-4007-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
    ),
    status,
    CASE status WHEN 'complete' THEN 'complete' WHEN 'running' THEN 'active' ELSE 'failed' END,
    CASE status WHEN 'complete' THEN 'complete' ELSE 'planned' END,
    'Refactor module ' || number || ' of the ' || CASE number % 7
        WHEN 0 THEN 'billing' WHEN 1 THEN 'search' WHEN 2 THEN 'delivery' WHEN 3 THEN 'account'
        WHEN 4 THEN 'catalogue' WHEN 5 THEN 'payment' ELSE 'reporting'
    END || ' service'
FROM (
    SELECT
        number,
        CASE
            WHEN number * 3 % 10 < 7 THEN 'complete' WHEN number * 3 % 10 < 9 THEN 'running' ELSE 'failed'
        END AS status
    FROM numbers
) AS snapshot;

INSERT INTO run_snapshots (
    run_id, thread_id, objective, status, workspace_path, task_counts, tags, created_at, updated_at
)
SELECT
    run_id,
    run_id,
    objective,
    status,
    '/srv/workspaces/' || number,
    CASE status
        WHEN 'complete' THEN '{"planned":0,"ready":0,"active":0,"complete":6,"failed":0}'
        WHEN 'running' THEN '{"planned":3,"ready":0,"active":1,"complete":2,"failed":0}'
        ELSE '{"planned":3,"ready":0,"active":0,"complete":2,"failed":1}'
    END,
    '["nightly","team-' || (number % 40) || '"]',
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + 10 * number, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689660 + 10 * number, 'unixepoch')
FROM seeded_snapshots
ORDER BY number;

INSERT INTO run_snapshot_states (run_id, state)
SELECT
    run_id,
    '{"run_id":"' || run_id || '","objective":"' || objective || '","round":' || (number % 50)
    || ',"tags":["nightly","team-' || (number % 40) || '"],"tasks":{'
    || '"t1":{"status":"complete","title":"Read the module","notes":"Twelve functions, four without a test."},'
    || '"t2":{"status":"complete","title":"Write the tests","notes":"They pass before anything is changed."},'
    || '"t3":{"status":"' || third || '","title":"Split the large function","notes":"It reads and writes."},'
    || '"t4":{"status":"' || rest || '","title":"Name what is left","notes":"Some names say how, and not what."},'
    || '"t5":{"status":"' || rest || '","title":"Take out what nobody calls","notes":"Two helpers, one setting."},'
    || '"t6":{"status":"' || rest || '","title":"Ask for a review","notes":"The team in charge is number '
    || (number % 40) || '."}},"notes":["The module was changed 14 times last year, mostly for the same reason.",'
    || '"Its callers are all in this service, so that names may change.",'
    || '"What it writes is read by the nightly report; the format has to stay as it is."]}'
FROM seeded_snapshots
ORDER BY number;

INSERT INTO run_snapshot_search (run_id, search_text)
SELECT run_id, lower(objective)
FROM seeded_snapshots
ORDER BY number;

DROP TABLE seeded_snapshots;
