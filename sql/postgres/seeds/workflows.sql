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
SELECT
    ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    CASE WHEN n % 50 = 0 THEN 'retired-' || (n % 7) WHEN n % 4 <> 0 THEN 'flow-' || n END,
    'flow-' || n,
    'Flow ' || n,
    CASE WHEN n % 3 <> 0 THEN 'Does the work of number ' || n END,
    to_jsonb(ARRAY['support', 'team-' || (n % 40)]),
    n % 10 = 0,
    (ARRAY['personal', 'authenticated', 'workspace'])[n % 3 + 1],
    n % 8 = 0 AND n % 10 <> 0,
    CASE WHEN n % 8 = 0 AND n % 10 <> 0 THEN timestamptz '2025-03-01 00:00:00+00' + n * interval '1 minute' END,
    CASE WHEN n % 8 = 0 AND n % 10 <> 0 THEN 'ada' END,
    n % 8 = 0 AND n % 10 <> 0 AND n % 3 = 0,
    CASE WHEN n % 8 = 0 AND n % 10 <> 0 THEN 'https://example.org/share/' || n END,
    CASE
        WHEN n % 5 = 0 THEN jsonb_build_object(
            'start_screen_prompts',
            jsonb_build_array(jsonb_build_object('label', 'Go', 'prompt', 'Do ' || n, 'icon', NULL)),
            'supported_models', NULL
        )
    END,
    CASE WHEN n = 1 THEN 200 ELSE 3 END,
    timestamptz '2025-01-01 00:00:00+00' + n * interval '7 minutes',
    timestamptz '2025-02-01 00:00:00+00' + n * interval '7 minutes',
    jsonb_build_array(
        jsonb_build_object(
            'actor', 'ada', 'action', 'workflow_created', 'at', '2025-01-01T00:00:00.000000Z',
            'metadata', jsonb_build_object('n', n)
        )
    )
FROM generate_series(1, 2000) AS n;

