DROP TABLE session_changes;

CREATE TABLE session_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    access_token VARCHAR(255) NOT NULL
);

CREATE TRIGGER session_changes_are_bounded AFTER INSERT ON session_changes
BEGIN
    DELETE FROM session_changes WHERE id <= NEW.id - 10000;
END;
