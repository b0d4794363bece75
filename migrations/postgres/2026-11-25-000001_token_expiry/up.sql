-- Lets pruning find expired tokens without reading the live ones.
CREATE INDEX access_tokens_expiration_date ON access_tokens (expiration_date);
