-- The id that the caller gave to a request, beside the one that the service gave to it. Empty in rows
-- from before, whose digests do not go over it.
ALTER TABLE audit_events ADD COLUMN client_request_id TEXT NOT NULL DEFAULT '';
