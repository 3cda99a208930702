-- Of a transcript: how many lines were sent, those that did not fit included, and whether only what decides is kept now.
ALTER TABLE attempt ADD COLUMN received integer NOT NULL DEFAULT 0, ADD COLUMN is_full boolean NOT NULL DEFAULT false;
UPDATE attempt SET received = (
    SELECT count(*) FROM frame WHERE frame.source = attempt.source AND frame.record = attempt.record AND frame.number = attempt.number
);
-- A text that is newer than the one that ran is kept as its bytes are.
ALTER TABLE kept ALTER COLUMN content DROP NOT NULL, ADD COLUMN document bytea, ADD CHECK (num_nonnulls(content, document) = 1);
