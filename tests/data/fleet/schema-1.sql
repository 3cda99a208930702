-- The fleet that the schema belongs to: one row.
CREATE TABLE fleet (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL CHECK (name <> ''),
    version integer NOT NULL,
    written_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Its machines. "beats" only grows while the host lives, whatever its clock says; "life" grows with each process
-- that joins under the name, so that what an earlier one still sends does not count.
CREATE TABLE host (
    name text PRIMARY KEY CHECK (name <> ''),
    life bigint NOT NULL DEFAULT 0,
    beats bigint NOT NULL DEFAULT 0
);

INSERT INTO fleet (name, version, written_by) VALUES ('night', 1, '0.1.0');
INSERT INTO host (name, life, beats) VALUES ('builder', 2, 7);
