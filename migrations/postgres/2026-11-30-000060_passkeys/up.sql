-- The passkeys of confirmed factors of the kind `webauthn`. `credential` is the public key with what the
-- library needs to know of it, as JSON; it holds no secret. `rp_id` is the domain that it is made for. `sign_count`, `backup_eligible` and `backed_up`
-- are what the authenticator said last.
CREATE TABLE passkeys (
    factor_id BIGINT NOT NULL PRIMARY KEY REFERENCES factors (id) ON DELETE CASCADE,
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    credential_id TEXT NOT NULL UNIQUE,
    credential TEXT NOT NULL,
    rp_id VARCHAR(255) NOT NULL,
    aaguid VARCHAR(36) NOT NULL,
    sign_count BIGINT NOT NULL,
    backup_eligible BOOLEAN NOT NULL,
    backed_up BOOLEAN NOT NULL
);
CREATE INDEX passkeys_user_id ON passkeys (user_id);

-- What authenticators know users by: random, so that a passkey of a deleted account says nothing about the
-- next one.
CREATE TABLE user_handles (
    user_id BIGINT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    handle VARCHAR(86) NOT NULL UNIQUE
);
