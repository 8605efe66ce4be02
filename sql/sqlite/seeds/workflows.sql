-- Made-up data: `orcheo-sql sql check` and `sql explain --scratch` fill a scratch database with it. Both dialects get
-- the same rows. Ids count: 00000001-… workflows, 00000002-… versions, 00000003-… runs, the number last, in hex.
-- The first workflow is the busy one: 200 versions and every 25th run.
--
-- A `sample` line names, as JSON, the argument that a parameter gets: in all queries that have it, in one, or in one
-- more trial of that query, which is named behind a slash.

-- sample: id = "00000001-0000-4000-8000-000000000002"
-- sample: entity_id = "00000001-0000-4000-8000-000000000001"
-- sample: workflow_id = "00000001-0000-4000-8000-000000000001"
-- sample: workflow_version_id = "00000002-0001-4000-8000-000000000001"
-- sample: version = 2
-- sample: base = 1
-- sample: target = 3
-- sample: handle = "flow-2"
-- sample: draft_access = "personal"
-- sample: prompts = [{"label": "Go", "prompt": "Do it", "icon": null}]
-- sample: models = [{"id": "large", "label": "Large", "description": null, "disabled": false, "default": true}]
-- sample: triggered_by = "manual"
-- sample: status = "running"
-- sample: search = "rare42"
-- sample: input_contains = {"customer": "c-50"}
-- sample: output_contains = {"score": 75}
-- sample: metadata_contains = {"tenant": "t-50"}
-- sample: input_conditions = [{"path": "strict $.\"order\"", "op": "ge", "value": 1000}]
-- sample: output_conditions = [{"path": "strict $.\"score\"", "op": "lt", "value": 500}]
-- sample: metadata_conditions = [{"path": "strict $.\"tenant\"", "op": "exists"}]
-- sample: list_runs_by_workflow_and_status.status = "failed"
-- sample: filter_runs_by_workflow_and_status.status = "failed"
-- sample: insert_workflow.handle = "not-taken"
-- sample: update_workflow.handle = "not-taken"
-- sample: insert_workflow/conflict.handle = "flow-2"
-- sample: update_workflow/conflict.handle = "flow-3"
-- sample: update_workflow/archiving.id = "00000001-0000-4000-8000-000000000018"
-- sample: update_workflow/archiving.is_archived = true
-- sample: update_workflow/clearing.id = "00000001-0000-4000-8000-000000000005"
-- sample: update_workflow/clearing.description = ""
-- sample: update_workflow/clearing.clear_prompts = true
-- sample: update_workflow/clearing.clear_models = true
-- sample: hand_off = true
-- sample: insert_version.syncs_listeners = true
-- sample: resolve_workflow_ref.include_archived = true
-- sample: delete_workflow.id = "00000001-0000-4000-8000-00000000000a"
-- sample: revoke_publish.id = "00000001-0000-4000-8000-000000000008"
-- sample: search_workflows.search = "node42 flow"
-- sample: get_version.id = "00000002-0003-4000-8000-000000000002"
-- sample: get_run.id = "00000003-0000-4000-8000-00000000002a"
-- sample: start_run.id = "00000003-0000-4000-8000-0000000000c1"
-- sample: succeed_run.id = "00000003-0000-4000-8000-0000000000c3"
-- sample: fail_run.id = "00000003-0000-4000-8000-0000000000c3"
-- sample: cancel_run.id = "00000003-0000-4000-8000-0000000000c3"
-- sample: list_runs_by_trigger.created_from = "2025-02-01T12:34:56.789000Z"
-- sample: filter_runs_by_trigger.created_from = "2025-02-01T12:34:56.789000Z"
-- sample: prune_runs.created_before = "2025-02-10T01:00:00.000000Z"

