-- Of the counted attempts on an account, or on it from a known address, how many are not decided yet, and
-- until when they may be: those of a process that was killed stay counted as failures. `signed_in_until`
-- is until when the budget of sign-ins is used up.
ALTER TABLE login_failures ADD COLUMN under_way BIGINT NOT NULL DEFAULT 0;
ALTER TABLE login_failures ADD COLUMN under_way_until TIMESTAMP;
ALTER TABLE login_failures ADD COLUMN signed_in_until TIMESTAMP;
