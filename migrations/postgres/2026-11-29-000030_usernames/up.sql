-- Names with which imported users sign in besides their addresses, folded as addresses are.
CREATE TABLE usernames (
    username_key TEXT NOT NULL PRIMARY KEY,
    user_id BIGINT NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE
);
