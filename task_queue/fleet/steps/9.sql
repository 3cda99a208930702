-- Tasks on their way between a folder and the fleet. The id is what makes a move that is done again the same one.
CREATE TABLE move (
    id uuid PRIMARY KEY,
    way text NOT NULL CHECK (way IN ('import', 'export')),
    source text NOT NULL,
    name text NOT NULL,
    -- By an id that is kept in it; "place" is for people.
    folder uuid NOT NULL,
    place text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX move_of_folder ON move (folder);

-- Of a task that leaves: it waits, and no host claims it, until it has arrived and the row goes.
ALTER TABLE task ADD COLUMN move uuid REFERENCES move, ADD CHECK (move IS NULL OR state = 'pending');
CREATE INDEX task_leaving ON task (move) WHERE move IS NOT NULL;
