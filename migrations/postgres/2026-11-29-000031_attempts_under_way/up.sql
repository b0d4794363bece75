-- How many of the counted attempts on an account, or on an account from a known address, are
-- undecided, and until when they may be: those of a killed process remain counted as failures.
-- `signed_in_until` is the time until which the sign-in budget is used up.
ALTER TABLE login_failures ADD COLUMN under_way BIGINT NOT NULL DEFAULT 0;
ALTER TABLE login_failures ADD COLUMN under_way_until TIMESTAMP;
ALTER TABLE login_failures ADD COLUMN signed_in_until TIMESTAMP;
