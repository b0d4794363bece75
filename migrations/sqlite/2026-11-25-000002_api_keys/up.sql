-- Personal API keys, many per user. `key_digest` is the hex SHA-256 of the key. The row of a
-- revoked key is kept, so that the audit trail's references to it can be looked up.
CREATE TABLE api_keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    hint TEXT NOT NULL,
    key_digest VARCHAR(255) NOT NULL UNIQUE,
    scopes TEXT NOT NULL DEFAULT '',
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    last_used_at TIMESTAMP,
    revoked_at TIMESTAMP
);
CREATE INDEX api_keys_user_id ON api_keys (user_id, id);

-- As for login tokens: the log records what changes the principal of a key.
CREATE TRIGGER key_session_ends_with_its_key BEFORE DELETE ON api_keys
BEGIN
    INSERT INTO session_changes (access_token) VALUES (OLD.key_digest);
END;

CREATE TRIGGER key_session_ends_when_replaced BEFORE INSERT ON api_keys
BEGIN
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE id = NEW.id OR key_digest = NEW.key_digest;
END;

-- Not `last_used_at`: it changes once a minute and affects no decision.
CREATE TRIGGER key_session_changes_with_its_key BEFORE UPDATE
    OF id, user_id, name, hint, key_digest, scopes, created_at, expires_at, revoked_at ON api_keys
BEGIN
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE id IN (OLD.id, NEW.id) OR key_digest IN (OLD.key_digest, NEW.key_digest);
END;

CREATE TRIGGER key_session_changes_with_its_user BEFORE UPDATE
    OF id, name, surname, email, website, scopes, created_at, disabled_at ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE user_id IN (OLD.id, NEW.id);
END;

CREATE TRIGGER key_session_ends_with_its_user BEFORE DELETE ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE user_id = OLD.id;
END;

CREATE TRIGGER key_session_ends_when_its_user_is_replaced BEFORE INSERT ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE user_id = NEW.id
           OR user_id IN (SELECT id FROM users WHERE email_key = NEW.email_key);
END;
