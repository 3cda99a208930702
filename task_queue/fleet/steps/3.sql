-- What happened to tasks: a row for each new state, written by the transaction that made it, so none is missed and none is
-- there of what did not happen. Who follows reads by (xid, id) up to the oldest transaction that is still open.
CREATE TABLE event (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    source text NOT NULL,
    name text NOT NULL,
    record text,
    state text NOT NULL,
    attempt integer,
    host text,
    PRIMARY KEY (xid, id)
);

CREATE FUNCTION note_state() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO event (source, name, record, state, attempt, host)
    VALUES (NEW.source, NEW.name, NEW.record, NEW.state, NEW.attempt, NEW.host);
    RETURN NULL;
END
$$;
CREATE TRIGGER task_arrived AFTER INSERT ON task FOR EACH ROW EXECUTE FUNCTION note_state();
-- Another host is news, too: it has taken over.
CREATE TRIGGER task_moved AFTER UPDATE ON task FOR EACH ROW
    WHEN (OLD.state <> NEW.state OR OLD.state = 'running' AND OLD.host <> NEW.host)
    EXECUTE FUNCTION note_state();
