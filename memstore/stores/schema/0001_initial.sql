-- Primary data: the log, the content beside it, contexts and disclosures. Everything below "Projected" is folded from these.

CREATE TABLE store (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    id TEXT NOT NULL,
    public_key BLOB NOT NULL,
    size INTEGER NOT NULL,
    frontier BLOB NOT NULL,
    checkpoint TEXT NOT NULL,
    clock_floor INTEGER NOT NULL
);

CREATE TABLE entries (
    seq INTEGER PRIMARY KEY,
    logged_at INTEGER NOT NULL,
    payload_type TEXT NOT NULL,
    payload BLOB NOT NULL,
    keyid TEXT NOT NULL,
    signature BLOB NOT NULL,
    signature_state TEXT NOT NULL,
    label INTEGER NOT NULL,
    because TEXT NOT NULL,
    disclosures BLOB NOT NULL,
    leaf BLOB NOT NULL
);

CREATE TABLE contents (
    seq INTEGER PRIMARY KEY,
    salt BLOB NOT NULL,
    content BLOB NOT NULL,
    fingerprint BLOB NOT NULL
);
CREATE INDEX contents_fingerprint ON contents (fingerprint);

CREATE TABLE contexts (
    no INTEGER PRIMARY KEY,
    launch TEXT NOT NULL UNIQUE,
    principal TEXT NOT NULL,
    scope TEXT NOT NULL,
    -- what its disclosures leave behind, kept so that a mark costs nothing to read
    shown INTEGER NOT NULL DEFAULT 0,
    head BLOB NOT NULL,
    mark INTEGER NOT NULL DEFAULT 3,
    witness TEXT NOT NULL DEFAULT '',
    fallen INTEGER NOT NULL DEFAULT 0,
    stale INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE disclosures (
    context INTEGER NOT NULL,
    n INTEGER NOT NULL,
    record INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    label INTEGER NOT NULL,
    detail INTEGER NOT NULL,
    stale INTEGER NOT NULL,
    PRIMARY KEY (context, n)
) WITHOUT ROWID;
CREATE INDEX disclosures_record ON disclosures (record, context);

-- Leases are rows, not statements: a session whose lease ran out is over.
CREATE TABLE leases (session TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX leases_until ON leases (until);

-- Projected.

CREATE TABLE chains (
    author TEXT NOT NULL,
    launch TEXT NOT NULL,
    n INTEGER NOT NULL,
    prev TEXT NOT NULL,
    PRIMARY KEY (author, launch)
) WITHOUT ROWID;

CREATE TABLE principals (
    name TEXT PRIMARY KEY COLLATE NOCASE,
    role TEXT NOT NULL,
    under TEXT NOT NULL,
    open_world INTEGER NOT NULL,
    scopes TEXT NOT NULL,
    team TEXT NOT NULL,
    version TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    accepts TEXT NOT NULL,
    seq INTEGER NOT NULL
);

CREATE TABLE keys (
    keyid TEXT PRIMARY KEY,
    principal TEXT NOT NULL,
    public BLOB NOT NULL UNIQUE,
    added INTEGER NOT NULL,
    retired INTEGER,
    compromised INTEGER
);
CREATE INDEX keys_principal ON keys (principal);

CREATE TABLE tools (
    pattern TEXT PRIMARY KEY,
    open_world INTEGER NOT NULL,
    max_ttl_seconds INTEGER NOT NULL
);

CREATE TABLE epochs (
    principal TEXT NOT NULL,
    scope TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    PRIMARY KEY (principal, scope)
) WITHOUT ROWID;

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    principal TEXT NOT NULL,
    launch TEXT NOT NULL,
    scope TEXT NOT NULL,
    task TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_seq INTEGER,
    ended_at INTEGER,
    outcome TEXT NOT NULL DEFAULT ''
);
CREATE INDEX sessions_launch ON sessions (launch, seq);
CREATE INDEX sessions_scope ON sessions (scope, seq);
CREATE INDEX sessions_task ON sessions (scope, task, seq);

CREATE TABLE records (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    author TEXT NOT NULL,
    scope TEXT NOT NULL,
    task TEXT NOT NULL,
    session TEXT NOT NULL,
    launch TEXT NOT NULL,
    label INTEGER NOT NULL,
    logged_at INTEGER NOT NULL,
    expires_at INTEGER,
    shown INTEGER NOT NULL,
    verification TEXT NOT NULL,
    origin TEXT NOT NULL,
    bytes INTEGER NOT NULL DEFAULT 0,
    superseded_by INTEGER,
    answered_by INTEGER,
    revoked INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    erased INTEGER NOT NULL DEFAULT 0,
    needs_revisit INTEGER NOT NULL DEFAULT 0,
    stale_inputs INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX records_scope ON records (scope, label, seq);
CREATE INDEX records_task ON records (scope, task, kind, seq);
CREATE INDEX records_session ON records (session) WHERE session <> '';
CREATE INDEX records_expiry ON records (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE links (
    record INTEGER NOT NULL,
    how TEXT NOT NULL,
    target TEXT NOT NULL,
    PRIMARY KEY (record, how, target)
) WITHOUT ROWID;
CREATE INDEX links_target ON links (target, how);

CREATE TABLE tags (tag TEXT NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (tag, record)) WITHOUT ROWID;
CREATE INDEX tags_record ON tags (record);

CREATE TABLE names (
    author TEXT NOT NULL,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    record INTEGER NOT NULL,
    PRIMARY KEY (author, scope, name, record)
) WITHOUT ROWID;
CREATE INDEX names_record ON names (record);

-- One table per tier, so that no statistic of a lower tier reaches a higher one (T10). Contentless: the words stand once,
-- in `contents`, and an erasure has one more place to overwrite, not two.
CREATE VIRTUAL TABLE words_trusted USING fts5(title, text, content='', tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE words_attributed USING fts5(title, text, content='', tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE words_tainted USING fts5(title, text, content='', tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE words_untrusted USING fts5(title, text, content='', tokenize='porter unicode61 remove_diacritics 2');
