-- For pruning, which must not read the tokens that are still good.
CREATE INDEX access_tokens_expiration_date ON access_tokens (expiration_date);
