-- Workflows with two versions each and their runs, as the repositories would have left them: with search rows, audit
-- trails and an outbox. :scale is the number of runs. Both dialects get the same content.
--
-- The entity with the number n has an id that tells its kind (4001 workflows, 4002 versions, 4003 runs, 4008
-- schedules) and the number at its end, behind n times 2654435761: so ids come in no order, and can be computed
-- (benchmarks/datasets.py has the same formulas). Token streams are written with a | for the boundary between values.

CREATE TEMPORARY TABLE seeded_workflows (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    topic TEXT NOT NULL,
    words TEXT NOT NULL,
    created_at TEXT NOT NULL
);

INSERT INTO seeded_workflows (number, id, topic, words, created_at)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < max(20, :scale / 200)
)
SELECT
    number,
    printf(
        '%08x-%04x-4001-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
    ),
    topic,
    'triage of ' || topic || ' ' || number,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', '2024-06-01', '+' || number || ' minutes')
FROM (
    SELECT
        number,
        CASE number % 7
            WHEN 0 THEN 'refund' WHEN 1 THEN 'delivery' WHEN 2 THEN 'invoice' WHEN 3 THEN 'warranty'
            WHEN 4 THEN 'subscription' WHEN 5 THEN 'account' ELSE 'payment'
        END AS topic
    FROM numbers
) AS workflow;

-- Every tenth has a schedule (below), which it was given half a minute later.
INSERT INTO workflows (
    id, handle, slug, name, description, tags, is_archived, draft_access, is_public, require_login, latest_version,
    created_at, updated_at, audit_log
)
SELECT
    id,
    replace(words, ' ', '-'),
    replace(words, ' ', '-'),
    'T' || substr(words, 2),
    'Sorts messages about ' || topic || ', answers the simple ones and hands the rest to a person.',
    '["support","team-' || (number % 40) || '"]',
    0,
    'personal',
    0,
    0,
    2,
    created_at,
    CASE WHEN number % 10 = 0 THEN replace(created_at, ':00.', ':30.') ELSE created_at END,
    '[{"actor":"ada","action":"workflow_created","at":"' || created_at || '","metadata":{}}'
    || CASE
        WHEN number % 10 = 0
            THEN
                ',{"actor":"ada","action":"cron_trigger_configured","at":"' || replace(created_at, ':00.', ':30.')
                || '","metadata":{"expression":"0 9 * * *"}}'
        ELSE ''
    END
    || ']'
FROM seeded_workflows
ORDER BY number;

-- The two versions of a workflow differ in a number of the graph.
INSERT INTO workflow_versions (
    id, workflow_id, version, created_by, notes, mermaid, metadata, runnable_config, default_run_config,
    default_run_text, created_at, updated_at, audit_log, graph
)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < 2 * max(20, :scale / 200)
)
SELECT
    id,
    workflow_id,
    version,
    'ada',
    CASE WHEN version = 2 THEN 'Asks for approval earlier.' END,
    NULL,
    '{"source":"bench"}',
    config,
    config,
    replace(' | ' || words || ' | production', '|', char(57344)),
    created_at,
    created_at,
    '[{"actor":"ada","action":"version_created","at":"' || created_at || '","metadata":{}}]',
    '{"name":"' || name || '","revision":' || version || ',"nodes":['
    || '{"id":"inbox","type":"start","label":"New message","config":{"channel":"email"}},'
    || '{"id":"classify","type":"llm","label":"Classify the request","config":{"model":"small-chat","prompt":'
    || '"Decide whether this is about ' || topic || ' and which team is in charge. Answer with one word."}},'
    || '{"id":"orders","type":"tool","label":"Look up the order","config":{"tool":"order-database",'
    || '"timeout_seconds":10}},'
    || '{"id":"draft","type":"llm","label":"Draft a letter","config":{"model":"large-chat","prompt":'
    || '"Write a short and friendly letter about ' || topic || '. Say what happens next and when."}},'
    || '{"id":"approve","type":"human","label":"Human approval","config":{'
    || '"prompt":"Check the letter before it goes out.","limit":200}},'
    || '{"id":"reply","type":"end","label":"Send the reply","config":{}}],"edges":['
    || '{"source":"inbox","target":"classify"},{"source":"classify","target":"orders"},'
    || '{"source":"orders","target":"draft"},{"source":"draft","target":"approve"},'
    || '{"source":"approve","target":"reply"}]}'
