-- Second factors of users. One counts once its user has confirmed it. `secret_sealed` is the seed of an
-- authenticator app, sealed with the key `key_id`, which is not in the database; `last_step` is the step of
-- the last code that was used.
CREATE TABLE factors (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind VARCHAR(16) NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    confirmed_at TIMESTAMP,
    last_used_at TIMESTAMP,
    secret_sealed TEXT NOT NULL,
    key_id VARCHAR(64) NOT NULL,
    last_step BIGINT NOT NULL
);
CREATE INDEX factors_user_id ON factors (user_id);
CREATE INDEX factors_unconfirmed ON factors (created_at) WHERE confirmed_at IS NULL;

-- Codes for users who have lost their factors, as bcrypt hashes. Each counts once.
CREATE TABLE recovery_codes (
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    slot BIGINT NOT NULL CHECK (slot BETWEEN 0 AND 9),
    hash VARCHAR(255) NOT NULL,
    created_at TIMESTAMP NOT NULL,
    used_at TIMESTAMP,
    PRIMARY KEY (user_id, slot)
);

-- Sign-ins with the right password that wait for a second factor, by the digest of their token. `state` is
-- what the client has asked for, as JSON; it holds no secret.
CREATE TABLE challenges (
    digest VARCHAR(64) NOT NULL PRIMARY KEY,
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    purpose VARCHAR(16) NOT NULL,
    state TEXT NOT NULL,
    tries BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL
);
CREATE INDEX challenges_user_id ON challenges (user_id);
CREATE INDEX challenges_expires_at ON challenges (expires_at);
