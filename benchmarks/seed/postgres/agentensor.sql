-- Training checkpoints: one for every tenth run, over the first workflows in turns, about fifty each. Ids: see
-- workflows.sql; 4006 are checkpoints, 4001 workflows.

CREATE TEMPORARY TABLE seeded_trainings (
    number bigint PRIMARY KEY,
    workflow_id text NOT NULL,
    latest_version bigint NOT NULL
);

INSERT INTO seeded_trainings (number, workflow_id, latest_version)
SELECT
    number,
    lpad(to_hex(number * 2654435761 & 4294967295), 8, '0')
    || '-' || lpad(to_hex(number * 2654435761 >> 32 & 65535), 4, '0')
    || '-4001-8000-' || lpad(to_hex(number), 12, '0'),
    1 + (:scale::bigint / 10 - number) / greatest(2, :scale::bigint / 500)
FROM generate_series(1, greatest(2, :scale::bigint / 500)) AS number;

ANALYZE seeded_trainings;

INSERT INTO agentensor_workflows (workflow_id, latest_version, best_version)
SELECT workflow_id, latest_version, 1 + number * 7 % latest_version
FROM seeded_trainings
ORDER BY number;

INSERT INTO agentensor_checkpoints (
    workflow_id, config_version, id, metrics, metadata, artifact_url, created_at, runnable_config
)
SELECT
    t.workflow_id,
    c.config_version,
    c.id,
    (
        '{"epoch":' || c.config_version || ',"accuracy":0.'
        || CASE WHEN c.config_version = 1 + t.number * 7 % t.latest_version THEN 991 ELSE 501 + c.number * 7 % 47 * 10 END
        || ',"samples":' || (100 + c.number % 900) || '}'
    )::json,
    ('{"summary":{"ok":true},"seed":' || c.number || '}')::json,
    'https://example.org/artifacts/' || c.id,
    timestamptz '2025-01-01 00:00:00+00' + c.number * interval '10 seconds',
    (
        '{"tags":["training"],"run_name":"Training ' || t.number || '","prompts":{"answer":{"text":'
        || '"Answer in one sentence, attempt ' || c.config_version || '. Name the team that is in charge.",'
        || '"requires_grad":true}}}'
    )::json
FROM (
    SELECT
        number,
        lpad(to_hex(number * 2654435761 & 4294967295), 8, '0')
        || '-' || lpad(to_hex(number * 2654435761 >> 32 & 65535), 4, '0')
        || '-4006-8000-' || lpad(to_hex(number), 12, '0') AS id,
        1 + (number - 1) % greatest(2, :scale::bigint / 500) AS training_number,
        1 + (number - 1) / greatest(2, :scale::bigint / 500) AS config_version
    FROM generate_series(1, :scale::bigint / 10) AS number
) AS c
INNER JOIN seeded_trainings AS t ON t.number = c.training_number
ORDER BY c.number;

DROP TABLE seeded_trainings;