FROM (
    SELECT
        n.number,
        printf(
            '%08x-%04x-4002-8000-%012x',
            n.number * 2654435761 & 4294967295, n.number * 2654435761 >> 32 & 65535, n.number
        ) AS id,
        w.id AS workflow_id,
        2 - n.number % 2 AS version,
        w.topic,
        w.words,
        'T' || substr(w.words, 2) AS name,
        '{"tags":["production"],"metadata":{"tenant":"t-' || (w.number % 50) || '"},"run_name":"T'
        || substr(w.words, 2) || '"}' AS config,
        replace(w.created_at, ':00.', CASE WHEN n.number % 2 = 1 THEN ':10.' ELSE ':20.' END) AS created_at
    FROM numbers AS n
    INNER JOIN seeded_workflows AS w ON w.number = (n.number + 1) / 2
) AS workflow_version
ORDER BY number;

INSERT INTO workflow_search (workflow_id, handle_text, name_text, description_text, tags_text, graph_text)
SELECT
    id,
    words,
    words,
    'sorts messages about ' || topic || ' answers the simple ones and hands the rest to a person',
    replace('support | team ' || (number % 40), '|', char(57344)),
    replace(
        words || ' | 2 | inbox | start | new message | email | classify | llm | classify the request | small chat'
        || ' | decide whether this is about ' || topic || ' and which team is in charge answer with one word'
        || ' | orders | tool | look up the order | order database | 10 | draft | llm | draft a letter | large chat'
        || ' | write a short and friendly letter about ' || topic || ' say what happens next and when'
        || ' | approve | human | human approval | check the letter before it goes out | 200'
        || ' | reply | end | send the reply'
        || ' | inbox | classify | classify | orders | orders | draft | draft | approve | approve | reply',
        '|', char(57344)
    )
FROM seeded_workflows
ORDER BY number;

-- A dispatcher has looked at each schedule once, and found when it begins.
INSERT INTO cron_triggers (
    workflow_id, schedule_id, config, allow_overlapping, next_fire_at, counted_from, is_paused, is_suspended, revision,
    created_at, updated_at
)
SELECT
    id,
    printf(
        '%08x-%04x-4008-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
    ),
    '{"expression":"0 9 * * *","timezone":"UTC","allow_overlapping":false,"start_at":"2099-01-01T00:00:00Z",'
    || '"end_at":null,"misfire_policy":"fire_once","misfire_grace_seconds":300,"max_catch_up":10}',
    0,
    '2099-01-01T09:00:00.000000Z',
    replace(created_at, ':00.', ':30.'),
    0,
    0,
    2,
    replace(created_at, ':00.', ':30.'),
    replace(created_at, ':00.', ':30.')
FROM seeded_workflows
WHERE number % 10 = 0
ORDER BY number;

-- What the rows of a run are made of. Of each 100 runs 85 have succeeded, 8 failed, 4 were cancelled, 2 run and one is
-- pending. Divisors are prime to each other and to 100, so that what is taken from a number by one of them says
-- nothing about the rest.
CREATE TEMPORARY TABLE seeded_runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    workflow_number INTEGER NOT NULL,
    workflow_id TEXT NOT NULL,
    workflow_version_id TEXT NOT NULL,
    status TEXT NOT NULL,
    triggered_by TEXT NOT NULL,
    error TEXT,
    created_at TEXT NOT NULL,
    started_at TEXT,
    completed_at TEXT,
    is_offered INTEGER NOT NULL,
    customer INTEGER NOT NULL,
    tier TEXT NOT NULL,
    items INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    product TEXT NOT NULL,
    complaint TEXT NOT NULL,
    channel TEXT NOT NULL,
    team TEXT NOT NULL,
    score INTEGER NOT NULL
);

