-- The users who may administer others: src/store/administrators.rs asks with this very condition.
CREATE INDEX users_administrators ON users (disabled_at)
    WHERE replace(' ' || scopes || ' ', ' users:write ', '') <> ' ' || scopes || ' ';

-- One row. A transaction that may remove an administrator locks it first, so that two of them
-- cannot remove the last two administrators at once.
CREATE TABLE administrators_lock (id BIGINT NOT NULL PRIMARY KEY);
INSERT INTO administrators_lock (id) VALUES (1);
