-- Handoffs, receipts, answers and contracts are projected; leases on handoffs are rows of their own.

CREATE TABLE handoffs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    logged_at INTEGER NOT NULL,
    scope TEXT NOT NULL,
    task TEXT NOT NULL,
    type TEXT NOT NULL,
    sender TEXT NOT NULL,
    launch TEXT NOT NULL,
    asked TEXT NOT NULL,
    receiver TEXT NOT NULL,
    fallback TEXT NOT NULL,
    contract TEXT NOT NULL,
    deadline INTEGER NOT NULL,
    parent TEXT NOT NULL,
    correlation TEXT NOT NULL,
    hop INTEGER NOT NULL,
    label INTEGER NOT NULL,
    digest TEXT NOT NULL,
    key TEXT NOT NULL,
    -- as the acts on it left it; what time does to it is derived
    stage TEXT NOT NULL,
    moved INTEGER NOT NULL,
    token INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    holder TEXT NOT NULL DEFAULT '',
    holder_launch TEXT NOT NULL DEFAULT '',
    question TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    decided INTEGER NOT NULL DEFAULT -1
);
CREATE INDEX handoffs_receiver ON handoffs (scope, receiver, seq);
CREATE INDEX handoffs_sender ON handoffs (scope, sender, seq);
CREATE INDEX handoffs_fallback ON handoffs (scope, fallback, seq) WHERE fallback <> '';
CREATE INDEX handoffs_task ON handoffs (scope, task, seq);
CREATE INDEX handoffs_deadline ON handoffs (deadline);
CREATE INDEX handoffs_digest ON handoffs (sender, digest);
CREATE INDEX handoffs_key ON handoffs (sender, key) WHERE key <> '';
CREATE INDEX handoffs_stage ON handoffs (stage, scope) WHERE stage IN
    ('awaiting_approval', 'offered', 'clarification_requested', 'accepted');

CREATE TABLE carried (
    handoff INTEGER NOT NULL,
    part TEXT NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (handoff, part, record)
) WITHOUT ROWID;
CREATE INDEX carried_record ON carried (record);

CREATE TABLE receipts (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    handoff TEXT NOT NULL,
    author TEXT NOT NULL,
    launch TEXT NOT NULL,
    token INTEGER NOT NULL,
    verified TEXT NOT NULL,
    problems TEXT NOT NULL
);
CREATE INDEX receipts_handoff ON receipts (handoff, launch, seq);

CREATE TABLE answers (
    seq INTEGER PRIMARY KEY,
    handoff TEXT NOT NULL,
    author TEXT NOT NULL,
    action TEXT NOT NULL,
    lease INTEGER NOT NULL,
    digest TEXT NOT NULL,
    receipt TEXT NOT NULL,
    outputs TEXT NOT NULL,
    acknowledged TEXT NOT NULL
);
CREATE INDEX answers_handoff ON answers (handoff, digest);
CREATE INDEX answers_author ON answers (author, action, seq);

CREATE TABLE contracts (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    owner TEXT NOT NULL,
    form TEXT NOT NULL,
    deprecated INTEGER,
    successor TEXT NOT NULL DEFAULT ''
);

-- Not projected: who holds the newest lease on a handoff, and until when.
CREATE TABLE handoff_leases (
    handoff TEXT PRIMARY KEY,
    token INTEGER NOT NULL,
    until INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX handoff_leases_until ON handoff_leases (until);
