DROP TRIGGER token_is_spent_when_it_is_exchanged;
DROP TRIGGER token_is_spent_when_it_ends;
DROP TABLE spent_tokens;
DROP TABLE deleted_users;
