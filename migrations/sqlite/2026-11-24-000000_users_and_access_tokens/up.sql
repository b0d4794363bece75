-- The tutorial's two tables. AUTOINCREMENT: the id of a deleted user is never reused.
CREATE TABLE users (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    surname TEXT NOT NULL,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    website TEXT NOT NULL,
    hashed_password VARCHAR(255) NOT NULL,
    scopes TEXT NOT NULL DEFAULT '',
    created_at TIMESTAMP NOT NULL,
    disabled_at TIMESTAMP
);

-- One row per user: a new sign-in replaces the token. `access_token` is the token's hex SHA-256.
CREATE TABLE access_tokens (
    user_id INTEGER NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    access_token VARCHAR(255) NOT NULL UNIQUE,
    expiration_date TIMESTAMP NOT NULL,
    scopes TEXT NOT NULL DEFAULT '',
    created_at TIMESTAMP NOT NULL
);
