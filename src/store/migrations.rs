//! Runs the migrations. Both databases have migrations with the same names.

use diesel::connection::SimpleConnection;
use diesel::migration::CREATE_MIGRATIONS_TABLE;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::connection::StoreConnection;
use super::{StoreError, search_index};

/// One migration of both databases.
struct Migration {
    /// The name of its folders: a day, a number, and words.
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

/// Embeds the migrations in these folders.
macro_rules! embed {
    ($($name:literal),+ $(,)?) => {
        &[$(Migration {
            name: $name,
            postgres: include_str!(concat!("../../migrations/postgres/", $name, "/up.sql")),
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, "/up.sql")),
        }),+]
    };
}

/// All migrations, in the order in which they run.
const MIGRATIONS: &[Migration] = embed![
    "2026-11-24-000000_users_and_access_tokens",
    "2026-11-25-000000_session_cache",
    "2026-11-25-000001_token_expiry",
    "2026-11-25-000002_api_keys",
    "2026-11-25-000003_audit_trail",
    "2026-11-25-000004_login_failures",
    "2026-11-29-000000_audit_and_clock",
    "2026-11-29-000001_accounts_and_tokens",
    "2026-11-29-000002_session_coherence",
    "2026-11-29-000005_external_ids",
    "2026-11-29-000010_apps",
    "2026-11-29-000030_usernames",
    "2026-11-29-000040_calls_name_users",
    "2026-11-29-000050_sessions",
    "2026-11-29-000060_guarded_hosts",
    "2026-11-29-000070_hourly_stats",
    "2026-11-30-000010_user_search",
    "2026-11-30-000020_mail",
    "2026-11-30-000030_invitation_expiry",
    "2026-11-30-000040_factors",
    "2026-11-30-000050_trusted_devices",
    "2026-11-30-000060_passkeys",
];

impl Migration {
    /// What the table of the applied migrations contains: the digits before the words, as diesel
    /// writes them.
    fn version(&self) -> String {
        let (number, _words) = self.name.split_once('_').unwrap_or((self.name, ""));
        number.replace('-', "")
    }

    /// Runs the statements for one of the databases, and records that.
    fn run(&self, conn: &mut impl SimpleConnection, statements: &str) -> Result<(), StoreError> {
        let version = self.version();
        let record = format!("INSERT INTO {TABLE} (version) VALUES ('{version}')");
        conn.batch_execute(statements)
            .and_then(|()| conn.batch_execute(&record))
            .map_err(|error| StoreError::Migration(format!("{}: {error}", self.name)))
    }
}

/// The table of the applied migrations, which is diesel's.
pub(super) const TABLE: &str = "__diesel_schema_migrations";

const ALL_APPLIED: &str = "SELECT version FROM __diesel_schema_migrations";

/// Whether the schema where the migrations create tables has that table.
const SQLITE_HAS_TABLE: &str = "SELECT EXISTS (SELECT 1 FROM sqlite_master \
     WHERE type = 'table' AND name = '__diesel_schema_migrations') AS has_table";
const POSTGRES_HAS_TABLE: &str = "SELECT EXISTS (SELECT 1 FROM pg_class \
     WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' \
         AND relname = '__diesel_schema_migrations') AS has_table";

/// The lock of the process that migrates a Postgres database: no role without rights on the table
/// can take it. The table is diesel's, created exactly as diesel creates it.
const POSTGRES_LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
     CREATE TABLE IF NOT EXISTS __diesel_schema_migrations (\
         version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
     LOCK TABLE __diesel_schema_migrations IN EXCLUSIVE MODE";

/// Runs the pending migrations, all or none, and returns their names. Processes that start at the
/// same time take turns: the transaction begins with a lock.
pub(super) fn run(conn: &mut StoreConnection) -> Result<Vec<String>, StoreError> {
    match run_once(conn) {
        // When several processes create the table of the lock at the same time, all but one fail.
        Err(StoreError::Conflict) => run_once(conn),
        outcome => outcome,
    }
}

fn run_once(conn: &mut StoreConnection) -> Result<Vec<String>, StoreError> {
    if let StoreConnection::Sqlite(sqlite) = conn {
        // Another process may be migrating: wait longer than a request would.
        sqlite.batch_execute("PRAGMA busy_timeout = 60000")?;
    }
    conn.begin_write()?;
    let outcome = run_locked(conn);
    match &outcome {
        Ok(_) => conn.commit_write()?,
        Err(_) => {
            if conn.roll_back_write().is_err() {
                log::debug!("database: a rollback failed");
            }
        }
    }
    outcome
}

fn run_locked(conn: &mut StoreConnection) -> Result<Vec<String>, StoreError> {
    match conn {
        StoreConnection::Postgres(postgres) => postgres.batch_execute(POSTGRES_LOCK)?,
        StoreConnection::Sqlite(sqlite) => sqlite.batch_execute(CREATE_MIGRATIONS_TABLE)?,
    }
    let applied = versions(conn, ALL_APPLIED)?;
    if compare(&applied) == Difference::Newer {
        return Err(newer());
    }
    let mut run = Vec::new();
    for migration in MIGRATIONS {
        let version = migration.version();
        if applied.contains(&version) {
            continue;
        }
        let statements = match conn {
            StoreConnection::Postgres(_) => migration.postgres,
            StoreConnection::Sqlite(_) => migration.sqlite,
        };
        migration.run(conn, statements)?;
        run.push(version);
    }
    search_index::ensure(conn)?;
    Ok(run)
}

/// How the tables of a database differ from the migrations of this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Difference {
    /// So many migrations are pending; with 0 the tables are up to date.
    Pending(usize),
    /// A newer version has migrated the database.
    Newer,
}

