-- Vectors stand beside the log: made from contents, kept over a rebuild, and proof of nothing.

-- Each model whose vectors are here, with the precision they are kept in.
CREATE TABLE models (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, precision TEXT NOT NULL);

-- The model that the store's vectors are of (NULL before the first), and a number that rises when copies of them in
-- memory are to be read anew.
CREATE TABLE embedding (one INTEGER PRIMARY KEY CHECK (one = 1), model INTEGER, generation INTEGER NOT NULL);
INSERT INTO embedding (one, model, generation) VALUES (1, NULL, 1);

-- `no` only ever rises, so whoever keeps a copy follows it; a row without a vector says that a record's have gone.
CREATE TABLE vectors (
    no INTEGER PRIMARY KEY AUTOINCREMENT,
    record INTEGER NOT NULL,
    model INTEGER,
    passage INTEGER NOT NULL DEFAULT 0,
    vector BLOB
);
CREATE INDEX vectors_record ON vectors (record) WHERE vector IS NOT NULL;

-- The queue: what has no vectors of the store's model yet. Higher tiers first.
CREATE TABLE unembedded (record INTEGER PRIMARY KEY, label INTEGER NOT NULL);
CREATE INDEX unembedded_order ON unembedded (label DESC, record);
INSERT INTO unembedded (record, label) SELECT seq, label FROM records WHERE erased = 0;

-- What of a tier is of one task.
CREATE INDEX records_of_task ON records (scope, label, task, seq);

-- A text says first what it is about: its beginning is a column of its own. Filled again from the contents.
DROP TABLE words_trusted;
CREATE VIRTUAL TABLE words_trusted USING fts5(title, lead, text, content='', tokenize='porter unicode61 remove_diacritics 2');
DROP TABLE words_attributed;
CREATE VIRTUAL TABLE words_attributed USING fts5(title, lead, text, content='', tokenize='porter unicode61 remove_diacritics 2');
DROP TABLE words_tainted;
CREATE VIRTUAL TABLE words_tainted USING fts5(title, lead, text, content='', tokenize='porter unicode61 remove_diacritics 2');
DROP TABLE words_untrusted;
CREATE VIRTUAL TABLE words_untrusted USING fts5(title, lead, text, content='', tokenize='porter unicode61 remove_diacritics 2');
