-- Times are milliseconds since 1970. Whatever the collation of the database, identifiers are compared byte by byte.
CREATE TABLE resource_protector_rows (
    kind text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    owner text COLLATE "C",
    expires_at bigint,
    body text NOT NULL,
    PRIMARY KEY (kind, id)
);

CREATE INDEX resource_protector_rows_of_owner ON resource_protector_rows (kind, owner, id) WHERE owner IS NOT NULL;

CREATE INDEX resource_protector_rows_by_expiry ON resource_protector_rows (expires_at) WHERE expires_at IS NOT NULL;

-- For people: who is logged in where. Nothing reads it. PostgreSQL has no text with a NUL in it, which JSON may have: such a
-- body is shown without its fields, so that one of them does not hide all others.
CREATE VIEW resource_protector_sessions AS
SELECT
    id,
    fields ->> 'subject' AS subject,
    fields ->> 'client_id' AS client_id,
    fields ->> 'started_at' AS started_at,
    fields ->> 'revoked_at' AS revoked_at,
    to_timestamp(expires_at / 1000) AS expires_at
FROM (
    SELECT id, expires_at, CASE WHEN position('\u0000' IN body) = 0 THEN body::json END AS fields
    FROM resource_protector_rows
    WHERE kind = 'session'
) AS sessions;
