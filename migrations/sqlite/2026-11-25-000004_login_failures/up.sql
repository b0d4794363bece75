-- Throttle counters of attempts to sign in. `subject` and `account` are keyed digests of canonical
-- names and of addresses, so that this table does not reveal who tried what, and so that unknown
-- names are counted like known ones.
CREATE TABLE login_failures (
    subject VARCHAR(64) NOT NULL PRIMARY KEY,
    account VARCHAR(64),
    failures BIGINT NOT NULL,
    next_at TIMESTAMP,
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX login_failures_account ON login_failures (account);
CREATE INDEX login_failures_expires_at ON login_failures (expires_at);
