-- The prefixes of the hashes, by which the service finds the stored algorithms and parameters
-- without reading every row: 7 characters for bcrypt, and enough to hold all parameters for the
-- others.
CREATE INDEX users_hash_class ON users (
    (CASE substr(hashed_password, 1, 2)
        WHEN '$2' THEN substr(hashed_password, 1, 7)
        ELSE substr(hashed_password, 1, 44)
    END)
);

-- The users who may administer others. The queries in src/store/user.rs repeat this condition word
-- for word.
CREATE INDEX users_administrators ON users (disabled_at)
    WHERE replace(' ' || scopes || ' ', ' users:write ', '') <> ' ' || scopes || ' ';

-- One row. A transaction that may remove an administrator locks it first, so that two concurrent
-- transactions cannot remove the last two administrators.
CREATE TABLE administrators_lock (id BIGINT NOT NULL PRIMARY KEY);
INSERT INTO administrators_lock (id) VALUES (1);

-- What the audit trail already says about the wait of an account or of a known address: 0 nothing,
-- 1 that an attempt was refused, 2 that the wait has reached its maximum.
ALTER TABLE login_failures ADD COLUMN alerts BIGINT NOT NULL DEFAULT 0;

-- How many of the counted attempts on an account, or on an account from a known address, are
-- undecided, and until when they may be: those of a killed process remain counted as failures.
-- `signed_in_until` is the time until which the sign-in budget is used up.
ALTER TABLE login_failures ADD COLUMN under_way BIGINT NOT NULL DEFAULT 0;
ALTER TABLE login_failures ADD COLUMN under_way_until TIMESTAMP;
ALTER TABLE login_failures ADD COLUMN signed_in_until TIMESTAMP;

-- Revoked keys are deleted after a retention period. Until then the audit trail's references to
-- them can be looked up.
CREATE INDEX api_keys_revoked_at ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;

-- When the user proved the password for a token; NULL for a token that was issued without one.
ALTER TABLE access_tokens ADD COLUMN authenticated_at TIMESTAMP;

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
