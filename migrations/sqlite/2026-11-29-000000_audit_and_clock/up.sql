-- The last event that was signed with an earlier key, and two digests under the present key: of the
-- pruned events up to there, and of all events up to there.
ALTER TABLE audit_head ADD COLUMN adopted_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE audit_head ADD COLUMN adopted_start VARCHAR(255) NOT NULL DEFAULT '';
ALTER TABLE audit_head ADD COLUMN adopted_digest VARCHAR(255) NOT NULL DEFAULT '';

-- The request id that the caller chose, in addition to the service's own. Empty in older rows,
-- whose digests do not cover it.
ALTER TABLE audit_events ADD COLUMN client_request_id TEXT NOT NULL DEFAULT '';

-- The latest time that a process has seen and trusts; NULL before the first one. What has expired
-- by then stays expired, and nothing is pruned while the clock is far ahead of it.
CREATE TABLE clock_mark (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    at TIMESTAMP
);
INSERT INTO clock_mark (id, at)
VALUES (1, (SELECT at FROM audit_events WHERE id = (SELECT last_id FROM audit_head)));
