-- Projected: how a record stood until an act changed that, which is what looking back to a position reads (ADR 0055).
-- What no act has changed has no row here.
CREATE TABLE former (
    record INTEGER NOT NULL,
    act INTEGER NOT NULL,
    label INTEGER NOT NULL,
    superseded_by INTEGER,
    answered_by INTEGER,
    revoked INTEGER NOT NULL,
    suspect INTEGER NOT NULL,
    retracted TEXT NOT NULL,
    needs_revisit INTEGER NOT NULL,
    admitted INTEGER NOT NULL,
    fell_at INTEGER NOT NULL,
    because TEXT NOT NULL,
    PRIMARY KEY (record, act)
) WITHOUT ROWID;
CREATE INDEX former_act ON former (act);
