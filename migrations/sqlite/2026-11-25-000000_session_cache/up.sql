-- The log from which a process learns which of its cached principals have changed: the digest of
-- every token that was ended or altered, or whose user was. Triggers write it, so that changes made
-- by hand are included. New tokens are not logged: no process caches that a token is unknown.
CREATE TABLE session_changes (
    id INTEGER NOT NULL PRIMARY KEY,
    access_token VARCHAR(255) NOT NULL
);

-- A process that has fallen behind further than this clears its cache. The last row always stays,
-- so that ids only grow.
CREATE TRIGGER session_changes_are_bounded AFTER INSERT ON session_changes
BEGIN
    DELETE FROM session_changes WHERE id <= NEW.id - 10000;
END;

CREATE TRIGGER session_ends_with_its_token BEFORE DELETE ON access_tokens
BEGIN
    INSERT INTO session_changes (access_token) VALUES (OLD.access_token);
END;

-- OR REPLACE deletes rows without a DELETE trigger.
CREATE TRIGGER session_ends_when_replaced BEFORE INSERT ON access_tokens
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id = NEW.user_id OR access_token = NEW.access_token;
END;

CREATE TRIGGER session_changes_with_its_token BEFORE UPDATE ON access_tokens
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id IN (OLD.user_id, NEW.user_id)
           OR access_token IN (OLD.access_token, NEW.access_token);
END;

-- Every column that is part of a principal; a new password hash alone changes no principal.
CREATE TRIGGER session_changes_with_its_user BEFORE UPDATE
    OF id, name, surname, email, website, scopes, created_at, disabled_at ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id IN (OLD.id, NEW.id);
END;

-- The foreign key does this too, but not in a shell, where foreign keys are off.
CREATE TRIGGER session_ends_with_its_user BEFORE DELETE ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id = OLD.id;
END;

CREATE TRIGGER session_ends_when_its_user_is_replaced BEFORE INSERT ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id = NEW.id
           OR user_id IN (SELECT id FROM users WHERE email_key = NEW.email_key);
END;
