//! Runs the migrations. Both databases have migrations with the same names.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::{PgConnection, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;
use super::connection::StoreConnection;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The lock of the process that migrates a Postgres database: no role without rights on the table
/// can take it. The table is diesel's, created exactly as diesel creates it.
const POSTGRES_LOCK: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; \
     CREATE TABLE IF NOT EXISTS __diesel_schema_migrations (\
         version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP); \
     LOCK TABLE __diesel_schema_migrations IN EXCLUSIVE MODE";

const NEWER: &str = "the database was migrated by a newer version of Tokenhouse";

type Failure = Box<dyn std::error::Error + Send + Sync>;

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
    let outcome = match conn {
        StoreConnection::Postgres(postgres) => {
            postgres.batch_execute(POSTGRES_LOCK)?;
            run_pending(postgres, POSTGRES)
        }
        StoreConnection::Sqlite(sqlite) => run_pending(sqlite, SQLITE),
    };
    outcome.map_err(|failure| StoreError::Migration(failure.to_string()))
}

fn run_pending<C, DB>(conn: &mut C, source: EmbeddedMigrations) -> Result<Vec<String>, Failure>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    refuse_newer(conn, &source)?;
    let run = conn.run_pending_migrations(source)?;
    Ok(run.iter().map(ToString::to_string).collect())
}

/// The number of pending migrations; an error if a newer version has migrated the database.
pub(super) fn pending(conn: &mut StoreConnection) -> Result<usize, StoreError> {
    let outcome = match conn {
        StoreConnection::Postgres(postgres) => count_pending(postgres, POSTGRES),
        StoreConnection::Sqlite(sqlite) => count_pending(sqlite, SQLITE),
    };
    outcome.map_err(|failure| StoreError::Migration(failure.to_string()))
}

fn count_pending<C, DB>(conn: &mut C, source: EmbeddedMigrations) -> Result<usize, Failure>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    refuse_newer(conn, &source)?;
    Ok(conn.pending_migrations(source)?.len())
}

/// An older program would write rows that a newer schema forbids, or omit required values.
fn refuse_newer<C, DB>(conn: &mut C, source: &EmbeddedMigrations) -> Result<(), Failure>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known = MigrationSource::<DB>::migrations(source)?;
    let known: Vec<_> = known
        .iter()
        .map(|migration| migration.name().version())
        .collect();
    if conn
        .applied_migrations()?
        .iter()
        .all(|applied| known.contains(applied))
    {
        Ok(())
    } else {
        Err(NEWER.into())
    }
}

/// The number of migrations that a database with these versions lacks. Unlike [`pending`], it needs no
/// right to write.
#[cfg(feature = "cli")]
pub(super) fn missing(is_postgres: bool, applied: &[String]) -> Result<usize, StoreError> {
    let known = if is_postgres {
        versions::<diesel::pg::Pg>(&POSTGRES)
    } else {
        versions::<diesel::sqlite::Sqlite>(&SQLITE)
    };
    let known = known.map_err(|failure| StoreError::Migration(failure.to_string()))?;
    if applied.iter().any(|version| !known.contains(version)) {
        return Err(StoreError::Migration(NEWER.to_owned()));
    }
    Ok(known.len() - applied.len())
}

#[cfg(feature = "cli")]
fn versions<DB: diesel::backend::Backend>(
    source: &EmbeddedMigrations,
) -> Result<Vec<String>, Failure>
where
    EmbeddedMigrations: MigrationSource<DB>,
{
    let known = MigrationSource::<DB>::migrations(source)?;
    let versions = known
        .iter()
        .map(|migration| migration.name().version().to_string());
    Ok(versions.collect())
}

/// Runs the migrations of these versions on an empty database, as a reference for comparison.
pub(super) fn run_on_empty_sqlite(
    conn: &mut SqliteConnection,
    versions: &[String],
) -> Result<(), StoreError> {
    run_versions(conn, &SQLITE, versions)
        .map_err(|failure| StoreError::Migration(failure.to_string()))
}

/// Like [`run_on_empty_sqlite`], in the first schema of the search path.
pub(super) fn run_on_empty_postgres(
    conn: &mut PgConnection,
    versions: &[String],
) -> Result<(), StoreError> {
    run_versions(conn, &POSTGRES, versions)
        .map_err(|failure| StoreError::Migration(failure.to_string()))
}

fn run_versions<C, DB>(
    conn: &mut C,
    source: &EmbeddedMigrations,
    versions: &[String],
) -> Result<(), Failure>
where
    DB: diesel::backend::Backend,
    C: MigrationHarness<DB>,
    EmbeddedMigrations: MigrationSource<DB>,
{
    let mut known = MigrationSource::<DB>::migrations(source)?;
    known.sort_by_key(|migration| migration.name().version().as_owned());
    known.retain(|migration| versions.contains(&migration.name().version().to_string()));
    if known.len() != versions.len() {
        return Err(NEWER.into());
    }
    // Creates the table of the migrations.
    conn.applied_migrations()?;
    for migration in &known {
        conn.run_migration(migration)?;
    }
    Ok(())
}
