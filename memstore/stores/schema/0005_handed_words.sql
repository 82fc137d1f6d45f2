-- A receipt is of what was found, and not of its codes alone.
ALTER TABLE receipts ADD COLUMN found TEXT NOT NULL DEFAULT '';
