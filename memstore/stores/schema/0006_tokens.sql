-- Primary data: what the server takes for a principal's word over HTTP. Of a token only its SHA-256 is here.
CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    principal TEXT NOT NULL,
    -- the size of the log when it was made: what befell the principal's keys before does not count
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;
