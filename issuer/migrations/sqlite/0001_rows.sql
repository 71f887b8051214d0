-- Times are milliseconds since 1970. `kind` and `id` are ASCII, compared byte by byte.
CREATE TABLE resource_protector_rows (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    owner TEXT,
    expires_at INTEGER,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT;

CREATE INDEX resource_protector_rows_of_owner ON resource_protector_rows (kind, owner, id) WHERE owner IS NOT NULL;

CREATE INDEX resource_protector_rows_by_expiry ON resource_protector_rows (expires_at) WHERE expires_at IS NOT NULL;

-- For people: who is logged in where. Nothing reads it.
CREATE VIEW resource_protector_sessions AS
SELECT
    id,
    json_extract(body, '$.subject') AS subject,
    json_extract(body, '$.client_id') AS client_id,
    json_extract(body, '$.started_at') AS started_at,
    json_extract(body, '$.revoked_at') AS revoked_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', expires_at / 1000, 'unixepoch') AS expires_at
FROM resource_protector_rows
WHERE kind = 'session';
