-- By what a task that waits or runs is compared with others, as the host found it that looked at its document last. Of
-- those with one key no two run, whoever claims; one that is claimed only to be rejected has none.
ALTER TABLE task ADD COLUMN dedupe text;
CREATE UNIQUE INDEX task_key ON task (dedupe) WHERE state = 'running';
CREATE INDEX task_keyed ON task (dedupe) WHERE dedupe IS NOT NULL AND state IN ('pending', 'running');
