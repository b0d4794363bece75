//! Looking at a database without changing it.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::connection::{Manager, StoreConnection};
use super::{StoreError, migrations};
use crate::config::DatabaseConfig;

/// What a database is like.
#[derive(Clone, Debug)]
pub struct DatabaseState {
    /// Which software it is, with its version.
    pub version: String,
    /// Migrations that are still to run.
    pub pending: usize,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Looks at the database that the settings name. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] when there is none, [`StoreError::Migration`] when it is ahead of
/// this program.
pub fn inspect(config: &DatabaseConfig) -> Result<DatabaseState, StoreError> {
    if config.url.sqlite_path().is_some_and(|path| !path.exists()) {
        return Err(StoreError::Unavailable(
            "there is no file yet; tokenhouse migrate makes it".to_owned(),
        ));
    }
    let mut conn = Manager::new(&config.url).connect()?;
    let query = match &conn {
        StoreConnection::Sqlite(_) => "SELECT 'SQLite ' || sqlite_version() AS version",
        StoreConnection::Postgres(_) => {
            "SELECT 'PostgreSQL ' || current_setting('server_version') AS version"
        }
    };
    let version: Version = diesel::sql_query(query).get_result(&mut conn)?;
    Ok(DatabaseState {
        version: version.version,
        pending: migrations::pending(&mut conn)?,
    })
}
