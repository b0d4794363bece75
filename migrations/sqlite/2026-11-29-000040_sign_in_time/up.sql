-- When the user proved the password for a token; NULL for a token that was issued without one.
ALTER TABLE access_tokens ADD COLUMN authenticated_at TIMESTAMP;
