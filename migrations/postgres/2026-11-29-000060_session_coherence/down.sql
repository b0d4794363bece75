DO $$
DECLARE
    function REGPROCEDURE;
    hook RECORD;
BEGIN
    FOR hook IN SELECT tgrelid::regclass AS relation, tgname AS name
        FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, 'tokenhouse_')
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE TRIGGER %I', hook.relation, hook.name);
    END LOOP;
    FOR function IN SELECT oid FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, 'tokenhouse_')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY INVOKER RESET search_path', function);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', function);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_token_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', OLD.access_token);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', access_token)
        FROM access_tokens WHERE user_id = OLD.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', OLD.key_digest);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_user_of_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', key_digest) FROM api_keys WHERE user_id = OLD.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_all_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', '*');
    RETURN NULL;
END $$;

DROP TABLE session_changes;
DROP TABLE session_answers;
DROP TABLE session_calls;
DROP TABLE session_leases;
DROP FUNCTION tokenhouse_ring();

CREATE TABLE session_leases (
    id BIGINT NOT NULL PRIMARY KEY,
    fenced BOOLEAN NOT NULL DEFAULT FALSE
);
