-- Programs that own keys without being people. A row of `users`, so that everything that guards a
-- user's keys guards an app's too. Its `email_key` is 'app:' and the name, which is no address, and
-- its `hashed_password` is no hash, so an app cannot sign in.
ALTER TABLE users ADD COLUMN is_app BOOLEAN NOT NULL DEFAULT FALSE CHECK (is_app IN (FALSE, TRUE));
CREATE INDEX users_apps ON users (id) WHERE is_app;

CREATE TRIGGER app_stays_app BEFORE UPDATE OF is_app ON users WHEN OLD.is_app <> NEW.is_app
BEGIN
    SELECT RAISE(ABORT, 'an app never becomes a person, nor a person an app');
END;

-- When the log last warned that the key ends soon. It is part of no principal.
ALTER TABLE api_keys ADD COLUMN warned_at TIMESTAMP;
CREATE INDEX api_keys_expires_at ON api_keys (expires_at) WHERE revoked_at IS NULL;

-- The last day of 9999 means that a key has no end. Only apps own such keys.
CREATE TRIGGER endless_key_belongs_to_an_app BEFORE INSERT ON api_keys
    WHEN NEW.expires_at >= '9999-12-31'
        AND NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND is_app)
BEGIN
    SELECT RAISE(ABORT, 'only keys of apps have no end');
END;

CREATE TRIGGER key_without_end_stays_with_an_app BEFORE UPDATE OF user_id, expires_at ON api_keys
    WHEN NEW.expires_at >= '9999-12-31'
        AND NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND is_app)
BEGIN
    SELECT RAISE(ABORT, 'only keys of apps have no end');
END;
