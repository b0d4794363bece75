-- Makes the index of the search for users, unless it exists or the role may not create the extension
-- pg_trgm. Not a migration: an operator may add the extension later. In the schema `public`, because the extension
-- may serve several schemas of this database.
DO $$
DECLARE
    place NAME;
BEGIN
    IF EXISTS (SELECT FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname = 'users_search')
        -- Only the owner of a table may give it an index.
        OR NOT EXISTS (SELECT FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relname = 'users'
                AND pg_has_role(relowner, 'USAGE'))
    THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_trgm')
        AND EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm')
        AND has_database_privilege(current_database(), 'CREATE')
        AND EXISTS (SELECT FROM pg_namespace
            WHERE nspname = 'public' AND has_schema_privilege(oid, 'CREATE'))
    THEN
        BEGIN
            CREATE EXTENSION pg_trgm SCHEMA public;
        EXCEPTION WHEN OTHERS THEN
            -- Another process has just made it, or the role may not.
            NULL;
        END;
    END IF;
    SELECT nspname INTO place FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
        WHERE extname = 'pg_trgm' AND has_schema_privilege(n.oid, 'USAGE');
    IF place IS NOT NULL THEN
        -- The queries of src/store/user_search.rs repeat this expression word for word.
        EXECUTE format($index$
            CREATE INDEX users_search ON users USING gin ((
                email_key || ' ' || lower((name || ' ' || surname) COLLATE "C") || ' '
                || COALESCE(folded_names, '')
            ) %I.gin_trgm_ops)
            -- Each search reads the whole list of pending entries.
            WITH (gin_pending_list_limit = 1024)
        $index$, place);
    END IF;
END $$;
