-- The tasks of all sources. A task that is dropped under the name of one that has ended is a row of its own.
CREATE TABLE task (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    -- Of its document, without .md.
    name text NOT NULL,
    -- The id under which its attempts and its result are kept: decided at the first claim.
    record text,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'running', 'completed', 'failed')),
    -- None where it was deleted while the task ran.
    document bytea,
    revision bigint NOT NULL DEFAULT 1,
    dropped_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    journal text,
    cancelled boolean NOT NULL DEFAULT false,
    -- Of a task that runs: what was published of the claim, and who may end it.
    claim text,
    attempt integer,
    slot integer,
    host text,
    life bigint,
    -- Of one that has ended.
    result text,
    report bytea,
    UNIQUE (source, record),
    CHECK ((state = 'running') = (num_nonnulls(claim, attempt, slot, host, life) = 5)),
    CHECK (state = 'running' OR num_nonnulls(claim, attempt, slot, host, life) = 0),
    CHECK (state = 'pending' OR record IS NOT NULL)
);
CREATE UNIQUE INDEX task_open ON task (source, name) WHERE state IN ('pending', 'running');
-- No source runs more at once than it has slots, whoever claims.
CREATE UNIQUE INDEX task_slot ON task (source, slot) WHERE state = 'running';
CREATE INDEX task_of_host ON task (host, life) WHERE state = 'running';

-- "document" is as it was claimed; "written" are the bytes of its frames, the lines of the transcript.
CREATE TABLE attempt (
    source text NOT NULL,
    record text NOT NULL,
    number integer NOT NULL,
    document bytea NOT NULL,
    run text,
    ending text,
    -- Of a worker that claimed it: the order under its key, what it reported, how far it is.
    keyed text,
    report text,
    percent double precision,
    step text,
    written bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (source, record, number),
    FOREIGN KEY (source, record) REFERENCES task (source, record)
);
CREATE TABLE frame (
    source text NOT NULL,
    record text NOT NULL,
    number integer NOT NULL,
    place integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (source, record, number, place),
    FOREIGN KEY (source, record, number) REFERENCES attempt
);

-- What was put out of the place of something newer, or was not what it claimed to be.
CREATE TABLE kept (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    record text NOT NULL,
    kind text NOT NULL,
    content text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
