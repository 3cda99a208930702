-- "credential" is the SHA-256 of what a process shows that joins under the name; none: no process may. "heard_at" is for
-- people; nothing is decided by it.
ALTER TABLE host
    ADD COLUMN capabilities text[] NOT NULL DEFAULT '{}',
    ADD COLUMN credential text,
    ADD COLUMN draining boolean NOT NULL DEFAULT false,
    ADD COLUMN heard_at timestamptz;