INSERT INTO workflow_versions (
    id, workflow_id, version, created_by, notes, mermaid, metadata, runnable_config, default_run_config,
    default_run_text, created_at, updated_at, audit_log, graph
)
SELECT
    ('00000002-' || lpad(to_hex(v), 4, '0') || '-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    v,
    'ada',
    CASE WHEN v > 1 THEN 'Revision ' || v END,
    CASE WHEN v = 3 THEN 'graph TD; start --> end' END,
    format('{"source":"seed","revision":%s}', v)::json,
    CASE WHEN v = 2 THEN format('{"tags":["prod"],"metadata":{"tenant":"t-%s"}}', n % 500)::json END,
    CASE WHEN v = 2 THEN format('{"tags":["prod"],"metadata":{"tenant":"t-%s"}}', n % 500) ELSE '{}' END::json,
    CASE WHEN v = 2 THEN ' ' || chr(57344) || ' prod' ELSE '' END,
    timestamptz '2025-01-01 00:00:00+00' + n * interval '7 minutes' + v * interval '1 minute',
    timestamptz '2025-01-01 00:00:00+00' + n * interval '7 minutes' + v * interval '1 minute',
    jsonb_build_array(
        jsonb_build_object(
            'actor', 'ada', 'action', 'version_created', 'at', '2025-01-01T00:00:00.000000Z',
            'metadata', jsonb_build_object()
        )
    ),
    format('{"nodes":[{"id":"start","label":"node%s"},{"id":"end","label":"node%s"}]}', n % 1500, v)::json
FROM generate_series(1, 2000) AS n
CROSS JOIN generate_series(1, CASE WHEN n = 1 THEN 200 ELSE 3 END) AS v;

INSERT INTO workflow_search (workflow_id, handle_text, name_text, description_text, tags_text, graph_text)
SELECT
    ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    CASE WHEN n % 50 = 0 THEN 'retired ' || (n % 7) WHEN n % 4 <> 0 THEN 'flow ' || n ELSE '' END,
    'flow ' || n,
    CASE WHEN n % 3 <> 0 THEN 'does the work of number ' || n ELSE '' END,
    'support ' || chr(57344) || ' team ' || (n % 40),
    format('start %s node%s %s end %s node3', chr(57344), n % 1500, chr(57344), chr(57344))
FROM generate_series(1, 2000) AS n;

INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, error, started_at, completed_at, created_at,
    updated_at, audit_log
)
SELECT
    ('00000003-0000-4000-8000-' || lpad(to_hex(m), 12, '0'))::uuid,
    ('00000001-0000-4000-8000-' || lpad(to_hex(w), 12, '0'))::uuid,
    ('00000002-' || lpad(to_hex(1 + m % 3), 4, '0') || '-4000-8000-' || lpad(to_hex(w), 12, '0'))::uuid,
    status,
    CASE WHEN m % 100 = 50 THEN 'manual' WHEN m % 3 = 0 THEN 'webhook' ELSE 'cron' END,
    CASE status WHEN 'failed' THEN 'Step ' || (m % 9) || ' timed out' WHEN 'cancelled' THEN 'Not needed' END,
    CASE WHEN status <> 'pending' THEN timestamptz '2025-02-01 00:00:01+00' + m * interval '1 minute' END,
    CASE
        WHEN status NOT IN ('pending', 'running')
            THEN timestamptz '2025-02-01 00:00:05+00' + m * interval '1 minute'
    END,
    timestamptz '2025-02-01 00:00:00+00' + m * interval '1 minute',
    timestamptz '2025-02-01 00:00:05+00' + m * interval '1 minute',
    jsonb_build_array(
        jsonb_build_object(
            'actor', 'worker', 'action', 'run_created', 'at', '2025-02-01T00:00:00.000000Z',
            'metadata', jsonb_build_object('m', m)
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
    FROM generate_series(1, 40000) AS m
) AS run;

INSERT INTO workflow_run_inputs (run_number, runnable_config, input_payload)
SELECT
    r.run_number,
    CASE WHEN m % 2 = 0 THEN format('{"metadata":{"tenant":"t-%s"}}', m % 500) ELSE '{}' END::json,
    format(
        '{"customer":"c-%s","order":%s,"note":"%s"}', m % 1500, m, repeat('Please look at order ' || m || ' soon. ', 20)
    )::json
FROM generate_series(1, 40000) AS m
INNER JOIN workflow_runs AS r ON r.id = ('00000003-0000-4000-8000-' || lpad(to_hex(m), 12, '0'))::uuid;

INSERT INTO workflow_run_outputs (run_number, output_payload)
SELECT
    r.run_number,
    format('{"answer":"Done with order %s","score":%s}', m, m % 800)::json
FROM generate_series(1, 40000) AS m
INNER JOIN workflow_runs AS r ON r.id = ('00000003-0000-4000-8000-' || lpad(to_hex(m), 12, '0'))::uuid
WHERE (m + m / 25) % 200 <> 0 AND (m + m / 25) % 100 <> 2 AND (m + m / 25) % 20 NOT IN (15, 16, 19);

-- One run has more distinct words than a tsvector holds.
INSERT INTO workflow_run_search (run_number, search_text)
SELECT
    r.run_number,
    format('cron %s c %s order%s please look at rare%s soon', chr(57344), m % 1500, m, m % 1500)
    || format(' %s %s', chr(57344), m % 800)
    || CASE
        WHEN m = 7
            THEN (SELECT string_agg(' ' || lpad(to_hex(k), 32, '0'), '' ORDER BY k) FROM generate_series(1, 32000) AS k)
        ELSE ''
    END
FROM generate_series(1, 40000) AS m
INNER JOIN workflow_runs AS r ON r.id = ('00000003-0000-4000-8000-' || lpad(to_hex(m), 12, '0'))::uuid;

INSERT INTO audit_records (entity_id, seq, record)
SELECT
    ('00000001-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    seq,
    jsonb_build_object(
        'actor', 'ada', 'action', 'workflow_updated', 'at', '2025-01-02T00:00:00.000000Z',
        'metadata', jsonb_build_object()
    )
FROM generate_series(1, 200) AS n
CROSS JOIN generate_series(1, 30) AS seq;
