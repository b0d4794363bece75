//! The search for users by a part of their address, name or surname.
//!
//! Upper and lower case, and the spellings that Unicode treats alike, are the same here. The databases
//! do not compare that way, so they only narrow the search: to the folded address, to ASCII names
//! without regard to case, and to all other names. Then each user is compared exactly.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use pydantic_email::fold;

use super::StoreConnection;
use super::limits::{MAX_PAGE_BYTES, Row};
use super::schema::users;
use super::user::{USER_COLUMNS, User};

/// Rows fetched at a time.
const BATCH_SIZE: i64 = 256;

/// The maximum number of users that are compared for a page.
const MAX_COMPARED: usize = 20_000;

/// A page of users.
pub(crate) struct Found {
    pub(crate) users: Vec<User>,
    /// The address after which the next page begins; `None` after the last user.
    pub(crate) next: Option<String>,
}

/// The users that contain `text`, after the address `after` in the form of
/// [`NewUser::email_key`](super::NewUser::email_key), in the order of their addresses: at most `limit`,
/// and fewer if they are large or many others were compared.
pub(crate) fn page(
    conn: &mut StoreConnection,
    text: &str,
    after: &str,
    limit: i64,
) -> QueryResult<Found> {
    let text = fold(text);
    let pattern = pattern(&text);
    let limit = usize::try_from(limit).unwrap_or(0);
    let mut users: Vec<User> = Vec::new();
    let (mut last, mut compared, mut bytes) = (after.to_owned(), 0, 0);
    loop {
        let rows = candidates(conn, &pattern, &last)?;
        let is_last = (rows.len() as i64) < BATCH_SIZE;
        for (address, user) in rows {
            let is_found = contains(&address, &user, &text);
            compared += 1;
            bytes += if is_found { user.text_bytes() } else { 0 };
            let is_full = users.len() == limit || (bytes > MAX_PAGE_BYTES && !users.is_empty());
            if (is_found && is_full) || compared > MAX_COMPARED {
                return Ok(Found {
                    users,
                    next: Some(last),
                });
            }
            if is_found {
                users.push(user);
            }
            last = address;
        }
        if is_last {
            return Ok(Found { users, next: None });
        }
    }
}

/// The next users that may contain the text of this pattern.
fn candidates(
    conn: &mut StoreConnection,
    pattern: &str,
    after: &str,
) -> QueryResult<Vec<(String, User)>> {
    // `lower` may leave other characters than ASCII as they are: see the last two conditions.
    let may_contain = users::email_key
        .like(pattern)
        .escape('\\')
        .or(sql::<Bool>("lower(name) LIKE ")
            .bind::<Text, _>(pattern)
            .sql(" ESCAPE '\\'"))
        .or(sql::<Bool>("lower(surname) LIKE ")
            .bind::<Text, _>(pattern)
            .sql(" ESCAPE '\\'"))
        .or(sql::<Bool>("octet_length(name) <> length(name)"))
        .or(sql::<Bool>("octet_length(surname) <> length(surname)"));
    users::table
        // Always set, so that the index is searched in the order of the addresses.
        .filter(users::email_key.gt(after))
        .filter(may_contain)
        .filter(users::is_app.eq(false))
        .order(users::email_key)
        .limit(BATCH_SIZE)
        .select((users::email_key, USER_COLUMNS))
        .load(conn)
}

/// Whether the address, which is folded, or a name contains the folded text.
fn contains(address: &str, user: &User, text: &str) -> bool {
    let folds_to = |name: &str| fold(name).contains(text);
    address.contains(text) || folds_to(&user.name) || folds_to(&user.surname)
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
    use super::pattern;

    #[test]
    fn pattern_matches_wildcards_literally() {
        assert_eq!(pattern("ada"), "%ada%");
        assert_eq!(pattern(r"a_b%c\"), r"%a\_b\%c\\%");
    }
}
