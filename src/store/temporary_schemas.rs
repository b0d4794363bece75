//! Schemas of Postgres for the tests of one process, which removes them at its end. A process that was
//! killed leaves schemas behind; the next one removes those whose owner has ended. The owner holds a lock
//! on a connection of its own, which the server releases when the process is gone.

use std::sync::{Mutex, PoisonError};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use secrecy::ExposeSecret;

use super::StoreError;
use super::error::describe_postgres;
use super::postgres_connection;
use crate::config::DatabaseUrl;
use crate::credential::hex;

/// How the names of the schemas begin. The id of the owner follows, and the number of the schema.
const PREFIX: &str = "tokenhouse_test_";

/// The length of the id of an owner.
const ID_LENGTH: usize = 16;

/// The schemas of tests, of all processes.
const LIST: &str = "SELECT nspname::text AS name FROM pg_namespace \
     WHERE nspname ~ '^tokenhouse_test_[0-9a-f]{16}_[0-9]+$'";

const LOCK: &str =
    "SELECT pg_try_advisory_lock(hashtextextended('tokenhouse_test_' || $1, 0)) AS ok";

const UNLOCK: &str =
    "SELECT pg_advisory_unlock(hashtextextended('tokenhouse_test_' || $1, 0)) AS ok";

/// Passes a name to the statements below, which have no parameters.
const CHOOSE: &str = "SELECT set_config('tokenhouse.schema', $1, false) AS name";

const CREATE: &str = "DO $$ BEGIN \
     EXECUTE format('CREATE SCHEMA %I', current_setting('tokenhouse.schema')); END $$";

const DROP: &str = "SET client_min_messages = warning; DO $$ BEGIN \
     EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', current_setting('tokenhouse.schema')); END $$";

#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Outcome {
    #[diesel(sql_type = Bool)]
    ok: bool,
}

/// The schemas of this process in a database. They are removed when this is dropped.
pub(crate) struct TemporarySchemas {
    url: DatabaseUrl,
    id: String,
    /// Holds the lock.
    conn: Mutex<PgConnection>,
}

impl TemporarySchemas {
    /// Connects to a database, and removes the schemas of processes that have ended. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be opened; [`StoreError::Unsuitable`] if it is
    /// not Postgres.
    pub(crate) fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let DatabaseUrl::Postgres(secret) = url else {
            let problem = "tokenhouse dev opens no existing database: expected postgres://…";
            return Err(StoreError::Unsuitable(problem.to_owned()));
        };
        let conn = postgres_connection::establish(secret);
        let mut conn = conn.map_err(|error| StoreError::Unavailable(describe_postgres(&error)))?;
        let mut id = [0; ID_LENGTH];
        hex::write(&rand::random::<[u8; ID_LENGTH / 2]>(), &mut id);
        let id = String::from_utf8_lossy(&id).into_owned();
        lock(&mut conn, &id)?;
        remove_abandoned(&mut conn)?;
        Ok(Self {
            url: url.clone(),
            id,
            conn: Mutex::new(conn),
        })
    }

    /// Creates the schema with this number, and returns the URL of the database with only this schema in
    /// its search path. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], for example when the role may not create schemas.
    pub(crate) fn create(&self, number: u64) -> Result<DatabaseUrl, StoreError> {
        let name = self.name(number);
        self.run(|conn| run_on(conn, &name, CREATE))?;
        let DatabaseUrl::Postgres(url) = &self.url else {
            return Err(StoreError::Unavailable("not Postgres".to_owned()));
        };
        let url = url.expose_secret();
        let separator = match url.contains('?') {
            true if url.ends_with(['?', '&']) => "",
            true => "&",
            false => "?",
        };
        let url = format!("{url}{separator}options=-csearch_path%3D{name}");
        Ok(DatabaseUrl::Postgres(url.into()))
    }

    /// Removes the schema with this number. Blocks.
    pub(crate) fn remove(&self, number: u64) {
        let name = self.name(number);
        if let Err(error) = self.run(|conn| run_on(conn, &name, DROP)) {
            // The end of the process, or a later one, tries again.
            log::debug!("database: a schema remains: {}", StoreError::from(error));
        }
    }

    /// Removes all schemas of this process. Blocks.
    pub(crate) fn remove_all(&self) {
        let removed = self.run(|conn| {
            let own = self.name_start();
            for name in list(conn)?.iter().filter(|name| name.starts_with(&own)) {
                run_on(conn, name, DROP)?;
            }
            Ok(())
        });
        if let Err(error) = removed {
            log::warn!("database: schemas remain: {}", StoreError::from(error));
        }
    }

    fn name_start(&self) -> String {
        format!("{PREFIX}{}_", self.id)
    }

    fn name(&self, number: u64) -> String {
        format!("{}{number}", self.name_start())
    }

    fn run<T>(&self, work: impl FnOnce(&mut PgConnection) -> QueryResult<T>) -> QueryResult<T> {
        work(&mut self.conn.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for TemporarySchemas {
    fn drop(&mut self) {
        self.remove_all();
    }
}

/// Takes the lock of an owner, if no process holds it.
fn lock(conn: &mut PgConnection, id: &str) -> QueryResult<bool> {
    let outcome: Outcome = diesel::sql_query(LOCK)
        .bind::<Text, _>(id)
        .get_result(conn)?;
    Ok(outcome.ok)
}

/// Removes the schemas of processes that have ended.
fn remove_abandoned(conn: &mut PgConnection) -> QueryResult<()> {
    for name in list(conn)? {
        let id = name.get(PREFIX.len()..PREFIX.len() + ID_LENGTH);
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            continue;
        };
        if lock(conn, id)? {
            // Fails for the schema of another role.
            let _ = run_on(conn, &name, DROP);
            let _: Outcome = diesel::sql_query(UNLOCK)
                .bind::<Text, _>(id)
                .get_result(conn)?;
        }
    }
    Ok(())
}

fn list(conn: &mut PgConnection) -> QueryResult<Vec<String>> {
    let rows: Vec<Named> = diesel::sql_query(LIST).load(conn)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Runs [`CREATE`] or [`DROP`] for the schema with this name.
fn run_on(conn: &mut PgConnection, name: &str, statement: &str) -> QueryResult<()> {
    let _: Named = diesel::sql_query(CHOOSE)
        .bind::<Text, _>(name)
        .get_result(conn)?;
    conn.batch_execute(statement)
}
