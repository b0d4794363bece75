//! The names of users as the search compares them. The databases fold ASCII themselves; other names are
//! folded here, and stored next to what they were made of.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use pydantic_email::fold;

use super::limits::MAX_TEXT;
use super::schema::user_names;
use super::{StoreConnection, Writing};

/// The condition of the index `users_unfolded`, word for word: otherwise SQLite does not use it.
const UNFOLDED_SQLITE: &str = "length(CAST(name || surname AS BLOB)) <> length(name || surname) \
     AND substr(COALESCE(folded_names, ''), 1, length(name || surname) + 2) \
         <> name || ' ' || surname || ' '";

/// The same on Postgres.
const UNFOLDED_POSTGRES: &str = "octet_length(name || surname) <> length(name || surname) \
     AND substr(COALESCE(folded_names, ''), 1, length(name || surname) + 2) \
         <> name || ' ' || surname || ' '";

/// The condition for users whose names are neither ASCII nor folded.
pub(super) fn unfolded(conn: &StoreConnection) -> &'static str {
    match conn {
        StoreConnection::Sqlite(_) => UNFOLDED_SQLITE,
        StoreConnection::Postgres(_) => UNFOLDED_POSTGRES,
    }
}

/// What `users.folded_names` contains for these names: `None` for ASCII, and if it would be too long for
/// the column. Users without it are compared in each search.
pub(super) fn folded_names(name: &str, surname: &str) -> Option<String> {
    if name.is_ascii() && surname.is_ascii() {
        return None;
    }
    let text = format!("{name} {surname} {} {}", fold(name), fold(surname));
    (text.len() <= MAX_TEXT).then_some(text)
}

/// Stores the folded names of a user who has these names now.
pub(super) fn store(tx: &mut Writing<'_>, id: i64, name: &str, surname: &str) -> QueryResult<()> {
    let Some(folded) = folded_names(name, surname) else {
        return Ok(());
    };
    let same_names = user_names::table
        .filter(user_names::id.eq(id))
        .filter(user_names::name.eq(name))
        .filter(user_names::surname.eq(surname));
    diesel::update(same_names)
        .set(user_names::folded_names.eq(folded))
        .execute(tx.conn())
        .map(drop)
}

/// Folds the names of the next users after the id `after` that are not folded, at most `limit`. Returns
/// the id of the last one; `None` if there are no more.
pub(crate) fn fold_next(tx: &mut Writing<'_>, after: i64, limit: i64) -> QueryResult<Option<i64>> {
    let condition = sql::<Bool>(unfolded(tx.conn()));
    let users: Vec<(i64, String, String)> = user_names::table
        .filter(user_names::id.gt(after))
        .filter(condition)
        .order(user_names::id)
        .limit(limit)
        .select((user_names::id, user_names::name, user_names::surname))
        .load(tx.conn())?;
    for (id, name, surname) in &users {
        store(tx, *id, name, surname)?;
    }
    Ok(users.last().map(|(id, ..)| *id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_beyond_ascii_are_stored_folded() {
        assert_eq!(folded_names("Ada", "O'Neil"), None);
        assert_eq!(
            folded_names("J\u{f6}rg", "STRA\u{df}E").as_deref(),
            Some("J\u{f6}rg STRA\u{df}E j\u{f6}rg strasse")
        );
        // One character becomes 18.
        assert_eq!(folded_names(&"\u{fdfa}".repeat(1_000), ""), None);
    }
}
