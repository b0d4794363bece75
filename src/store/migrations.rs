//! Runs the migrations. Both databases have migrations with the same names.

use diesel::connection::SimpleConnection;
use diesel::migration::{Migration, MigrationSource};
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{Bool, Text};
use diesel::sqlite::Sqlite;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::StoreError;
use super::connection::StoreConnection;

const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");

/// The table of the applied migrations, which is diesel's.
pub(super) const TABLE: &str = "__diesel_schema_migrations";

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
            Self::Newer => Err(StoreError::Migration(NEWER.to_owned())),
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
    let (applied, known) = (applied(conn)?, known()?);
    if !applied.iter().all(|version| known.contains(version)) {
        return Ok(Difference::Newer);
    }
    let is_pending = |version: &&String| !applied.contains(version);
    Ok(Difference::Pending(known.iter().filter(is_pending).count()))
}

/// The versions of the applied migrations; none if their table does not exist. Changes nothing.
pub(super) fn applied(conn: &mut StoreConnection) -> QueryResult<Vec<String>> {
    let query = match conn {
        StoreConnection::Postgres(_) => POSTGRES_HAS_TABLE,
        StoreConnection::Sqlite(_) => SQLITE_HAS_TABLE,
    };
    let Existence { has_table } = diesel::sql_query(query).get_result(conn)?;
    if has_table {
        versions(conn, "SELECT version FROM __diesel_schema_migrations")
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
pub(super) fn is_ours(applied: &[String]) -> QueryResult<bool> {
    let known = known()?;
    Ok(applied.iter().any(|version| known.contains(version)))
}

/// The versions of this program's migrations, which are the same for both databases.
fn known() -> QueryResult<Vec<String>> {
    let all = MigrationSource::<Sqlite>::migrations(&SQLITE);
    let all = all.map_err(DieselError::QueryBuilderError)?;
    let versions = all
        .iter()
        .map(|migration| migration.name().version().to_string());
    Ok(versions.collect())
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
