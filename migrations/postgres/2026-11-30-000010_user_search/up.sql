-- For names that are not ASCII: the name, the surname, and both folded by the service
-- (src/store/folded_names.rs), each followed by a space. It counts only while it begins with the names,
-- so a change by another program shows. The index of the search, `users_search`, is made apart from the
-- migrations, because it needs an extension (src/store/search_index.sql).
ALTER TABLE users ADD COLUMN folded_names TEXT;

-- The users whose names are neither ASCII nor folded. The queries repeat this condition word for word.
CREATE INDEX users_unfolded ON users (id)
    WHERE octet_length(name || surname) <> length(name || surname)
      AND substr(COALESCE(folded_names, ''), 1, length(name || surname) + 2)
          <> name || ' ' || surname || ' ';
