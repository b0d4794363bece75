//! Compares the tables of a database, and all that acts on them, with what the migrations make: a
//! trigger that another hand has put there can give away any scope.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::connection::{Manager, StoreConnection};
use super::{StoreError, migrations};
use crate::config::DatabaseConfig;

/// How a database differs from what its migrations make.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaComparison {
    /// Not at all.
    Equal,
    /// In these ways, one sentence each.
    Differs(Vec<String>),
    /// The role may not make the Postgres schema that it takes to find out.
    NotAllowed,
}

/// A table, an index, a trigger: its kind and name, and all that it is made of.
#[derive(Clone, PartialEq, Eq, QueryableByName)]
struct Object {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    definition: String,
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = Text)]
    version: String,
}

#[derive(QueryableByName)]
struct Allowed {
    #[diesel(sql_type = Bool)]
    allowed: bool,
}

/// The statistics are what ANALYZE makes.
const OF_SQLITE: &str = "SELECT type || ' ' || name AS name, \
     tbl_name || ' ' || COALESCE(sql, '') AS definition FROM sqlite_schema \
     WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))";

const OF_POSTGRES: &str = include_str!("schema_check.sql");

const VERSIONS: &str = "SELECT version FROM __diesel_schema_migrations ORDER BY version";

/// Postgres shows names without a schema when they are found on the path, so both schemas look the
/// same while each is the path.
const TO_OUR_SCHEMA: &str = "SELECT set_config('search_path', quote_ident(n.nspname), true) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.oid = to_regclass('__diesel_schema_migrations')";

const TO_NEW_SCHEMA: [&str; 2] = [
    "CREATE SCHEMA tokenhouse_reference",
    "SET LOCAL search_path = tokenhouse_reference",
];

/// Compares the database of the settings. Changes nothing. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] when it cannot be read, [`StoreError::Migration`] when it is of a
/// newer version.
pub fn compare_schema(config: &DatabaseConfig) -> Result<SchemaComparison, StoreError> {
    compare(&mut Manager::new(&config.url).connect()?)
}

/// As [`compare_schema`], by a connection.
pub(super) fn compare(conn: &mut StoreConnection) -> Result<SchemaComparison, StoreError> {
    let (found, expected) = match conn {
        StoreConnection::Sqlite(conn) => of_sqlite(conn)?,
        StoreConnection::Postgres(_) => {
            let query = "SELECT has_database_privilege(current_database(), 'CREATE') AS allowed";
            let Allowed { allowed } = diesel::sql_query(query).get_result(conn)?;
            if !allowed {
                return Ok(SchemaComparison::NotAllowed);
            }
            conn.begin_write()?;
            let compared = of_postgres(conn);
            // What was made for the comparison is not kept.
            let rolled_back = conn.roll_back_write();
            let compared = compared?;
            rolled_back?;
            compared
        }
    };
    let differences = differences(found, expected);
    Ok(if differences.is_empty() {
        SchemaComparison::Equal
    } else {
        SchemaComparison::Differs(differences)
    })
}

type FoundAndExpected = (Vec<Object>, Vec<Object>);

fn of_sqlite(conn: &mut SqliteConnection) -> Result<FoundAndExpected, StoreError> {
    let found = diesel::sql_query(OF_SQLITE).load(conn)?;
    let versions: Vec<Version> = diesel::sql_query(VERSIONS).load(conn)?;
    let mut reference = SqliteConnection::establish(":memory:")
        .map_err(|_error| StoreError::Unavailable("no memory for a database".to_owned()))?;
    migrations::run_on_empty_sqlite(&mut reference, &texts(versions))?;
    let expected = diesel::sql_query(OF_SQLITE).load(&mut reference)?;
    Ok((found, expected))
}

fn of_postgres(conn: &mut StoreConnection) -> Result<FoundAndExpected, StoreError> {
    let StoreConnection::Postgres(conn) = conn else {
        return Ok((Vec::new(), Vec::new()));
    };
    diesel::sql_query(TO_OUR_SCHEMA).execute(conn)?;
    let versions: Vec<Version> = diesel::sql_query(VERSIONS).load(conn)?;
    let found = diesel::sql_query(OF_POSTGRES).load(conn)?;
    for statement in TO_NEW_SCHEMA {
        diesel::sql_query(statement).execute(conn)?;
    }
    migrations::run_on_empty_postgres(conn, &texts(versions))?;
    let expected = diesel::sql_query(OF_POSTGRES).load(conn)?;
    Ok((found, expected))
}

fn texts(versions: Vec<Version>) -> Vec<String> {
    versions.into_iter().map(|row| row.version).collect()
}

/// One sentence for each difference.
fn differences(found: Vec<Object>, mut expected: Vec<Object>) -> Vec<String> {
    let names = |objects: &[Object]| -> BTreeSet<String> {
        objects.iter().map(|object| object.name.clone()).collect()
    };
    let (found_names, expected_names) = (names(&found), names(&expected));
    let mut differences = Vec::new();
    for object in found {
        match expected.iter().position(|other| *other == object) {
            Some(index) => drop(expected.swap_remove(index)),
            None if expected_names.contains(&object.name) => {
                differences.push(format!("{} is not as it was made", shown(&object.name)));
            }
            None => differences.push(format!("{} is not Tokenhouse's", shown(&object.name))),
        }
    }
    let missing = expected
        .iter()
        .filter(|object| !found_names.contains(&object.name));
    differences.extend(missing.map(|object| format!("{} is missing", shown(&object.name))));
    differences
}

/// A name that another hand may have given.
fn shown(name: &str) -> String {
    name.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}
