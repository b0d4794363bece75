-- A session has at most three tokens of its own, and one for each guarded host that its browser has
-- opened: `audience` is that host. The digest of such a token is made of the secret and the host.
ALTER TABLE access_tokens ADD COLUMN audience VARCHAR(300) NOT NULL DEFAULT '';
ALTER TABLE access_tokens DROP CONSTRAINT access_tokens_slot_check;
ALTER TABLE access_tokens ADD CHECK (slot BETWEEN 0 AND 34);
ALTER TABLE access_tokens ADD CHECK ((audience = '') = (slot < 3));

-- Codes that a browser takes from the sign-in page to a guarded host, where each gets one token.
CREATE TABLE sign_in_codes (
    digest VARCHAR(64) NOT NULL PRIMARY KEY,
    session_id BIGINT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    audience VARCHAR(300) NOT NULL,
    nonce_digest VARCHAR(64) NOT NULL,
    return_url TEXT NOT NULL,
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX sign_in_codes_session_id ON sign_in_codes (session_id);
CREATE INDEX sign_in_codes_expires_at ON sign_in_codes (expires_at);
