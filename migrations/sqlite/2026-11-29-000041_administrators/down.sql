DROP TABLE administrators_lock;
DROP INDEX users_administrators;
