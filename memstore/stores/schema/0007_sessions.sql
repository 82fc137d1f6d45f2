-- Whose sessions they are, and which of them nobody has ended: both are asked at every start.
CREATE INDEX sessions_principal ON sessions (scope, principal, seq);
CREATE INDEX sessions_not_ended ON sessions (scope, task, seq) WHERE ended_seq IS NULL;
