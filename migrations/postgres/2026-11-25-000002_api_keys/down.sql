ALTER TABLE users ALTER COLUMN email_key TYPE TEXT COLLATE "default";
DROP TRIGGER key_session_changes_with_its_user ON users;
DROP TABLE api_keys;
DROP FUNCTION tokenhouse_user_of_keys_changed();
DROP FUNCTION tokenhouse_key_changed();
