//! The search for users by a part of their address, name or surname.
//!
//! Upper and lower case, and the spellings that Unicode treats alike, are the same here. The databases
//! do not compare that way, so they only narrow the search, and each user that they propose is compared
//! exactly. An index of trigrams proposes users for texts of three characters or more: on SQLite the
//! table `user_search`, on Postgres the index `users_search`. Otherwise a limited number of users is
//! read, and the page ends where that ends.

use std::collections::{BTreeSet, VecDeque};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use pydantic_email::fold;

use super::StoreConnection;
use super::folded_names::unfolded;
use super::limits::{MAX_PAGE_BYTES, Row};
use super::prepared::prepared;
use super::schema::users;
use super::user::{USER_COLUMNS, User};

/// Rows fetched at a time.
const BATCH_SIZE: i64 = 256;

/// The number of users that are read at a time without the index.
const WINDOW: i64 = 4_000;

/// How many windows are read for a page.
const MAX_WINDOWS: usize = 3;

/// The maximum number of users that are compared for a page.
const MAX_COMPARED: usize = 5_000;

/// The maximum number of trigrams that the index is asked for: the comparison does the rest.
const MAX_TRIGRAMS: usize = 32;

/// The text that the index is made of, ASCII in lower case. On Postgres the expression of the index, word
/// for word.
const SEARCHED_SQLITE: &str = "email_key || ' ' || lower(name || ' ' || surname) || ' ' \
     || COALESCE(folded_names, '') LIKE ";
const SEARCHED_POSTGRES: &str = "email_key || ' ' || lower((name || ' ' || surname) COLLATE \"C\") \
     || ' ' || COALESCE(folded_names, '') LIKE ";

/// The ids that the index proposes.
const INDEXED_SQLITE: &str = "SELECT rowid AS id FROM user_search \
     WHERE user_search MATCH $1 AND rowid > $2 ORDER BY rowid LIMIT $3";

/// The same on Postgres. `id + 0`, or it might read the whole table in the order of the ids.
const INDEXED_POSTGRES: &str = "SELECT id FROM users \
     WHERE email_key || ' ' || lower((name || ' ' || surname) COLLATE \"C\") || ' ' \
         || COALESCE(folded_names, '') LIKE $1 ESCAPE '\\' \
         AND id > $2 ORDER BY id + 0 LIMIT $3";

/// A page of users.
pub(crate) struct Found {
    pub(crate) users: Vec<User>,
    /// The id after which the next page begins; `None` after the last user.
    pub(crate) next: Option<i64>,
}

/// The users that contain `text`, after the id `after`, in the order of their ids: at most `limit`, and
/// fewer if they are large or many others were compared.
pub(crate) fn page(
    conn: &mut StoreConnection,
    text: &str,
    after: i64,
    limit: i64,
) -> QueryResult<Found> {
    let text = fold(text);
    let pattern = pattern(&text);
    // Apps have negative ids.
    let mut page = Page::new(&text, after.max(0), limit);
    let by_index = match conn {
        StoreConnection::Sqlite(_) => trigrams(&text),
        StoreConnection::Postgres(_) => has_word(&text).then(|| pattern.clone()),
    };
    let windows = match (&by_index, &conn) {
        (Some(_), StoreConnection::Sqlite(_)) => 0,
        // Postgres reads all that the index proposes before it sorts, so what is frequent is found faster
        // without.
        _ => MAX_WINDOWS,
    };
    for _ in 0..windows {
        let end = end_of_window(conn, page.last)?;
        while page.has_room() {
            let rows = in_window(conn, &pattern, page.last, end.unwrap_or(i64::MAX))?;
            if !page.add(rows) {
                break;
            }
        }
        match end {
            _ if !page.has_room() => return Ok(page.end(true)),
            None => return Ok(page.end(false)),
            Some(end) => page.last = end,
        }
    }
    let Some(by_index) = by_index else {
        return Ok(page.end(true));
    };
    let mut candidates = Candidates::after(page.last);
    while page.has_room() {
        let ids = candidates.next(conn, &by_index)?;
        let Some(last) = ids.last() else {
            return Ok(page.end(false));
        };
        page.add(with_ids(conn, &ids)?);
        if page.has_room() {
            page.last = *last;
        }
    }
    Ok(page.end(true))
}

