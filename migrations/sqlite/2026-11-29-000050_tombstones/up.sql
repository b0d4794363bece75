-- Deleted users, as keyed digests of their addresses, so that an import does not restore them.
CREATE TABLE deleted_users (
    address_digest VARCHAR(64) NOT NULL PRIMARY KEY,
    deleted_at TIMESTAMP NOT NULL
);

-- Login tokens that an import must not store: those that an earlier import has stored, and those
-- that have ended. `access_token` is the hex SHA-256, as in access_tokens. A row without a date is
-- kept forever; others until the token would have expired.
CREATE TABLE spent_tokens (
    access_token VARCHAR(255) NOT NULL PRIMARY KEY,
    expiration_date TIMESTAMP
);
CREATE INDEX spent_tokens_expiration_date ON spent_tokens (expiration_date);

-- Some of these were imported; the database does not record which.
INSERT INTO spent_tokens (access_token) SELECT access_token FROM access_tokens;

-- Triggers, so that every way to end a token is covered.
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