INSERT INTO workflows (
    id, handle, slug, name, description, tags, is_archived, draft_access, is_public, published_at, published_by,
    require_login, share_url, chatkit, latest_version, created_at, updated_at, audit_log
)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 2000
)
SELECT
    printf('00000001-0000-4000-8000-%012x', n),
    CASE WHEN n % 50 = 0 THEN 'retired-' || (n % 7) WHEN n % 4 <> 0 THEN 'flow-' || n END,
    'flow-' || n,
    'Flow ' || n,
    CASE WHEN n % 3 <> 0 THEN 'Does the work of number ' || n END,
    json_array('support', 'team-' || (n % 40)),
    n % 10 = 0,
    CASE n % 3 WHEN 0 THEN 'personal' WHEN 1 THEN 'authenticated' ELSE 'workspace' END,
    n % 8 = 0 AND n % 10 <> 0,
    CASE
        WHEN n % 8 = 0 AND n % 10 <> 0
            THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-03-01', printf('+%d minutes', n))
    END,
    CASE WHEN n % 8 = 0 AND n % 10 <> 0 THEN 'ada' END,
    n % 8 = 0 AND n % 10 <> 0 AND n % 3 = 0,
    CASE WHEN n % 8 = 0 AND n % 10 <> 0 THEN 'https://example.org/share/' || n END,
    CASE
        WHEN n % 5 = 0 THEN json_object(
            'start_screen_prompts',
            json_array(json_object('label', 'Go', 'prompt', 'Do ' || n, 'icon', NULL)),
            'supported_models', NULL
        )
    END,
    CASE WHEN n = 1 THEN 200 ELSE 3 END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-01-01', printf('+%d minutes', n * 7)),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01', printf('+%d minutes', n * 7)),
    json_array(
        json_object(
            'actor', 'ada', 'action', 'workflow_created', 'at', '2025-01-01T00:00:00.000000Z',
            'metadata', json_object('n', n)
        )
    )
FROM numbers;

INSERT INTO workflow_versions (
    id, workflow_id, version, created_by, notes, mermaid, metadata, runnable_config, default_run_config,
    default_run_text, created_at, updated_at, audit_log, graph
)
WITH RECURSIVE numbers (n, v) AS (
    SELECT 1, 1
    UNION ALL
    SELECT
        CASE WHEN v < CASE WHEN n = 1 THEN 200 ELSE 3 END THEN n ELSE n + 1 END,
        CASE WHEN v < CASE WHEN n = 1 THEN 200 ELSE 3 END THEN v + 1 ELSE 1 END
    FROM numbers
    WHERE n < 2000 OR v < 3
)
SELECT
    printf('00000002-%04x-4000-8000-%012x', v, n),
    printf('00000001-0000-4000-8000-%012x', n),
    v,
    'ada',
    CASE WHEN v > 1 THEN 'Revision ' || v END,
    CASE WHEN v = 3 THEN 'graph TD; start --> end' END,
    printf('{"source":"seed","revision":%d}', v),
    CASE WHEN v = 2 THEN printf('{"tags":["prod"],"metadata":{"tenant":"t-%d"}}', n % 500) END,
    CASE WHEN v = 2 THEN printf('{"tags":["prod"],"metadata":{"tenant":"t-%d"}}', n % 500) ELSE '{}' END,
    CASE WHEN v = 2 THEN ' ' || char(57344) || ' prod' ELSE '' END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-01-01', printf('+%d minutes', n * 7 + v)),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-01-01', printf('+%d minutes', n * 7 + v)),
    json_array(
        json_object(
            'actor', 'ada', 'action', 'version_created', 'at', '2025-01-01T00:00:00.000000Z',
            'metadata', json_object()
        )
    ),
    printf('{"nodes":[{"id":"start","label":"node%d"},{"id":"end","label":"node%d"}]}', n % 1500, v)
FROM numbers;

INSERT INTO workflow_search (workflow_id, handle_text, name_text, description_text, tags_text, graph_text)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 2000
)
SELECT
    printf('00000001-0000-4000-8000-%012x', n),
    CASE WHEN n % 50 = 0 THEN 'retired ' || (n % 7) WHEN n % 4 <> 0 THEN 'flow ' || n ELSE '' END,
    'flow ' || n,
    CASE WHEN n % 3 <> 0 THEN 'does the work of number ' || n ELSE '' END,
    'support ' || char(57344) || ' team ' || (n % 40),
    printf('start %s node%d %s end %s node3', char(57344), n % 1500, char(57344), char(57344))
FROM numbers;

INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, error, started_at, completed_at, created_at,
    updated_at, audit_log
)
WITH RECURSIVE numbers (m) AS (
    SELECT 1
    UNION ALL
    SELECT m + 1 FROM numbers WHERE m < 40000
)
SELECT
    printf('00000003-0000-4000-8000-%012x', m),
    printf('00000001-0000-4000-8000-%012x', w),
    printf('00000002-%04x-4000-8000-%012x', 1 + m % 3, w),
    status,
    CASE WHEN m % 100 = 50 THEN 'manual' WHEN m % 3 = 0 THEN 'webhook' ELSE 'cron' END,
    CASE status WHEN 'failed' THEN 'Step ' || (m % 9) || ' timed out' WHEN 'cancelled' THEN 'Not needed' END,
    CASE
        WHEN status <> 'pending'
            THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01 00:00:01', printf('+%d minutes', m))
    END,
    CASE
        WHEN status NOT IN ('pending', 'running')
            THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01 00:00:05', printf('+%d minutes', m))
    END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01', printf('+%d minutes', m)),
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2025-02-01 00:00:05', printf('+%d minutes', m)),
    json_array(
        json_object(
            'actor', 'worker', 'action', 'run_created', 'at', '2025-02-01T00:00:00.000000Z',
            'metadata', json_object('m', m)
        )
    )
FROM (
    SELECT
        m,
        CASE WHEN m % 25 = 0 THEN 1 ELSE 2 + m % 1999 END AS w,
        CASE
            WHEN (m + m / 25) % 200 = 0 THEN 'pending' WHEN (m + m / 25) % 100 = 2 THEN 'running'
            WHEN (m + m / 25) % 20 IN (15, 16) THEN 'failed' WHEN (m + m / 25) % 20 = 19 THEN 'cancelled'
            ELSE 'succeeded'
        END AS status
    FROM numbers
) AS run;

INSERT INTO workflow_run_inputs (run_number, runnable_config, input_payload)
WITH RECURSIVE numbers (m) AS (
    SELECT 1
    UNION ALL
    SELECT m + 1 FROM numbers WHERE m < 40000
)
SELECT
    r.run_number,
    CASE WHEN m % 2 = 0 THEN printf('{"metadata":{"tenant":"t-%d"}}', m % 500) ELSE '{}' END,
    printf(
        '{"customer":"c-%d","order":%d,"note":"%s"}', m % 1500, m,
        replace(hex(zeroblob(10)), '0', 'Please look at order ' || m || ' soon. ')
    )
FROM numbers
INNER JOIN workflow_runs AS r ON r.id = printf('00000003-0000-4000-8000-%012x', m);

INSERT INTO workflow_run_outputs (run_number, output_payload)
WITH RECURSIVE numbers (m) AS (
    SELECT 1
    UNION ALL
    SELECT m + 1 FROM numbers WHERE m < 40000
)
SELECT
    r.run_number,
    printf('{"answer":"Done with order %d","score":%d}', m, m % 800)
FROM numbers
INNER JOIN workflow_runs AS r ON r.id = printf('00000003-0000-4000-8000-%012x', m)
WHERE (m + m / 25) % 200 <> 0 AND (m + m / 25) % 100 <> 2 AND (m + m / 25) % 20 NOT IN (15, 16, 19);

-- One run has more distinct words than a tsvector holds.
INSERT INTO workflow_run_search (run_number, search_text)
WITH RECURSIVE numbers (m) AS (
    SELECT 1
    UNION ALL
    SELECT m + 1 FROM numbers WHERE m < 40000
),
many (k) AS (
    SELECT 1
    UNION ALL
    SELECT k + 1 FROM many WHERE k < 32000
)
SELECT
    r.run_number,
    printf('cron %s c %d order%d please look at rare%d soon', char(57344), m % 1500, m, m % 1500)
    || printf(' %s %d', char(57344), m % 800)
    || CASE WHEN m = 7 THEN (SELECT group_concat(printf(' %032x', k), '') FROM many) ELSE '' END
FROM numbers
INNER JOIN workflow_runs AS r ON r.id = printf('00000003-0000-4000-8000-%012x', m);

INSERT INTO audit_records (entity_id, seq, record)
WITH RECURSIVE numbers (n) AS (
    SELECT 1
    UNION ALL
    SELECT n + 1 FROM numbers WHERE n < 200
),
places (seq) AS (
    SELECT 1
    UNION ALL
    SELECT seq + 1 FROM places WHERE seq < 30
)
SELECT
    printf('00000001-0000-4000-8000-%012x', n),
    seq,
    json_object(
        'actor', 'ada', 'action', 'workflow_updated', 'at', '2025-01-02T00:00:00.000000Z', 'metadata', json_object()
    )
FROM numbers
CROSS JOIN places;
