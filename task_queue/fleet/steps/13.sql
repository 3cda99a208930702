-- The tasks that one waits for, as the host found them that looked at its document last; NULL where there are none.
ALTER TABLE task ADD COLUMN depends_on text[];
CREATE INDEX task_dependent ON task (name) WHERE depends_on IS NOT NULL AND state = 'pending';
