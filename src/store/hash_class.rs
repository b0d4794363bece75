//! Which classes of password hashes are stored, found by an index on the beginnings of the hashes. The
//! index knows them however a hash came into the table, and forgets them with the last one.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::StoreConnection;
use crate::password::HashClass;

/// Look-ups for hashes of one beginning. More different parameters than this are no real table.
const MAX_LOOK_UPS: usize = 1_000;

/// What the migration `hash_classes` indexes, in the words of SQLite and of Postgres.
macro_rules! first_class_between {
    ($collation:literal) => {
        concat!(
            "SELECT class FROM (SELECT (CASE substr(hashed_password, 1, 2) ",
            "WHEN '$2' THEN substr(hashed_password, 1, 7) ",
            "ELSE substr(hashed_password, 1, 44) END)",
            $collation,
            " AS class FROM users) AS classes ",
            "WHERE class >= $1 AND class < $2 ORDER BY class LIMIT 1"
        )
    };
}

const SQLITE: &str = first_class_between!("");
const POSTGRES: &str = first_class_between!(" COLLATE \"C\"");

#[derive(QueryableByName)]
struct Beginning {
    #[diesel(sql_type = Text)]
    class: String,
}

/// Every class that is stored, some of them more than once.
pub(crate) fn stored_hash_classes(conn: &mut StoreConnection) -> QueryResult<Vec<HashClass>> {
    let mut classes = Vec::new();
    for prefix in HashClass::PREFIXES {
        let end = after_all(prefix);
        let mut next = prefix.to_owned();
        for _ in 0..MAX_LOOK_UPS {
            let Some(found) = first_between(conn, &next, &end)? else {
                break;
            };
            next = match HashClass::parse_prefix(&found) {
                Some((class, length)) => {
                    classes.push(class);
                    after_all(&found[..length])
                }
                // What cannot be read is skipped by itself, and not what begins like it.
                None => format!("{found}\u{1}"),
            };
        }
    }
    Ok(classes)
}

/// The first beginning of a stored hash from `from` on and before `end`.
fn first_between(conn: &mut StoreConnection, from: &str, end: &str) -> QueryResult<Option<String>> {
    let found: QueryResult<Beginning> = match conn {
        StoreConnection::Postgres(conn) => diesel::sql_query(POSTGRES)
            .bind::<Text, _>(from)
            .bind::<Text, _>(end)
            .get_result(conn),
        StoreConnection::Sqlite(conn) => diesel::sql_query(SQLITE)
            .bind::<Text, _>(from)
            .bind::<Text, _>(end)
            .get_result(conn),
    };
    Ok(found.optional()?.map(|beginning| beginning.class))
}

/// The first text that comes after every one that begins with `prefix`.
fn after_all(prefix: &str) -> String {
    let mut after = prefix.to_owned();
    // The last character is a dollar sign or a digit; what is next to it is ASCII too.
    if let Some(last) = after.pop() {
        after.push(char::from_u32(u32::from(last) + 1).unwrap_or(char::MAX));
    }
    after
}
