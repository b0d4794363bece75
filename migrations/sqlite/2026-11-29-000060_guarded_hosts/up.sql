-- The first three columns are the tutorial's. A session has at most three tokens of its own, and one for
-- each guarded host that its browser has opened: `audience` is that host. The digest of such a token is
-- made of the secret and the host. The table is made again, because SQLite cannot change a CHECK; its
-- triggers go with it.
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
    slot BIGINT NOT NULL DEFAULT 0 CHECK (slot BETWEEN 0 AND 34),
    audience VARCHAR(300) NOT NULL DEFAULT '' CHECK ((audience = '') = (slot < 3)),
    PRIMARY KEY (session_id, slot)
) WITHOUT ROWID;
INSERT INTO access_tokens (user_id, access_token, expiration_date, scopes, created_at,
                           authenticated_at, session_id, slot)
    SELECT user_id, access_token, expiration_date, scopes, created_at,
           authenticated_at, session_id, slot
    FROM earlier_tokens ORDER BY session_id, slot;
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

-- Codes that a browser takes from the sign-in page to a guarded host, where each gets one token.
CREATE TABLE sign_in_codes (
    digest VARCHAR(64) NOT NULL PRIMARY KEY,
    session_id INTEGER NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    audience VARCHAR(300) NOT NULL,
    nonce_digest VARCHAR(64) NOT NULL,
    return_url TEXT NOT NULL,
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX sign_in_codes_session_id ON sign_in_codes (session_id);
CREATE INDEX sign_in_codes_expires_at ON sign_in_codes (expires_at);
