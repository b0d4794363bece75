//! The index of the search for users on Postgres, which needs the extension `pg_trgm`. Without it a search
//! reads all users.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Bool;

use super::connection::StoreConnection;

/// Makes the index in the first schema of the search path, if it can be made.
const CREATE: &str = include_str!("search_index.sql");

const EXISTS: &str = "SELECT EXISTS (SELECT FROM pg_class \
     WHERE relnamespace = current_schema()::regnamespace AND relname = 'users_search') AS has_index";

#[derive(QueryableByName)]
struct Existence {
    #[diesel(sql_type = Bool)]
    has_index: bool,
}

/// Makes the index unless it exists or the role may not create the extension. SQLite's is made by the
/// migrations.
pub(super) fn ensure(conn: &mut StoreConnection) -> QueryResult<()> {
    match conn {
        StoreConnection::Postgres(conn) => ensure_in(conn),
        StoreConnection::Sqlite(_) => Ok(()),
    }
}

/// Like [`ensure`].
pub(super) fn ensure_in(conn: &mut PgConnection) -> QueryResult<()> {
    conn.batch_execute(CREATE)
}

/// Whether the schema has the index.
pub(super) fn exists(conn: &mut PgConnection) -> QueryResult<bool> {
    let found: Existence = diesel::sql_query(EXISTS).get_result(conn)?;
    Ok(found.has_index)
}
