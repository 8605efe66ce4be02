-- Training checkpoints: one for every tenth run, over the first workflows in turns, about fifty each. Ids: see
-- workflows.sql; 4006 are checkpoints, 4001 workflows.

CREATE TEMPORARY TABLE seeded_trainings (
    number INTEGER PRIMARY KEY,
    workflow_id TEXT NOT NULL,
    latest_version INTEGER NOT NULL
);

INSERT INTO seeded_trainings (number, workflow_id, latest_version)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < max(2, :scale / 500)
)
SELECT
    number,
    printf(
        '%08x-%04x-4001-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
    ),
    1 + (:scale / 10 - number) / max(2, :scale / 500)
FROM numbers;

INSERT INTO agentensor_workflows (workflow_id, latest_version, best_version)
SELECT workflow_id, latest_version, 1 + number * 7 % latest_version
FROM seeded_trainings
ORDER BY number;

INSERT INTO agentensor_checkpoints (
    workflow_id, config_version, id, metrics, metadata, artifact_url, created_at, runnable_config
)
WITH RECURSIVE numbers (number) AS (
    SELECT 1
    UNION ALL
    SELECT number + 1 FROM numbers WHERE number < :scale / 10
)
SELECT
    t.workflow_id,
    c.config_version,
    c.id,
    '{"epoch":' || c.config_version || ',"accuracy":0.'
    || CASE WHEN c.config_version = 1 + t.number * 7 % t.latest_version THEN 991 ELSE 501 + c.number * 7 % 47 * 10 END
    || ',"samples":' || (100 + c.number % 900) || '}',
    '{"summary":{"ok":true},"seed":' || c.number || '}',
    'https://example.org/artifacts/' || c.id,
    strftime('%Y-%m-%dT%H:%M:%S.000000Z', 1735689600 + 10 * c.number, 'unixepoch'),
    '{"tags":["training"],"run_name":"Training ' || t.number || '","prompts":{"answer":{"text":'
    || '"Answer in one sentence, attempt ' || c.config_version || '. Name the team that is in charge.",'
    || '"requires_grad":true}}}'
FROM (
    SELECT
        number,
        printf(
            '%08x-%04x-4006-8000-%012x', number * 2654435761 & 4294967295, number * 2654435761 >> 32 & 65535, number
        ) AS id,
        1 + (number - 1) % max(2, :scale / 500) AS training_number,
        1 + (number - 1) / max(2, :scale / 500) AS config_version
    FROM numbers
) AS c
INNER JOIN seeded_trainings AS t ON t.number = c.training_number
ORDER BY c.number;

DROP TABLE seeded_trainings;
