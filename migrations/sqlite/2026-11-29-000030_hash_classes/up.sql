-- The beginnings of the hashes, by which the service finds the algorithms and parameters that are
-- stored without reading every row: 7 characters of a bcrypt, and of others as many as hold all
-- parameters.
CREATE INDEX users_hash_class ON users (
    (CASE substr(hashed_password, 1, 2)
        WHEN '$2' THEN substr(hashed_password, 1, 7)
        ELSE substr(hashed_password, 1, 44)
    END)
);
