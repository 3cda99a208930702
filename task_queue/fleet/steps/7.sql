-- Who brought it, and has its document in a folder: that host alone writes there how the task stands. "shown" is the
-- revision that it wrote last. While it owes one, no other document of that name comes in.
ALTER TABLE task ADD COLUMN intake text, ADD COLUMN shown bigint;
DROP INDEX task_open;
CREATE UNIQUE INDEX task_open ON task (source, name)
    WHERE state IN ('pending', 'running') OR intake IS NOT NULL AND shown IS DISTINCT FROM revision;
CREATE INDEX task_to_show ON task (intake, source) WHERE shown IS DISTINCT FROM revision;
-- The host that claimed it: one that took it over did not begin it.
ALTER TABLE attempt ADD COLUMN host text;
