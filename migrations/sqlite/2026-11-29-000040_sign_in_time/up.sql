-- When the user of a token proved a password for it; NULL for a token that was issued otherwise.
ALTER TABLE access_tokens ADD COLUMN authenticated_at TIMESTAMP;