/// A page while it is filled.
struct Page<'a> {
    text: &'a str,
    limit: usize,
    users: Vec<User>,
    bytes: usize,
    compared: usize,
    /// The last user that was compared, or where the next comparison begins.
    last: i64,
    is_full: bool,
}

impl<'a> Page<'a> {
    fn new(text: &'a str, after: i64, limit: i64) -> Self {
        Self {
            text,
            limit: usize::try_from(limit).unwrap_or(0),
            users: Vec::new(),
            bytes: 0,
            compared: 0,
            last: after,
            is_full: false,
        }
    }

    /// Whether users may be added.
    fn has_room(&self) -> bool {
        !self.is_full
    }

    /// Adds those of the rows that contain the text, until there is no room. Returns whether there may be
    /// more rows.
    fn add(&mut self, rows: Vec<(String, User)>) -> bool {
        let has_more = rows.len() as i64 == BATCH_SIZE;
        for (address, user) in rows {
            let is_found = contains(&address, &user, self.text);
            self.compared += 1;
            if is_found {
                self.bytes += user.text_bytes();
                let is_too_large = self.bytes > MAX_PAGE_BYTES && !self.users.is_empty();
                self.is_full = self.users.len() == self.limit || is_too_large;
            }
            self.is_full |= self.compared > MAX_COMPARED;
            if self.is_full {
                return true;
            }
            self.last = user.id;
            if is_found {
                self.users.push(user);
            }
        }
        has_more
    }

    fn end(self, has_more: bool) -> Found {
        Found {
            users: self.users,
            next: has_more.then_some(self.last),
        }
    }
}

/// The last of the users that are read at a time after this one; `None` if there are fewer.
fn end_of_window(conn: &mut StoreConnection, after: i64) -> QueryResult<Option<i64>> {
    users::table
        .filter(users::id.gt(after))
        .order(users::id)
        .offset(WINDOW - 1)
        .limit(1)
        .select(users::id)
        .get_result(conn)
        .optional()
}

