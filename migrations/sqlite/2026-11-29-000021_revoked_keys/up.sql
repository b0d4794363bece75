-- Revoked keys are deleted after a retention period. Until then the audit trail's references to
-- them can be looked up.
CREATE INDEX api_keys_revoked_at ON api_keys (revoked_at) WHERE revoked_at IS NOT NULL;
