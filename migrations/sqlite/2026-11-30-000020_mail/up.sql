-- When the user last proved to read the mail of the address; NULL if never. A change of the address that
-- waits for such a proof, and the language for mails (BCP 47; empty for the default).
ALTER TABLE users ADD COLUMN email_verified_at TIMESTAMP;
ALTER TABLE users ADD COLUMN pending_email TEXT;
ALTER TABLE users ADD COLUMN pending_email_key TEXT;
ALTER TABLE users ADD COLUMN locale VARCHAR(35) NOT NULL DEFAULT '';

-- The proof is part of a principal.
CREATE TRIGGER session_changes_with_verification BEFORE UPDATE OF email_verified_at ON users
BEGIN
    INSERT INTO session_changes (access_token) SELECT access_token FROM access_tokens
        WHERE user_id = OLD.id;
    INSERT INTO session_changes (access_token) SELECT key_digest FROM api_keys
        WHERE user_id = OLD.id;
END;

CREATE TABLE invitations (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    invited_by INTEGER REFERENCES users (id) ON DELETE SET NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    accepted_at TIMESTAMP,
    revoked_at TIMESTAMP
);
CREATE UNIQUE INDEX invitations_open ON invitations (email_key)
    WHERE accepted_at IS NULL AND revoked_at IS NULL;
CREATE INDEX invitations_invited_by ON invitations (invited_by);

-- What the links and codes in mails are checked against: digests of the link, and of the link of the try
-- before it, which may have arrived after all; a bcrypt hash of the code. `address_key` is the address
-- that the mail went to, and `address` the same as it is displayed.
CREATE TABLE mail_tokens (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    invitation_id INTEGER REFERENCES invitations (id) ON DELETE CASCADE,
    purpose VARCHAR(16) NOT NULL,
    address TEXT NOT NULL,
    address_key TEXT NOT NULL,
    digest VARCHAR(64) NOT NULL UNIQUE,
    previous_digest VARCHAR(64) UNIQUE,
    code_hash VARCHAR(255),
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    code_expires_at TIMESTAMP,
    used_at TIMESTAMP,
    CHECK ((user_id IS NULL) <> (invitation_id IS NULL))
);
CREATE UNIQUE INDEX mail_tokens_of_user ON mail_tokens (user_id, purpose, address_key)
    WHERE used_at IS NULL;
CREATE UNIQUE INDEX mail_tokens_of_invitation ON mail_tokens (invitation_id) WHERE used_at IS NULL;
CREATE INDEX mail_tokens_address_key ON mail_tokens (address_key, purpose);
CREATE INDEX mail_tokens_expires_at ON mail_tokens (expires_at);
-- For the foreign keys: the indexes above are partial.
CREATE INDEX mail_tokens_user_id ON mail_tokens (user_id);
CREATE INDEX mail_tokens_invitation_id ON mail_tokens (invitation_id);

-- The mails to send, and those that were sent or failed of late. A mail that a client has asked for has no
-- user until a worker looks for one. `detail` is what a notice tells, as JSON; no row has a link or code.
CREATE TABLE mail_outbox (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    purpose VARCHAR(32) NOT NULL,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    invitation_id INTEGER REFERENCES invitations (id) ON DELETE CASCADE,
    to_address TEXT NOT NULL,
    locale VARCHAR(35) NOT NULL,
    ip VARCHAR(64) NOT NULL,
    detail TEXT NOT NULL DEFAULT '',
    message_id VARCHAR(255) NOT NULL UNIQUE,
    queued_at TIMESTAMP NOT NULL,
    next_at TIMESTAMP NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    lease_until TIMESTAMP,
    sent_at TIMESTAMP,
    failed_at TIMESTAMP,
    last_reply TEXT NOT NULL DEFAULT ''
);
CREATE INDEX mail_outbox_due ON mail_outbox (next_at) WHERE sent_at IS NULL AND failed_at IS NULL;
CREATE INDEX mail_outbox_sent ON mail_outbox (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX mail_outbox_failed ON mail_outbox (failed_at) WHERE failed_at IS NOT NULL;
CREATE INDEX mail_outbox_user_id ON mail_outbox (user_id);
CREATE INDEX mail_outbox_invitation_id ON mail_outbox (invitation_id);