INSERT INTO seeded_runs (
    number, id, workflow_number, workflow_id, workflow_version_id, status, triggered_by, error, created_at, started_at,
    completed_at, is_offered, customer, tier, items, amount, product, complaint, channel, team, score
)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < :scale
)
SELECT
    number,
    printf(
        '%08x-%04x-4003-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
    ),
    workflow_number,
    printf(
        '%08x-%04x-4001-8000-%012x',
        workflow_number * 2654435761 & 4294967295, workflow_number * 2654435761 >> 32 & 65535, workflow_number
    ),
    printf(
        '%08x-%04x-4002-8000-%012x',
        version_number * 2654435761 & 4294967295, version_number * 2654435761 >> 32 & 65535, version_number
    ),
    status,
    CASE WHEN number % 9 < 5 THEN 'manual' WHEN number % 9 < 8 THEN 'webhook' ELSE 'api' END,
    CASE status
        WHEN 'failed' THEN 'The step answer timed out after 30 seconds'
        WHEN 'cancelled' THEN 'A newer request takes its place'
    END,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + number, 'unixepoch'),
    CASE
        WHEN status <> 'pending' THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689601 + number, 'unixepoch')
    END,
    CASE
        WHEN status NOT IN ('pending', 'running')
            THEN strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689602 + number + number % 7, 'unixepoch')
    END,
    status = 'pending' AND number > :scale - 100 * min(:scale / 100, 1000),
    customer,
    CASE WHEN customer % 10 = 0 THEN 'gold' WHEN customer % 10 < 4 THEN 'silver' ELSE 'basic' END,
    1 + number % 4,
    500 + number * 271 % 20000,
    CASE number % 11
        WHEN 0 THEN 'blue lamp' WHEN 1 THEN 'coffee cup' WHEN 2 THEN 'oak chair' WHEN 3 THEN 'wool blanket'
        WHEN 4 THEN 'travel bag' WHEN 5 THEN 'desk clock' WHEN 6 THEN 'garden hose' WHEN 7 THEN 'steel kettle'
        WHEN 8 THEN 'rain jacket' WHEN 9 THEN 'book shelf' ELSE 'bread knife'
    END,
    CASE number % 7
        WHEN 0 THEN 'It arrived broken and I want a refund'
        WHEN 1 THEN 'It has not arrived and tracking shows nothing'
        WHEN 2 THEN 'The invoice shows a wrong address'
        WHEN 3 THEN 'The colour is not the one I ordered'
        WHEN 4 THEN 'I would like to return it and get another one'
        WHEN 5 THEN 'How long does the warranty last'
        ELSE 'Please cancel this because I ordered it twice'
    END,
    CASE number % 3 WHEN 0 THEN 'email' WHEN 1 THEN 'chat' ELSE 'phone' END,
    CASE number % 13 WHEN 0 THEN 'billing' WHEN 1 THEN 'technical' WHEN 2 THEN 'returns' ELSE 'delivery' END,
    number % 101
FROM (
    SELECT
        number,
        workflow_number,
        2 * workflow_number - (number % 3 = 0) AS version_number,
        CASE
            WHEN number * 37 % 100 < 85 THEN 'succeeded'
            WHEN number * 37 % 100 < 93 THEN 'failed'
            WHEN number * 37 % 100 < 97 THEN 'cancelled'
            WHEN number * 37 % 100 < 99 THEN 'running'
            ELSE 'pending'
        END AS status,
        1 + number * 7919 % max(20, :scale / 10) AS customer
    FROM (
        -- Round after round goes to all workflows, each time in an order that is turned by 37.
        SELECT
            number,
            1 + ((number - 1) % workflows + (number - 1) / workflows * 37) % workflows AS workflow_number
        FROM (SELECT number, max(20, :scale / 200) AS workflows FROM numbers) AS numbered
    ) AS spread
) AS run;

