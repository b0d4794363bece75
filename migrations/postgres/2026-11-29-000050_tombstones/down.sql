DROP TRIGGER tokens_are_spent_when_all_end ON access_tokens;
DROP TRIGGER token_is_spent_when_it_ends ON access_tokens;
DROP FUNCTION tokenhouse_all_tokens_spent;
DROP FUNCTION tokenhouse_token_spent;
DROP TABLE spent_tokens;
DROP TABLE deleted_users;
