-- "changed" is the transaction that wrote the row last: who looks again reads the rows of those that were not over at its
-- last look, and not all that wait.
ALTER TABLE task ADD COLUMN changed xid8 NOT NULL DEFAULT pg_current_xact_id();
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := pg_current_xact_id();
    RETURN NEW;
END
$$;
CREATE TRIGGER task_written BEFORE UPDATE ON task FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE INDEX task_changed ON task (changed);

-- All rows of a name, and all numbered records of one: whatever else a source has had.
CREATE INDEX task_named ON task (name, source, id);
CREATE INDEX task_recorded ON task (record);
CREATE INDEX task_numbered ON task (source, record text_pattern_ops);
CREATE INDEX task_open_numbered ON task (source, name text_pattern_ops) WHERE state IN ('pending', 'running');
CREATE INDEX task_noted ON task (source) WHERE dedupe IS NOT NULL AND state IN ('pending', 'running');

-- Rows that went while their task waited or ran: who looks again would take it for one that has not changed.
CREATE TABLE gone (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    task bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (xid, task)
);
CREATE FUNCTION note_gone() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO gone (task) VALUES (OLD.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER task_gone AFTER DELETE ON task FOR EACH ROW WHEN (OLD.state IN ('pending', 'running'))
    EXECUTE FUNCTION note_gone();
