-- The id of an imported user in another system, where it was not an integer, such as a UUID.
ALTER TABLE users ADD COLUMN external_id VARCHAR(255);
CREATE UNIQUE INDEX users_external_id ON users (external_id) WHERE external_id IS NOT NULL;

-- It is part of a principal. Updates and inserts with OR REPLACE delete the row that has it.
CREATE TRIGGER session_changes_with_external_id BEFORE UPDATE OF external_id ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id = OLD.id
           OR user_id IN (SELECT id FROM users WHERE external_id = NEW.external_id);
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE user_id = OLD.id
           OR user_id IN (SELECT id FROM users WHERE external_id = NEW.external_id);
END;

CREATE TRIGGER session_ends_when_external_id_is_replaced BEFORE INSERT ON users
    WHEN NEW.external_id IS NOT NULL
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id IN (SELECT id FROM users WHERE external_id = NEW.external_id);
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE user_id IN (SELECT id FROM users WHERE external_id = NEW.external_id);
END;

-- The ids that were given to users who no longer exist: an import must not give them to others.
-- With `and_below`, all smaller ids without a user too: which of them were given out is unknown.
CREATE TABLE retired_ids (
    id INTEGER NOT NULL PRIMARY KEY,
    and_below BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX retired_ids_and_below ON retired_ids (id) WHERE and_below;

INSERT INTO retired_ids (id, and_below)
    SELECT seq, TRUE FROM sqlite_sequence WHERE name = 'users' AND seq > 0;

-- Triggers, so that every way to delete a user is covered.
CREATE TRIGGER id_is_retired_with_its_user BEFORE DELETE ON users
BEGIN
    INSERT INTO retired_ids (id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER id_is_retired_when_it_changes BEFORE UPDATE OF id ON users
    WHEN NEW.id <> OLD.id
BEGIN
    INSERT INTO retired_ids (id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
END;
