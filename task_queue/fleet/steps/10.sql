-- For who removes what is old: ended tasks that still have their texts, and events by their time.
CREATE INDEX task_ended ON task (changed_at) WHERE state IN ('completed', 'failed') AND document IS NOT NULL;
CREATE INDEX event_at ON event USING brin (at);
