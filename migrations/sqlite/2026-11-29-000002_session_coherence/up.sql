-- `stamp` distinguishes logs. After a log was emptied its ids begin at 1 again, and a process must
-- not mistake a new row for the row with the same id that it has read. The contents of the old log
-- are not needed: a process clears its cache when the schema changes.
DROP TABLE session_changes;

CREATE TABLE session_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    access_token VARCHAR(255) NOT NULL,
    stamp BIGINT NOT NULL DEFAULT (random())
);

-- A process that has fallen behind further than this clears its cache. The last row always stays.
CREATE TRIGGER session_changes_are_bounded AFTER INSERT ON session_changes
BEGIN
    DELETE FROM session_changes WHERE id <= NEW.id - 10000;
END;
