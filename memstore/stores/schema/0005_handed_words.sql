-- A receipt is of what was found, and not of its codes alone.
ALTER TABLE receipts ADD COLUMN found TEXT NOT NULL DEFAULT '';

-- What was phrased in a handoff has no standing outside it while nobody may act on it, and its gate never has.
ALTER TABLE handoffs ADD COLUMN gated INTEGER NOT NULL DEFAULT 0;
CREATE TABLE phrased (
    record INTEGER NOT NULL,
    handoff INTEGER NOT NULL,
    gate INTEGER NOT NULL,
    PRIMARY KEY (record, handoff)
) WITHOUT ROWID;

-- A checkpoint is of the handoff that its context took up last.
ALTER TABLE answers ADD COLUMN launch TEXT NOT NULL DEFAULT '';
CREATE INDEX answers_taken ON answers (launch, seq) WHERE action IN ('accept', 'resume');

-- What a principal works under, in any task.
CREATE INDEX handoffs_holder ON handoffs (scope, holder, seq) WHERE holder <> '';

-- The fresh context that a handoff gives, which nobody takes up once it is over.
ALTER TABLE handoffs ADD COLUMN gives TEXT NOT NULL DEFAULT '';
CREATE INDEX handoffs_gives ON handoffs (gives) WHERE gives <> '';

-- Whether its receiver has no key left to take it with.
ALTER TABLE handoffs ADD COLUMN orphaned INTEGER NOT NULL DEFAULT 0;
