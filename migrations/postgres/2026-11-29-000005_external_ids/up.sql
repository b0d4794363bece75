-- The id of an imported user in another system, where it was not an integer, such as a UUID.
ALTER TABLE users ADD COLUMN external_id VARCHAR(255);
CREATE UNIQUE INDEX users_external_id ON users (external_id) WHERE external_id IS NOT NULL;

-- It is part of a principal.
CREATE TRIGGER session_changes_with_external_id AFTER UPDATE OF external_id ON users
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_user_changed();
CREATE TRIGGER key_session_changes_with_external_id AFTER UPDATE OF external_id ON users
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_user_of_keys_changed();

-- The ids that were given to users who no longer exist: an import must not give them to others.
-- With `and_below`, all smaller ids without a user too: which of them were given out is unknown.
CREATE TABLE retired_ids (
    id BIGINT NOT NULL PRIMARY KEY,
    and_below BOOLEAN NOT NULL DEFAULT FALSE
);
CREATE INDEX retired_ids_and_below ON retired_ids (id) WHERE and_below;

INSERT INTO retired_ids (id, and_below)
    SELECT id, TRUE FROM (
        SELECT GREATEST(
            pg_sequence_last_value(pg_get_serial_sequence('users', 'id')::regclass),
            (SELECT MAX(id) FROM users)
        ) AS id
    ) AS last WHERE id > 0;

-- Triggers, so that every way to delete a user is covered.
CREATE FUNCTION tokenhouse_id_retired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO retired_ids (id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION tokenhouse_all_ids_retired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO retired_ids (id) SELECT id FROM users ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE TRIGGER id_is_retired_with_its_user AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_id_retired();
CREATE TRIGGER id_is_retired_when_it_changes AFTER UPDATE OF id ON users
    FOR EACH ROW WHEN (NEW.id <> OLD.id) EXECUTE FUNCTION tokenhouse_id_retired();
CREATE TRIGGER ids_are_retired_with_all_users BEFORE TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION tokenhouse_all_ids_retired();

DO $$
DECLARE
    function REGPROCEDURE;
    hook RECORD;
BEGIN
    -- As in session_coherence: a role that may delete users needs no rights on the table.
    FOR function IN SELECT oid FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace
          AND proname IN ('tokenhouse_id_retired', 'tokenhouse_all_ids_retired')
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp',
            function, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
    END LOOP;
    FOR hook IN SELECT tgrelid::regclass AS relation, tgname AS name
        FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, 'tokenhouse_')
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', hook.relation, hook.name);
    END LOOP;
END $$;
