-- Reviews, retractions and grants, and what they change of records and contexts. All of it is projected.

CREATE TABLE reviews (
    seq INTEGER PRIMARY KEY,
    record TEXT NOT NULL,
    author TEXT NOT NULL,
    launch TEXT NOT NULL,
    stance TEXT NOT NULL,
    carry TEXT NOT NULL,
    shown INTEGER NOT NULL,
    label INTEGER NOT NULL,
    -- its author's key was compromised before it
    void INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX reviews_record ON reviews (record, author, seq);
CREATE INDEX reviews_launch ON reviews (launch, seq);

CREATE TABLE retractions (
    seq INTEGER PRIMARY KEY,
    record TEXT NOT NULL,
    author TEXT NOT NULL,
    reason TEXT NOT NULL,
    replacement TEXT NOT NULL,
    spreads INTEGER NOT NULL,
    own INTEGER NOT NULL,
    label INTEGER NOT NULL,
    void INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX retractions_record ON retractions (record, seq);

-- What each retraction and compromise reached, as it was found at once.
CREATE TABLE affected (
    act INTEGER NOT NULL,
    record INTEGER NOT NULL,
    PRIMARY KEY (act, record)
) WITHOUT ROWID;

CREATE TABLE grants (
    id TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    principal TEXT NOT NULL,
    giver TEXT NOT NULL,
    scopes TEXT NOT NULL,
    ceiling INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    under TEXT NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX grants_principal ON grants (principal, seq);

ALTER TABLE records ADD COLUMN admitted INTEGER NOT NULL DEFAULT 0;
-- the log position of the act by which it fell with what it rests on, or by itself; -1 while it stands
ALTER TABLE records ADD COLUMN fell_at INTEGER NOT NULL DEFAULT -1;
ALTER TABLE records ADD COLUMN revoked_at INTEGER NOT NULL DEFAULT -1;
ALTER TABLE records ADD COLUMN retracted TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN unregistered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE records ADD COLUMN because TEXT NOT NULL DEFAULT '[]';
CREATE INDEX records_launch ON records (launch, shown);

ALTER TABLE contexts ADD COLUMN fell_at INTEGER NOT NULL DEFAULT -1;
ALTER TABLE contexts ADD COLUMN fooled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contexts ADD COLUMN admitted INTEGER NOT NULL DEFAULT 0;

-- A store from before: without reviews, what comes from outside is just what is tainted.
UPDATE records SET admitted = label <= 1, because = (SELECT e.because FROM entries e WHERE e.seq = records.seq),
    unregistered = kind = 'tool_result' AND label <= 1;
UPDATE records SET fell_at = (SELECT max(seq) FROM entries) WHERE revoked OR suspect;
UPDATE records SET revoked_at = fell_at WHERE revoked;
UPDATE contexts SET admitted = mark <= 1, fell_at = CASE WHEN fallen THEN (SELECT max(seq) FROM entries) ELSE -1 END,
    fooled = fallen;

-- The records that may have fallen or may fall by themselves: few, and counted apart from the many that stand.
CREATE INDEX records_odd ON records (label, seq) WHERE (revoked = 1 OR suspect = 1 OR retracted <> ''
    OR superseded_by IS NOT NULL OR expires_at IS NOT NULL OR kind = 'hypothesis');
