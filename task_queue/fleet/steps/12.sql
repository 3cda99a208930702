-- Files that were handed in with tasks, until these have ended. "task" is the name of its document in the folder of "host".
CREATE TABLE artifact (
    source text NOT NULL,
    host text NOT NULL,
    task text NOT NULL,
    name text NOT NULL,
    media_type text NOT NULL,
    sha256 text NOT NULL,
    PRIMARY KEY (source, host, task, name)
);
CREATE TABLE artifact_piece (
    source text NOT NULL,
    host text NOT NULL,
    task text NOT NULL,
    name text NOT NULL,
    place integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (source, host, task, name, place)
);
