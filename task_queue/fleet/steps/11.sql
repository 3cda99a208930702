-- What hosts that use one account know of it, and what their attempts have cost, for one budget of the day.
CREATE TABLE account (name text PRIMARY KEY, state text NOT NULL, version bigint NOT NULL DEFAULT 1);
CREATE TABLE spent (
    id bigint GENERATED ALWAYS AS IDENTITY,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    account text NOT NULL,
    host text NOT NULL,
    source text NOT NULL,
    task text NOT NULL,
    attempt integer NOT NULL,
    at timestamptz NOT NULL,
    usd double precision NOT NULL,
    estimated double precision NOT NULL,
    PRIMARY KEY (host, source, task, attempt)
);
CREATE INDEX spent_in_order ON spent (account, xid, id);

-- Which machine joined last under the name: a second one is refused while the first is heard of.
ALTER TABLE host ADD COLUMN machine text;

-- What is checked out where tasks of a source come in, for the hosts that carry them out.
CREATE TABLE base (
    source text NOT NULL,
    host text NOT NULL,
    commit text NOT NULL,
    known text NOT NULL,
    content bytea,
    PRIMARY KEY (source, host)
);

-- What a task committed on another host, until it is in the checkout of the host that it came in by.
CREATE TABLE bundle (source text NOT NULL, record text NOT NULL, content bytea, PRIMARY KEY (source, record));
