-- The latest time that a process has seen and trusts; NULL before the first one. What has expired
-- by then stays expired, and nothing is pruned while the clock is far ahead of it.
CREATE TABLE clock_mark (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    at TIMESTAMP
);
INSERT INTO clock_mark (id, at)
VALUES (1, (SELECT at FROM audit_events WHERE id = (SELECT last_id FROM audit_head)));
