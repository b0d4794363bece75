-- Users who were deleted, so that an import does not bring them back: keyed digests of their
-- addresses.
CREATE TABLE deleted_users (
    address_digest VARCHAR(64) NOT NULL PRIMARY KEY,
    deleted_at TIMESTAMP NOT NULL
);

-- Login tokens that no import may store: those that an import has stored already, and those that
-- have ended. `access_token` is the hex SHA-256, as in access_tokens. A row without a date is kept
-- for good; another until the token would have expired.
CREATE TABLE spent_tokens (
    access_token VARCHAR(255) NOT NULL PRIMARY KEY,
    expiration_date TIMESTAMP
);
CREATE INDEX spent_tokens_expiration_date ON spent_tokens (expiration_date);

-- Some of these were imported, and nothing tells which.
INSERT INTO spent_tokens (access_token) SELECT access_token FROM access_tokens;

-- Triggers, so that no way to end a token is left out.
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
