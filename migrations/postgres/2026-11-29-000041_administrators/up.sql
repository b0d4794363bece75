-- The users who may administer others. The queries in src/store/user.rs repeat this condition word
-- for word.
CREATE INDEX users_administrators ON users (disabled_at)
    WHERE replace(' ' || scopes || ' ', ' users:write ', '') <> ' ' || scopes || ' ';

-- One row. A transaction that may remove an administrator locks it first, so that two concurrent
-- transactions cannot remove the last two administrators.
CREATE TABLE administrators_lock (id BIGINT NOT NULL PRIMARY KEY);
INSERT INTO administrators_lock (id) VALUES (1);
