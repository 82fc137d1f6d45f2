-- Whether this is a copy of a log that lives elsewhere: it is read, and never written.
ALTER TABLE store ADD COLUMN copied INTEGER NOT NULL DEFAULT 0;

-- Projected: from which position on the log is of which epoch, and the log that it then went on from.
CREATE TABLE restorations (seq INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, size INTEGER NOT NULL, root TEXT NOT NULL);

-- Projected: how much each may store; 0 is without a bound, `*` every agent that has no row of its own.
CREATE TABLE quotas (
    principal TEXT PRIMARY KEY COLLATE NOCASE,
    records_per_day INTEGER NOT NULL,
    bytes_per_day INTEGER NOT NULL,
    open_sessions INTEGER NOT NULL
) WITHOUT ROWID;

-- What one author stored since a time.
CREATE INDEX records_author ON records (author, logged_at);