/// The next users up to the id `end` that may contain the text of this pattern.
fn in_window(
    conn: &mut StoreConnection,
    pattern: &str,
    after: i64,
    end: i64,
) -> QueryResult<Vec<(String, User)>> {
    let searched = match conn {
        StoreConnection::Sqlite(_) => SEARCHED_SQLITE,
        StoreConnection::Postgres(_) => SEARCHED_POSTGRES,
    };
    let may_contain = sql::<Bool>("(")
        .sql(searched)
        .bind::<Text, _>(pattern)
        .sql(" ESCAPE '\\' OR (")
        .sql(unfolded(conn))
        .sql("))");
    users::table
        .filter(users::id.gt(after))
        .filter(users::id.le(end))
        .filter(may_contain)
        .filter(users::is_app.eq(false))
        .order(users::id)
        .limit(BATCH_SIZE)
        .select((users::email_key, USER_COLUMNS))
        .load(conn)
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Ids in ascending order, of which some are fetched at a time.
struct Ids {
    fetched: VecDeque<i64>,
    /// The last id that was fetched, or where the ids begin.
    last: i64,
    has_more: bool,
}

impl Ids {
    fn after(last: i64) -> Self {
        Self {
            fetched: VecDeque::new(),
            last,
            has_more: true,
        }
    }

    /// Fetches some if none are left.
    fn fill(&mut self, fetch: impl FnOnce(i64) -> QueryResult<Vec<i64>>) -> QueryResult<()> {
        if self.fetched.is_empty() && self.has_more {
            self.fetched = fetch(self.last)?.into();
            self.has_more = self.fetched.len() as i64 == BATCH_SIZE;
            self.last = self.fetched.back().copied().unwrap_or(self.last);
        }
        Ok(())
    }

    /// The id up to which all are fetched.
    fn known_up_to(&self) -> i64 {
        if self.has_more { self.last } else { i64::MAX }
    }
}

/// The users that the index proposes, and those whose names it does not know.
struct Candidates {
    indexed: Ids,
    unfolded: Ids,
}

impl Candidates {
    fn after(id: i64) -> Self {
        Self {
            indexed: Ids::after(id),
            unfolded: Ids::after(id),
        }
    }

    /// The next ids, in ascending order; none after the last one. `query` is one of [`trigrams`] on SQLite,
    /// a [`pattern`] on Postgres.
    fn next(&mut self, conn: &mut StoreConnection, query: &str) -> QueryResult<Vec<i64>> {
        self.indexed.fill(|after| indexed(conn, query, after))?;
        self.unfolded.fill(|after| unfolded_ids(conn, after))?;
        let end = self.indexed.known_up_to().min(self.unfolded.known_up_to());
        let mut ids = BTreeSet::new();
        for known in [&mut self.indexed.fetched, &mut self.unfolded.fetched] {
            let count = known.partition_point(|id| *id <= end);
            ids.extend(known.drain(..count));
        }
        Ok(ids.into_iter().collect())
    }
}

/// The next users that the index proposes.
fn indexed(conn: &mut StoreConnection, query: &str, after: i64) -> QueryResult<Vec<i64>> {
    let statement = match conn {
        StoreConnection::Sqlite(_) => INDEXED_SQLITE,
        StoreConnection::Postgres(_) => INDEXED_POSTGRES,
    };
    let ids: Vec<Id> = prepared(statement)
        .bind::<Text, _>(query)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(BATCH_SIZE)
        .load(conn)?;
    Ok(ids.into_iter().map(|row| row.id).collect())
}

/// The next users whose names the index does not know.
fn unfolded_ids(conn: &mut StoreConnection, after: i64) -> QueryResult<Vec<i64>> {
    let condition = sql::<Bool>(unfolded(conn));
    users::table
        .filter(users::id.gt(after))
        .filter(condition)
        .order(users::id)
        .limit(BATCH_SIZE)
        .select(users::id)
        .load(conn)
}

fn with_ids(conn: &mut StoreConnection, ids: &[i64]) -> QueryResult<Vec<(String, User)>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    users::table
        .filter(users::id.eq_any(ids))
        .filter(users::is_app.eq(false))
        .order(users::id)
        .select((users::email_key, USER_COLUMNS))
        .load(conn)
}

/// Whether the address, which is folded, or a name contains the folded text.
fn contains(address: &str, user: &User, text: &str) -> bool {
    let folds_to = |name: &str| fold(name).contains(text);
    address.contains(text) || folds_to(&user.name) || folds_to(&user.surname)
}

/// The query of FTS5 for users with all trigrams of the text; `None` for a shorter text.
fn trigrams(text: &str) -> Option<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut query = String::new();
    for trigram in characters.windows(3).take(MAX_TRIGRAMS) {
        if !query.is_empty() {
            query.push_str(" AND ");
        }
        query.push('"');
        for character in trigram {
            query.push(*character);
            if *character == '"' {
                query.push('"');
            }
        }
        query.push('"');
    }
    (!query.is_empty()).then_some(query)
}

/// Whether `pg_trgm` finds trigrams in the text: it ignores what is no letter or digit.
fn has_word(text: &str) -> bool {
    text.split(|character: char| !character.is_alphanumeric())
        .any(|word| word.chars().nth(2).is_some())
}

/// The pattern of texts that contain this one.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for character in text.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_wildcards_literally() {
        assert_eq!(pattern("ada"), "%ada%");
        assert_eq!(pattern(r"a_b%c\"), r"%a\_b\%c\\%");
    }

    #[test]
    fn index_is_asked_for_three_characters_and_more() {
        assert_eq!(trigrams("ab"), None);
        assert_eq!(trigrams("ada").as_deref(), Some(r#""ada""#));
        assert_eq!(
            trigrams("a\"\u{fc}b").as_deref(),
            Some("\"a\"\"\u{fc}\" AND \"\"\"\u{fc}b\"")
        );
        let long = trigrams(&"ab".repeat(250)).unwrap();
        assert_eq!(long.matches("AND").count(), MAX_TRIGRAMS - 1);
        for (text, expected) in [("a.b@c", false), ("%%%%", false), ("x@web", true)] {
            assert_eq!(has_word(text), expected, "{text}");
        }
    }
}
