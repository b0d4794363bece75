ALTER TABLE access_tokens DROP COLUMN authenticated_at;
