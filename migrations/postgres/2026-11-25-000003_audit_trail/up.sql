-- The audit trail: consecutive ids without gaps. `digest` is keyed and covers the row and
-- `previous_digest`, so a row cannot be changed, removed or moved without the key.
CREATE TABLE audit_events (
    id BIGINT NOT NULL PRIMARY KEY,
    at TIMESTAMP NOT NULL,
    actor TEXT NOT NULL,
    credential TEXT NOT NULL,
    level TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    result TEXT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    request_id TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_digest VARCHAR(255) NOT NULL,
    digest VARCHAR(255) NOT NULL
);
CREATE INDEX audit_events_actor ON audit_events (actor, id);
CREATE INDEX audit_events_target ON audit_events (target, id);
CREATE INDEX audit_events_action ON audit_events (action, id);

-- Where the trail begins and ends. `digest` is keyed and covers the other columns. A transaction
-- that appends an event locks this row.
CREATE TABLE audit_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    last_id BIGINT NOT NULL,
    last_digest VARCHAR(255) NOT NULL,
    pruned_id BIGINT NOT NULL,
    pruned_digest VARCHAR(255) NOT NULL,
    digest VARCHAR(255) NOT NULL
);

-- These triggers prevent mistakes. Against a role that may drop triggers there are the digests.
CREATE FUNCTION tokenhouse_audit_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is only appended to';
END $$;

CREATE FUNCTION tokenhouse_audit_pruned_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.id > (SELECT pruned_id FROM audit_head) THEN
        RAISE EXCEPTION 'the audit trail is only appended to';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER audit_events_are_not_changed BEFORE UPDATE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_audit_refuses();

CREATE TRIGGER audit_events_are_not_deleted BEFORE DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION tokenhouse_audit_pruned_only();

CREATE TRIGGER audit_events_are_not_emptied BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION tokenhouse_audit_refuses();

-- Keys that the service generates when the settings provide none.
CREATE TABLE instance_secrets (
    name VARCHAR(255) NOT NULL PRIMARY KEY,
    secret VARCHAR(255) NOT NULL
);

INSERT INTO audit_head (id, last_id, last_digest, pruned_id, pruned_digest, digest)
VALUES (1, 0, '', 0, '', '');
