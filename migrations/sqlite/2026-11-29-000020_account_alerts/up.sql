-- What the audit trail already says about the wait of an account or of a known address: 0 nothing,
-- 1 that an attempt was refused, 2 that the wait has reached its maximum.
ALTER TABLE login_failures ADD COLUMN alerts BIGINT NOT NULL DEFAULT 0;
