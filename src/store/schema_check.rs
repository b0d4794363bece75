//! Compares the schema of a database with what the migrations create: a foreign trigger on these
//! tables could grant any scope.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::connection::StoreConnection;
use super::{StoreError, migrations, recognition, search_index};
use crate::config::DatabaseConfig;

/// The result of comparing a schema with what its migrations create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemaComparison {
    /// The schema is the same.
    Equal,
    /// The differences, one sentence each.
    Differs(Vec<String>),
    /// Unknown: the role may not create the Postgres schema that the comparison needs.
    NotPermitted,
}

/// A table, index or trigger: its kind and name, and its complete definition.
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
struct Permission {
    #[diesel(sql_type = Bool)]
    is_permitted: bool,
}

/// The excluded tables are created by ANALYZE.
const SQLITE_OBJECTS: &str = "SELECT type || ' ' || name AS name, \
     tbl_name || ' ' || COALESCE(sql, '') AS definition FROM sqlite_schema \
     WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4'))";

const POSTGRES_OBJECTS: &str = include_str!("schema_check.sql");

const VERSIONS: &str = "SELECT version FROM __diesel_schema_migrations ORDER BY version";

/// Postgres prints names without their schema if the search path finds them, so both schemas look
/// the same while each is the search path.
const USE_OUR_SCHEMA: &str = "SELECT set_config('search_path', quote_ident(n.nspname), true) \
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.oid = to_regclass('__diesel_schema_migrations')";

const USE_NEW_SCHEMA: [&str; 2] = [
    "CREATE SCHEMA tokenhouse_reference",
    "SET LOCAL search_path = tokenhouse_reference",
];

/// Compares the configured database. Changes nothing. Blocks.
///
/// # Errors
/// [`StoreError::Unsuitable`] if it does not exist or is not ours,
/// [`StoreError::Unavailable`] if it cannot be read, [`StoreError::Migration`] if a newer version
/// has migrated it.
pub fn compare_schema(config: &DatabaseConfig) -> Result<SchemaComparison, StoreError> {
    let (_manager, mut conn) = recognition::open_existing(config)?;
    compare(&mut conn)
}

/// Like [`compare_schema`], on an open connection.
pub(super) fn compare(conn: &mut StoreConnection) -> Result<SchemaComparison, StoreError> {
    let (found, expected) = match conn {
        StoreConnection::Sqlite(conn) => sqlite_objects(conn)?,
        StoreConnection::Postgres(_) => {
            let query =
                "SELECT has_database_privilege(current_database(), 'CREATE') AS is_permitted";
            let Permission { is_permitted } = diesel::sql_query(query).get_result(conn)?;
            if !is_permitted {
                return Ok(SchemaComparison::NotPermitted);
            }
            conn.begin_write()?;
            let objects = postgres_objects(conn);
            // Drops the objects created for the comparison.
            let rolled_back = conn.roll_back_write();
            let objects = objects?;
            rolled_back?;
            objects
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

fn sqlite_objects(conn: &mut SqliteConnection) -> Result<FoundAndExpected, StoreError> {
    let found = diesel::sql_query(SQLITE_OBJECTS).load(conn)?;
    let versions: Vec<Version> = diesel::sql_query(VERSIONS).load(conn)?;
    let mut reference = SqliteConnection::establish(":memory:").map_err(|_error| {
        StoreError::Unavailable("no in-memory database can be opened".to_owned())
    })?;
    migrations::run_on_empty_sqlite(&mut reference, &names(versions))?;
    let expected = diesel::sql_query(SQLITE_OBJECTS).load(&mut reference)?;
    Ok((found, expected))
}

fn postgres_objects(conn: &mut StoreConnection) -> Result<FoundAndExpected, StoreError> {
    let StoreConnection::Postgres(conn) = conn else {
        return Ok((Vec::new(), Vec::new()));
    };
    diesel::sql_query(USE_OUR_SCHEMA).execute(conn)?;
    let versions: Vec<Version> = diesel::sql_query(VERSIONS).load(conn)?;
    let found = diesel::sql_query(POSTGRES_OBJECTS).load(conn)?;
    let has_search_index = search_index::exists(conn)?;
    for statement in USE_NEW_SCHEMA {
        diesel::sql_query(statement).execute(conn)?;
    }
    migrations::run_on_empty_postgres(conn, &names(versions))?;
    if has_search_index {
        search_index::ensure_in(conn)?;
    }
    let expected = diesel::sql_query(POSTGRES_OBJECTS).load(conn)?;
    Ok((found, expected))
}

fn names(versions: Vec<Version>) -> Vec<String> {
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
                differences.push(format!("{} was changed", escape(&object.name)));
            }
            None => differences.push(format!(
                "{} does not belong to Tokenhouse",
                escape(&object.name)
            )),
        }
    }
    let missing = expected
        .iter()
        .filter(|object| !found_names.contains(&object.name));
    differences.extend(missing.map(|object| format!("{} is missing", escape(&object.name))));
    differences
}

/// Escapes an untrusted name.
fn escape(name: &str) -> String {
    name.chars()
        .take(200)
        .flat_map(char::escape_debug)
        .collect()
}
