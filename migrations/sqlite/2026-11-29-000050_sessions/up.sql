-- A sign-in is a session. `slot` is less than the number of sessions that a user may have, so with
-- the limit 1 the database itself holds the tutorial's rule of one access token per user.
CREATE TABLE sessions (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slot BIGINT NOT NULL CHECK (slot >= 0),
    kind VARCHAR(16) NOT NULL,
    name TEXT NOT NULL,
    device_digest VARCHAR(64),
    user_agent TEXT NOT NULL,
    first_ip VARCHAR(64) NOT NULL,
    last_ip VARCHAR(64) NOT NULL,
    created_at TIMESTAMP NOT NULL,
    last_used_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    idle_seconds BIGINT,
    authenticated_at TIMESTAMP,
    amr VARCHAR(64) NOT NULL,
    scopes TEXT NOT NULL,
    UNIQUE (user_id, slot),
    UNIQUE (user_id, device_digest)
);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- The sessions with a refresh token: digests of the current one and of the one before, what the current
-- one was derived with besides the one before, and whether the client is known to have it.
CREATE TABLE refresh_tokens (
    session_id INTEGER NOT NULL PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    counter BIGINT NOT NULL,
    digest VARCHAR(64) NOT NULL,
    previous_digest VARCHAR(64) NOT NULL,
    salt VARCHAR(64) NOT NULL,
    rotated_at TIMESTAMP NOT NULL,
    is_received BOOLEAN NOT NULL DEFAULT FALSE CHECK (is_received IN (FALSE, TRUE))
);

INSERT INTO sessions (user_id, slot, kind, name, user_agent, first_ip, last_ip, created_at,
                      last_used_at, expires_at, authenticated_at, amr, scopes)
    SELECT user_id, 0, 'api', 'before the upgrade', '', '', '', created_at,
           created_at, expiration_date, authenticated_at,
           CASE WHEN authenticated_at IS NULL THEN '' ELSE 'pwd' END, scopes
    FROM access_tokens ORDER BY user_id;

-- The first three columns are the tutorial's. A session has at most three tokens. The table is made
-- again, because SQLite cannot give it another key; its triggers go with it.
CREATE TABLE earlier_tokens AS SELECT * FROM access_tokens;
DROP TABLE access_tokens;
CREATE TABLE access_tokens (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    access_token VARCHAR(255) NOT NULL UNIQUE,
    expiration_date TIMESTAMP NOT NULL,
    scopes TEXT NOT NULL DEFAULT '',
    created_at TIMESTAMP NOT NULL,
    authenticated_at TIMESTAMP,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    slot BIGINT NOT NULL DEFAULT 0 CHECK (slot BETWEEN 0 AND 2),
    PRIMARY KEY (session_id, slot)
) WITHOUT ROWID;
INSERT INTO access_tokens (user_id, access_token, expiration_date, scopes, created_at,
                           authenticated_at, session_id)
    SELECT t.user_id, t.access_token, t.expiration_date, t.scopes, t.created_at,
           t.authenticated_at, s.id
    FROM earlier_tokens AS t JOIN sessions AS s ON s.user_id = t.user_id ORDER BY s.id;
DROP TABLE earlier_tokens;
CREATE INDEX access_tokens_expiration_date ON access_tokens (expiration_date);
CREATE INDEX access_tokens_user_id ON access_tokens (user_id);

CREATE TRIGGER session_ends_with_its_token BEFORE DELETE ON access_tokens
BEGIN
    INSERT INTO session_changes (access_token) VALUES (OLD.access_token);
END;

-- OR REPLACE deletes rows without a DELETE trigger.
CREATE TRIGGER session_ends_when_replaced BEFORE INSERT ON access_tokens
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE (session_id = NEW.session_id AND slot = NEW.slot) OR access_token = NEW.access_token;
END;

CREATE TRIGGER session_changes_with_its_token BEFORE UPDATE ON access_tokens
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE session_id IN (OLD.session_id, NEW.session_id)
           OR access_token IN (OLD.access_token, NEW.access_token);
END;

CREATE TRIGGER token_is_spent_when_it_ends BEFORE DELETE ON access_tokens
BEGIN
    INSERT INTO spent_tokens (access_token, expiration_date)
        VALUES (OLD.access_token, OLD.expiration_date) ON CONFLICT DO NOTHING;
END;

CREATE TRIGGER token_is_spent_when_it_is_exchanged BEFORE UPDATE OF access_token ON access_tokens
BEGIN
    INSERT INTO spent_tokens (access_token, expiration_date)
        VALUES (OLD.access_token, OLD.expiration_date) ON CONFLICT DO NOTHING;
END;

-- The foreign key does this too, but not in a shell, where foreign keys are off.
CREATE TRIGGER tokens_end_with_their_session BEFORE DELETE ON sessions
BEGIN
    DELETE FROM access_tokens WHERE session_id = OLD.id;
    DELETE FROM refresh_tokens WHERE session_id = OLD.id;
END;

CREATE TRIGGER tokens_end_when_their_session_is_replaced BEFORE INSERT ON sessions
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE session_id IN (
            SELECT id FROM sessions WHERE id = NEW.id
                OR (user_id = NEW.user_id AND slot = NEW.slot)
                OR (user_id = NEW.user_id AND device_digest = NEW.device_digest));
END;

-- Every column that is part of a principal, or by which OR REPLACE may delete another session. Not
-- `last_used_at`: it changes once a minute.
CREATE TRIGGER tokens_change_with_their_session BEFORE UPDATE
    OF id, user_id, slot, device_digest, expires_at, idle_seconds, authenticated_at, amr ON sessions
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE session_id IN (
            SELECT id FROM sessions WHERE id IN (OLD.id, NEW.id)
                OR (user_id = NEW.user_id AND slot = NEW.slot)
                OR (user_id = NEW.user_id AND device_digest = NEW.device_digest));
END;
