-- Invitations are deleted some time after they have expired.
CREATE INDEX invitations_expires_at ON invitations (expires_at);
