-- Programs that own keys without being people. A row of `users`, so that everything that guards a
-- user's keys guards an app's too. Its `email_key` is 'app:' and the name, which is no address, and
-- its `hashed_password` is no hash, so an app cannot sign in.
ALTER TABLE users ADD COLUMN is_app BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX users_apps ON users (id) WHERE is_app;

CREATE FUNCTION tokenhouse_app_stays_app() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an app never becomes a person, nor a person an app';
END $$;

CREATE TRIGGER app_stays_app BEFORE UPDATE OF is_app ON users
    FOR EACH ROW WHEN (OLD.is_app <> NEW.is_app) EXECUTE FUNCTION tokenhouse_app_stays_app();

-- When the log last warned that the key ends soon. It is part of no principal.
ALTER TABLE api_keys ADD COLUMN warned_at TIMESTAMP;
CREATE INDEX api_keys_expires_at ON api_keys (expires_at) WHERE revoked_at IS NULL;

-- The last day of 9999 means that a key has no end. Only apps own such keys.
CREATE FUNCTION tokenhouse_endless_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM users WHERE id = NEW.user_id AND is_app) THEN
        RAISE EXCEPTION 'only keys of apps have no end';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER endless_key_belongs_to_an_app BEFORE INSERT OR UPDATE OF user_id, expires_at
    ON api_keys FOR EACH ROW WHEN (NEW.expires_at >= TIMESTAMP '9999-12-31')
    EXECUTE FUNCTION tokenhouse_endless_key();

DO $$
DECLARE
    name TEXT;
BEGIN
    -- As the other functions: no caller can substitute tables of its own.
    FOREACH name IN ARRAY ARRAY['tokenhouse_app_stays_app', 'tokenhouse_endless_key'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SECURITY DEFINER SET search_path = %I, pg_temp',
            name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', name);
    END LOOP;
END $$;

-- Also for changes that a replica applies.
ALTER TABLE users ENABLE ALWAYS TRIGGER app_stays_app;
ALTER TABLE api_keys ENABLE ALWAYS TRIGGER endless_key_belongs_to_an_app;
