//! Inspects a database without changing it: its version, and what other roles can do with it.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Text};

use super::connection::{Manager, StoreConnection, connect_read_only};
use super::recognition::{self, Contents};
use super::{StoreError, migrations, search_index};
use crate::config::DatabaseConfig;

/// The state of a database.
#[derive(Clone, Debug)]
pub struct DatabaseState {
    /// The database software and its version.
    pub version: String,
    /// Whether it has no tables.
    pub is_empty: bool,
    /// The number of pending migrations.
    pub pending: usize,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Inspects the configured database. Blocks.
///
/// # Errors
/// [`StoreError::Unsuitable`] if it does not exist or belongs to another program,
/// [`StoreError::Unavailable`] if it cannot be reached, [`StoreError::Migration`] if a newer version
/// of this program has migrated it.
pub fn inspect(config: &DatabaseConfig) -> Result<DatabaseState, StoreError> {
    let (_manager, mut conn, contents) = recognition::inspect(config)?;
    let query = match &conn {
        StoreConnection::Sqlite(_) => "SELECT 'SQLite ' || sqlite_version() AS version",
        StoreConnection::Postgres(_) => {
            "SELECT 'PostgreSQL ' || current_setting('server_version') AS version"
        }
    };
    let version: Version = diesel::sql_query(query).get_result(&mut conn)?;
    Ok(DatabaseState {
        version: version.version,
        is_empty: contents == Contents::Empty,
        pending: migrations::difference(&mut conn)?.pending()?,
    })
}

/// Whether searches for users of the configured database have an index. Blocks.
///
/// # Errors
/// As for [`compare_schema`](super::compare_schema).
pub fn has_search_index(config: &DatabaseConfig) -> Result<bool, StoreError> {
    let (_manager, mut conn) = recognition::open_existing(config)?;
    match &mut conn {
        StoreConnection::Postgres(conn) => Ok(search_index::exists(conn)?),
        StoreConnection::Sqlite(_) => Ok(true),
    }
}

/// Searches an SQLite file for damage, as SQLite does with `PRAGMA quick_check`. Returns what is found,
/// at most five lines; nothing for Postgres. Reads the whole file, which takes minutes if it is large.
///
/// # Errors
/// [`StoreError::Unavailable`] if the file cannot be opened.
pub fn find_damage(config: &DatabaseConfig) -> Result<Vec<String>, StoreError> {
    if config.url.sqlite_path().is_none() {
        return Ok(Vec::new());
    }
    let mut conn = connect_read_only(&config.url)?;
    let lines: Result<Vec<Damage>, _> = diesel::sql_query("PRAGMA quick_check(5)").load(&mut conn);
    Ok(match lines {
        Ok(lines) => {
            let lines = lines.into_iter().map(|line| line.quick_check);
            lines.filter(|line| line != "ok").collect()
        }
        // The file opens, so the pages that describe the tables are unreadable.
        Err(_damaged) => vec!["the check cannot read the file".to_owned()],
    })
}

#[derive(QueryableByName)]
struct Damage {
    #[diesel(sql_type = Text)]
    quick_check: String,
}

/// The state of a Postgres server.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
#[non_exhaustive]
pub struct PostgresServer {
    /// Whether it is a replica, which accepts no changes.
    #[diesel(sql_type = Bool)]
    pub is_replica: bool,
    /// The time of its clock, in seconds since 1970.
    #[diesel(sql_type = BigInt)]
    pub time: i64,
}

/// Reads the state of the configured Postgres server; `None` for SQLite. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be reached.
pub fn inspect_server(config: &DatabaseConfig) -> Result<Option<PostgresServer>, StoreError> {
    const STATE: &str = "SELECT pg_is_in_recovery() AS is_replica, \
        extract(epoch FROM clock_timestamp())::bigint AS time";
    match Manager::new(&config.url).connect()? {
        StoreConnection::Sqlite(_) => Ok(None),
        StoreConnection::Postgres(mut conn) => {
            Ok(Some(diesel::sql_query(STATE).get_result(&mut conn)?))
        }
    }
}

/// Properties of a Postgres database that make it unsafe, or may do so.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
#[non_exhaustive]
pub struct PostgresExposure {
    /// Whether every role of the server can connect to the database.
    #[diesel(sql_type = Bool)]
    pub public_can_connect: bool,
    /// Whether every role that can connect can create temporary tables.
    #[diesel(sql_type = Bool)]
    pub public_can_create_temporary_tables: bool,
    /// Whether every role that can connect can create tables and functions in Tokenhouse's schema.
    #[diesel(sql_type = Bool)]
    pub public_can_create: bool,
    /// Whether Tokenhouse's own role is a superuser.
    #[diesel(sql_type = Bool)]
    pub is_superuser: bool,
    /// The encoding of the database, such as `UTF8`.
    #[diesel(sql_type = Text)]
    pub encoding: String,
    /// The default isolation level, such as `read committed`.
    #[diesel(sql_type = Text)]
    pub isolation: String,
    /// Other roles that can log in and can read or change one of the tables, except superusers.
    #[diesel(sql_type = Array<Text>)]
    pub other_roles: Vec<String>,
}

/// Reads the settings of the server, the database and the role: the service's own connections
/// override them.
const EXPOSURE: &str = "SELECT \
     has_database_privilege('public', current_database(), 'CONNECT') AS public_can_connect, \
     has_database_privilege('public', current_database(), 'TEMPORARY') \
         AS public_can_create_temporary_tables, \
     has_schema_privilege('public', current_schema(), 'CREATE') AS public_can_create, \
     (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser, \
     current_setting('server_encoding') AS encoding, \
     (SELECT reset_val FROM pg_settings WHERE name = 'default_transaction_isolation') \
         AS isolation, \
     ARRAY(SELECT rolname::text FROM pg_roles WHERE rolcanlogin AND NOT rolsuper \
         AND rolname <> current_user AND EXISTS (\
             SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
             AND relkind IN ('r', 'p') AND relname IN ('access_tokens', 'api_keys', \
                 'audit_events', 'instance_secrets', 'session_calls', 'session_changes', \
                 'session_leases', 'sessions', 'sign_in_codes', 'refresh_tokens', 'users') \
             AND has_table_privilege(pg_roles.oid, pg_class.oid, \
                 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')) \
         ORDER BY rolname) AS other_roles";

/// Inspects the configured Postgres database; `None` for SQLite. Changes nothing. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] if it cannot be reached.
pub fn inspect_exposure(config: &DatabaseConfig) -> Result<Option<PostgresExposure>, StoreError> {
    match recognition::inspect(config)?.1 {
        StoreConnection::Sqlite(_) => Ok(None),
        StoreConnection::Postgres(mut conn) => {
            let exposure = diesel::sql_query(EXPOSURE).get_result(&mut conn)?;
            Ok(Some(exposure))
        }
    }
}