-- All were handed to workers but for those that are pending and not in the outbox: it has the newest 1000.
INSERT INTO workflow_runs (
    id, workflow_id, workflow_version_id, status, triggered_by, error, started_at, completed_at, created_at, updated_at,
    audit_log, is_handed_off
)
SELECT
    id,
    workflow_id,
    workflow_version_id,
    status,
    triggered_by,
    error,
    started_at,
    completed_at,
    created_at,
    coalesce(completed_at, started_at, created_at),
    '[{"actor":"' || triggered_by || '","action":"run_created","at":"' || created_at || '","metadata":{}}'
    || CASE
        WHEN started_at IS NOT NULL
            THEN ',{"actor":"worker","action":"run_started","at":"' || started_at || '","metadata":{}}'
        ELSE ''
    END
    || CASE
        WHEN completed_at IS NOT NULL
            THEN
                ',{"actor":"worker","action":"run_' || status || '","at":"' || completed_at || '","metadata":{'
                || CASE status
                    WHEN 'failed' THEN '"error":"' || error || '"'
                    WHEN 'cancelled' THEN '"reason":"' || error || '"'
                    ELSE ''
                END
                || '}}'
        ELSE ''
    END
    || ']',
    status <> 'pending' OR is_offered
FROM seeded_runs
ORDER BY number;

INSERT INTO workflow_run_inputs (run_number, runnable_config, input_payload)
SELECT
    kept.run_number,
    '{"tags":["production"],"metadata":{"tenant":"t-' || (r.workflow_number % 50) || '"},"run_name":"T'
    || substr(w.words, 2) || '"}',
    '{"customer":{"id":' || r.customer || ',"name":"Customer ' || r.customer || '","tier":"' || r.tier
    || '"},"order":{"number":"ORD' || r.number || '","items":' || r.items || ',"amount":' || r.amount
    || '},"message":"About the ' || r.product || '. ' || r.complaint || '.","channel":"' || r.channel || '"}'
FROM seeded_runs AS r
INNER JOIN workflow_runs AS kept ON kept.id = r.id
INNER JOIN seeded_workflows AS w ON w.number = r.workflow_number
ORDER BY r.number;

INSERT INTO workflow_run_outputs (run_number, output_payload)
SELECT
    kept.run_number,
    '{"team":"' || r.team || '","answer":"Another ' || r.product || ' is on its way and order ORD' || r.number
    || ' is closed.","score":' || r.score || '}'
FROM seeded_runs AS r
INNER JOIN workflow_runs AS kept ON kept.id = r.id
WHERE r.status = 'succeeded'
ORDER BY r.number;

INSERT INTO workflow_run_search (run_number, search_text)
SELECT
    kept.run_number,
    replace(
        r.triggered_by || ' | ' || r.customer || ' | customer ' || r.customer || ' | ' || r.tier || ' | ord' || r.number
        || ' | ' || r.items || ' | ' || r.amount || ' | about the ' || r.product || ' ' || lower(r.complaint) || ' | '
        || r.channel || ' | ' || w.words || ' | production'
        || CASE
            WHEN r.status = 'succeeded'
                THEN
                    ' | ' || r.team || ' | another ' || r.product || ' is on its way and order ord' || r.number
                    || ' is closed | ' || r.score
            WHEN r.error IS NOT NULL THEN ' | ' || lower(r.error)
            ELSE ''
        END,
        '|', char(57344)
    )
FROM seeded_runs AS r
INNER JOIN workflow_runs AS kept ON kept.id = r.id
INNER JOIN seeded_workflows AS w ON w.number = r.workflow_number
ORDER BY r.number;

INSERT INTO run_outbox (run_id, available_at, attempts, created_at)
SELECT id, created_at, 0, created_at
FROM seeded_runs
WHERE is_offered
ORDER BY number;

DROP TABLE seeded_runs;

DROP TABLE seeded_workflows;