impl Difference {
    /// The number of pending migrations.
    ///
    /// # Errors
    /// [`StoreError::Migration`] if a newer version has migrated the database.
    pub(super) fn pending(self) -> Result<usize, StoreError> {
        match self {
            Self::Pending(count) => Ok(count),
            Self::Newer => Err(newer()),
        }
    }
}

#[derive(QueryableByName)]
struct Existence {
    #[diesel(sql_type = Bool)]
    has_table: bool,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

/// Compares the applied migrations with those of this program. Changes nothing.
pub(super) fn difference(conn: &mut StoreConnection) -> QueryResult<Difference> {
    Ok(compare(&applied(conn)?))
}

/// An older program would write rows that a newer schema forbids, or omit required values.
fn compare(applied: &[String]) -> Difference {
    let known = known();
    if !applied.iter().all(|version| known.contains(version)) {
        return Difference::Newer;
    }
    let is_pending = |version: &&String| !applied.contains(version);
    Difference::Pending(known.iter().filter(is_pending).count())
}

fn newer() -> StoreError {
    StoreError::Migration("the database was migrated by a newer version of Tokenhouse".to_owned())
}

/// The versions of the applied migrations; none if their table does not exist. Changes nothing.
pub(super) fn applied(conn: &mut StoreConnection) -> QueryResult<Vec<String>> {
    let query = match conn {
        StoreConnection::Postgres(_) => POSTGRES_HAS_TABLE,
        StoreConnection::Sqlite(_) => SQLITE_HAS_TABLE,
    };
    let Existence { has_table } = diesel::sql_query(query).get_result(conn)?;
    if has_table {
        versions(conn, ALL_APPLIED)
    } else {
        Ok(Vec::new())
    }
}

/// The versions that a query returns.
pub(super) fn versions(conn: &mut StoreConnection, query: &str) -> QueryResult<Vec<String>> {
    let rows: Vec<Version> = diesel::sql_query(query).load(conn)?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

/// Whether one of these applied migrations is ours. Other programs use the same table.
pub(super) fn is_ours(applied: &[String]) -> bool {
    let known = known();
    applied.iter().any(|version| known.contains(version))
}

/// The versions of this program's migrations.
fn known() -> Vec<String> {
    MIGRATIONS.iter().map(Migration::version).collect()
}

/// Runs the migrations of these versions on an empty database, as a reference for comparison.
pub(super) fn run_on_empty_sqlite(
    conn: &mut SqliteConnection,
    versions: &[String],
) -> Result<(), StoreError> {
    run_on_empty(conn, versions, |migration| migration.sqlite)
}

/// Like [`run_on_empty_sqlite`], in the first schema of the search path.
pub(super) fn run_on_empty_postgres(
    conn: &mut PgConnection,
    versions: &[String],
) -> Result<(), StoreError> {
    run_on_empty(conn, versions, |migration| migration.postgres)
}

fn run_on_empty(
    conn: &mut impl SimpleConnection,
    versions: &[String],
    statements: fn(&Migration) -> &'static str,
) -> Result<(), StoreError> {
    if compare(versions) == Difference::Newer {
        return Err(newer());
    }
    conn.batch_execute(CREATE_MIGRATIONS_TABLE)?;
    let applied = |migration: &&Migration| versions.contains(&migration.version());
    for migration in MIGRATIONS.iter().filter(applied) {
        migration.run(conn, statements(migration))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_folder_is_embedded_in_order() {
        let names: Vec<_> = MIGRATIONS.iter().map(|migration| migration.name).collect();
        assert!(names.is_sorted(), "{names:?}");
        for database in ["postgres", "sqlite"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
            let entries = fs::read_dir(folder.join(database)).unwrap();
            let mut found: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            found.sort_unstable();
            assert_eq!(found, names, "{database}");
        }
    }

    #[test]
    fn versions_are_those_that_diesel_writes() {
        let versions = known();
        assert_eq!(versions.first().unwrap(), "20261124000000");
        for version in versions {
            assert!(version.len() == 14 && version.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
