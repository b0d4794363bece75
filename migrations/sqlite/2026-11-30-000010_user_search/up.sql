-- The trigrams of the address and the names of every user, for the search for a part of them. What it
-- finds is compared again, so the index may say too much, as after OR REPLACE, which deletes rows without
-- a DELETE trigger, but never too little. It has no copy of the texts, so an entry is removed by what it
-- was made of.
--
-- The tokenizer folds ASCII and simple cases. `folded_names` is for other names: the name, the surname,
-- and both folded by the service (src/store/folded_names.rs), each followed by a space. It counts only
-- while it begins with the names, so a change by another program shows.
ALTER TABLE users ADD COLUMN folded_names TEXT;

-- The users whose names are neither ASCII nor folded. The queries repeat this condition word for word.
-- Not octet_length(), which older shells do not know: they could not open the file.
CREATE INDEX users_unfolded ON users (id)
    WHERE length(CAST(name || surname AS BLOB)) <> length(name || surname)
      AND substr(COALESCE(folded_names, ''), 1, length(name || surname) + 2)
          <> name || ' ' || surname || ' ';

CREATE VIRTUAL TABLE user_search USING fts5 (
    text, content = '', columnsize = 0, detail = none, tokenize = 'trigram'
);

INSERT INTO user_search (rowid, text)
    SELECT id, email_key || ' ' || name || ' ' || surname || ' ' || COALESCE(folded_names, '')
    FROM users WHERE NOT is_app;

CREATE TRIGGER search_finds_new_user AFTER INSERT ON users WHEN NOT NEW.is_app
BEGIN
    INSERT INTO user_search (rowid, text) VALUES (NEW.id,
        NEW.email_key || ' ' || NEW.name || ' ' || NEW.surname || ' ' || COALESCE(NEW.folded_names, ''));
END;

CREATE TRIGGER search_forgets_user AFTER DELETE ON users WHEN NOT OLD.is_app
BEGIN
    INSERT INTO user_search (user_search, rowid, text) VALUES ('delete', OLD.id,
        OLD.email_key || ' ' || OLD.name || ' ' || OLD.surname || ' ' || COALESCE(OLD.folded_names, ''));
END;

CREATE TRIGGER search_follows_user
    AFTER UPDATE OF id, name, surname, email_key, folded_names ON users
    WHEN NOT NEW.is_app
        AND (OLD.id, OLD.name, OLD.surname, OLD.email_key, COALESCE(OLD.folded_names, ''))
            <> (NEW.id, NEW.name, NEW.surname, NEW.email_key, COALESCE(NEW.folded_names, ''))
BEGIN
    INSERT INTO user_search (user_search, rowid, text) VALUES ('delete', OLD.id,
        OLD.email_key || ' ' || OLD.name || ' ' || OLD.surname || ' ' || COALESCE(OLD.folded_names, ''));
    INSERT INTO user_search (rowid, text) VALUES (NEW.id,
        NEW.email_key || ' ' || NEW.name || ' ' || NEW.surname || ' ' || COALESCE(NEW.folded_names, ''));
END;
