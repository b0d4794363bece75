-- The prefixes of the hashes, by which the service finds the stored algorithms and parameters
-- without reading every row: 7 characters for bcrypt, and enough to hold all parameters for the
-- others.
CREATE INDEX users_hash_class ON users (
    (CASE substr(hashed_password, 1, 2)
        WHEN '$2' THEN substr(hashed_password, 1, 7)
        ELSE substr(hashed_password, 1, 44)
    END) COLLATE "C"
);
