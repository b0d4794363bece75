-- The request id that the caller chose, in addition to the service's own. Empty in older rows,
-- whose digests do not cover it.
ALTER TABLE audit_events ADD COLUMN client_request_id TEXT NOT NULL DEFAULT '';
