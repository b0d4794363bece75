-- The tables through which processes agree on what they may cache. Any role that may connect to the
-- database can send and read notifications and take advisory locks, so neither decides anything
-- here: a notification is empty and says only that these tables have changed.

-- A process of an earlier version cannot use the new tables, and answers 503 from now on. This
-- waits until none of them can still be using its cache, which is 0.9 s after it last read its
-- lease.
LOCK TABLE session_leases IN ACCESS EXCLUSIVE MODE;
SELECT pg_sleep(1) FROM session_leases LIMIT 1;
DROP TABLE session_leases;

-- The processes that cache principals. Logged: after a crash of the server a process may not have
-- noticed it yet, and a change still has to wait for that process.
CREATE TABLE session_leases (
    lease BIGINT NOT NULL PRIMARY KEY,
    fenced BOOLEAN NOT NULL DEFAULT FALSE
);

-- The rest is unlogged: a crash ends every connection, and a process that loses its connection
-- clears its cache.

-- The changes in progress, for which every process pauses.
CREATE UNLOGGED TABLE session_calls (
    call BIGINT NOT NULL PRIMARY KEY
);

-- The calls for which the owner of a lease pauses, and the oldest transaction whose end it may not
-- have seen.
CREATE UNLOGGED TABLE session_answers (
    lease BIGINT NOT NULL PRIMARY KEY,
    calls BIGINT[] NOT NULL,
    seen BIGINT NOT NULL
);

-- The log of changes: the digest of every credential that was ended or altered, or whose user was,
-- and '*' for all of them. New ones are not logged: no process caches that a token is unknown.
CREATE UNLOGGED TABLE session_changes (
    txid BIGINT NOT NULL DEFAULT txid_current(),
    credential VARCHAR(255) NOT NULL
);
CREATE INDEX session_changes_txid ON session_changes (txid);

CREATE FUNCTION tokenhouse_ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', '');
    RETURN NULL;
END $$;

CREATE TRIGGER calls_ring AFTER INSERT OR DELETE ON session_calls
    FOR EACH STATEMENT EXECUTE FUNCTION tokenhouse_ring();

CREATE TRIGGER changes_ring AFTER INSERT ON session_changes
    FOR EACH STATEMENT EXECUTE FUNCTION tokenhouse_ring();

CREATE OR REPLACE FUNCTION tokenhouse_token_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_changes (credential) VALUES (OLD.access_token);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_changes (credential)
        SELECT access_token FROM access_tokens WHERE user_id = OLD.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_key_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_changes (credential) VALUES (OLD.key_digest);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_user_of_keys_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_changes (credential)
        SELECT key_digest FROM api_keys WHERE user_id = OLD.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tokenhouse_all_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO session_changes (credential) VALUES ('*');
    RETURN NULL;
END $$;

DO $$
DECLARE
    function REGPROCEDURE;
    hook RECORD;
BEGIN
    FOR function IN SELECT oid FROM pg_proc
        WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, 'tokenhouse_')
    LOOP
        -- A role that may change users needs no rights on these tables, and cannot substitute
        -- temporary tables for them. Without EXECUTE a role cannot run them from a table of its
        -- own.
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp',
            function, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
    END LOOP;
    -- Also where session_replication_role is 'replica', as when logical replication is applied.
    FOR hook IN SELECT tgrelid::regclass AS relation, tgname AS name
        FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
        WHERE pronamespace = current_schema()::regnamespace AND starts_with(proname, 'tokenhouse_')
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', hook.relation, hook.name);
    END LOOP;
END $$;
