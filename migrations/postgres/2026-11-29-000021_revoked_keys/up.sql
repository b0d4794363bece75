-- Revoked keys are deleted after some time; until then what the audit trail says of them can be looked
-- up.
CREATE INDEX api_keys_revoked_at ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
