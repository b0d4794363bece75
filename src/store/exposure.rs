//! What other roles can do with a Postgres database, and how it is set up.

use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};

use super::StoreError;
use super::connection::{Manager, StoreConnection};
use crate::config::DatabaseConfig;

/// What stands in the way of a safe operation, or could.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
#[non_exhaustive]
pub struct PostgresExposure {
    /// Whether every role of the server may connect to the database.
    #[diesel(sql_type = Bool)]
    pub public_may_connect: bool,
    /// Whether every role that may connect may make temporary tables.
    #[diesel(sql_type = Bool)]
    pub public_may_make_temporary_tables: bool,
    /// Whether every role that may connect may make tables and functions beside Tokenhouse's.
    #[diesel(sql_type = Bool)]
    pub public_may_create: bool,
    /// Whether Tokenhouse's own role may do everything.
    #[diesel(sql_type = Bool)]
    pub is_superuser: bool,
    /// The encoding of the database, as in `UTF8`.
    #[diesel(sql_type = Text)]
    pub encoding: String,
    /// The isolation level of transactions that do not say theirs, as in `read committed`.
    #[diesel(sql_type = Text)]
    pub isolation: String,
    /// Other roles that can log in and read or change one of the tables, superusers left out.
    #[diesel(sql_type = Array<Text>)]
    pub others: Vec<String>,
}

/// What the server was started with, or the database or role was given: our own connections set
/// their own.
const EXPOSURE: &str = "SELECT \
     has_database_privilege('public', current_database(), 'CONNECT') AS public_may_connect, \
     has_database_privilege('public', current_database(), 'TEMPORARY') \
         AS public_may_make_temporary_tables, \
     has_schema_privilege('public', current_schema(), 'CREATE') AS public_may_create, \
     (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser, \
     current_setting('server_encoding') AS encoding, \
     (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_isolation') \
         AS isolation, \
     ARRAY(SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND NOT rolsuper \
         AND rolname <> current_user AND EXISTS (\
             SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
             AND relkind IN ('r', 'p') AND relname IN ('access_tokens', 'api_keys', \
                 'audit_events', 'instance_secrets', 'session_calls', 'session_changes', \
                 'session_leases', 'users') \
             AND has_table_privilege(pg_roles.oid, pg_class.oid, \
                 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')) \
         ORDER BY rolname) AS others";

/// Asks a Postgres database; `None` for SQLite. Changes nothing. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] when there is none.
pub fn inspect_exposure(config: &DatabaseConfig) -> Result<Option<PostgresExposure>, StoreError> {
    match Manager::new(&config.url).connect()? {
        StoreConnection::Sqlite(_) => Ok(None),
        StoreConnection::Postgres(mut conn) => {
            let exposure = diesel::sql_query(EXPOSURE).get_result(&mut conn)?;
            Ok(Some(exposure))
        }
    }
}
