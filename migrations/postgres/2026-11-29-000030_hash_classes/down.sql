DROP INDEX users_hash_class;
