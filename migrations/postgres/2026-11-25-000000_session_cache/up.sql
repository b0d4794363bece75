-- Notifies every process which of its cached principals have changed: the digest of every token
-- that was ended or altered, or whose user was, and '*' for all of them. By triggers, so that
-- changes made by hand are included. New tokens are not announced: no process caches that a token
-- is unknown.
CREATE FUNCTION tokenhouse_token_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', OLD.access_token);
    RETURN NULL;
END $$;

CREATE FUNCTION tokenhouse_user_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', access_token)
        FROM access_tokens WHERE user_id = OLD.id;
    RETURN NULL;
END $$;

CREATE FUNCTION tokenhouse_all_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('tokenhouse_sessions', '*');
    RETURN NULL;
END $$;

CREATE TRIGGER session_changes_with_its_token AFTER UPDATE OR DELETE ON access_tokens
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_token_changed();

-- Every column that is part of a principal; a new password hash alone changes no principal.
CREATE TRIGGER session_changes_with_its_user AFTER DELETE OR UPDATE
    OF id, name, surname, email, website, scopes, created_at, disabled_at ON users
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_user_changed();

CREATE TRIGGER sessions_end_with_all_tokens AFTER TRUNCATE ON access_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION tokenhouse_all_changed();

-- The processes that cache principals. A process that revokes waits for all of them, or fences
-- those that do not answer and waits until they must have noticed.
CREATE TABLE session_leases (
    id BIGINT NOT NULL PRIMARY KEY,
    fenced BOOLEAN NOT NULL DEFAULT FALSE
);
