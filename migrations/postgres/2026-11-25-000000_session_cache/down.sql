DROP TABLE session_leases;
DROP TRIGGER sessions_end_with_all_tokens ON access_tokens;
DROP TRIGGER session_changes_with_its_user ON users;
DROP TRIGGER session_changes_with_its_token ON access_tokens;
DROP FUNCTION tokenhouse_all_changed();
DROP FUNCTION tokenhouse_user_changed();
DROP FUNCTION tokenhouse_token_changed();
