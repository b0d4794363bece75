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
CREATE FUNCTION tokenhouse_token_spent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO spent_tokens (access_token, expiration_date)
        VALUES (OLD.access_token, OLD.expiration_date) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION tokenhouse_all_tokens_spent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO spent_tokens (access_token, expiration_date)
        SELECT access_token, expiration_date FROM access_tokens ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER token_is_spent_when_it_ends AFTER DELETE OR UPDATE OF access_token ON access_tokens
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_token_spent();

CREATE TRIGGER tokens_are_spent_when_all_end BEFORE TRUNCATE ON access_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION tokenhouse_all_tokens_spent();

-- Also for changes that a replica applies.
ALTER TABLE access_tokens ENABLE ALWAYS TRIGGER token_is_spent_when_it_ends;
ALTER TABLE access_tokens ENABLE ALWAYS TRIGGER tokens_are_spent_when_all_end;
