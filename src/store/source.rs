//! Another program's database, which is read and never written.

use diesel::connection::{DefaultLoadingMode, LoadConnection, SimpleConnection};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::StoreError;
use super::connection::{Manager, StoreConnection};
use super::file::sqlite_uri;
use crate::config::DatabaseUrl;

/// A row: each column as text, whatever it is there.
pub type SourceRow = Vec<Option<String>>;

/// What is read: SQL that both databases take.
#[derive(Clone, Debug)]
pub struct SourceQuery {
    /// The columns of each row.
    pub columns: Vec<String>,
    /// What follows `FROM`.
    pub from: String,
}

/// An open database of somebody else's.
pub struct SourceDatabase(StoreConnection);

/// A whole table takes as long as it takes.
const POSTGRES_SETTINGS: &str = "SET statement_timeout = 0; \
     SET idle_in_transaction_session_timeout = 0; \
     SET datestyle = 'ISO, YMD'; \
     SET default_transaction_read_only = on";

/// Nothing is written, and what the file's own views and triggers may call is limited to what
/// cannot do harm. The file may be damaged, or made to harm.
const SQLITE_SETTINGS: &str = "PRAGMA busy_timeout = 5000; \
     PRAGMA query_only = ON; \
     PRAGMA trusted_schema = OFF; \
     PRAGMA cell_size_check = ON; \
     PRAGMA mmap_size = 0";

/// Postgres stores all rows of a function before it gives the first.
const COUNT_TIMEOUT: &str = "SET statement_timeout = '120s'";

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

impl SourceDatabase {
    /// Opens it for reading. Blocks, as everything here does.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when there is no such database to be had.
    pub fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let Some(path) = url.sqlite_path() else {
            let mut conn = Manager::new(url).open_postgres()?;
            conn.batch_execute(POSTGRES_SETTINGS)?;
            return Ok(Self(StoreConnection::Postgres(conn)));
        };
        let uri = sqlite_uri(path, "mode=ro");
        let unreadable = || {
            let path = path.display();
            StoreError::Unavailable(format!("{path}: is no SQLite file that can be read"))
        };
        let mut conn = SqliteConnection::establish(&uri).map_err(|_error| unreadable())?;
        conn.batch_execute(SQLITE_SETTINGS)?;
        diesel::sql_query("SELECT name FROM sqlite_master LIMIT 1")
            .execute(&mut conn)
            .map_err(|_error| unreadable())?;
        Ok(Self(StoreConnection::Sqlite(conn)))
    }

    /// The columns of a table; none when there is no such table.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub fn columns(&mut self, table: &str) -> Result<Vec<String>, StoreError> {
        let lines: Vec<Line> = match &mut self.0 {
            StoreConnection::Postgres(conn) => diesel::sql_query(
                "SELECT column_name::text AS line FROM information_schema.columns \
                 WHERE table_name = $1 AND table_schema = ANY (current_schemas(false))",
            )
            .bind::<Text, _>(table)
            .load(conn)?,
            StoreConnection::Sqlite(conn) => {
                diesel::sql_query("SELECT name AS line FROM pragma_table_info(?)")
                    .bind::<Text, _>(table)
                    .load(conn)?
            }
        };
        Ok(lines.into_iter().map(|line| line.line).collect())
    }

    /// How many rows a table or view has; `None` when they are more than `most`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub fn count(&mut self, table: &'static str, most: u64) -> Result<Option<u64>, StoreError> {
        let query = diesel::sql_query(format!(
            "SELECT COUNT(*) AS count FROM (SELECT 1 FROM \"{table}\" LIMIT {}) AS bounded",
            most.saturating_add(1)
        ));
        let counted: Counted = match &mut self.0 {
            StoreConnection::Postgres(conn) => {
                conn.batch_execute(COUNT_TIMEOUT)?;
                let counted = query.get_result(conn)?;
                conn.batch_execute(POSTGRES_SETTINGS)?;
                counted
            }
            StoreConnection::Sqlite(conn) => query.get_result(conn)?,
        };
        let count = u64::try_from(counted.count).unwrap_or_default();
        Ok(Some(count).filter(|count| *count <= most))
    }

    /// Reads one row after the other, and holds no more than one. Ends early when `take` says so,
    /// with `false`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer, or not as asked.
    pub fn read(
        &mut self,
        query: &SourceQuery,
        mut take: impl FnMut(SourceRow) -> bool,
    ) -> Result<(), StoreError> {
        match &mut self.0 {
            StoreConnection::Postgres(conn) => {
                let casts: Vec<String> = query
                    .columns
                    .iter()
                    .map(|column| format!("({column})::text"))
                    .collect();
                let sql = format!(
                    "SELECT json_build_array({})::text AS line FROM {}",
                    casts.join(", "),
                    query.from
                );
                read_lines::<_, PgRowByRowLoadingMode>(conn, sql, &mut take)
            }
            StoreConnection::Sqlite(conn) => {
                let casts: Vec<String> = query
                    .columns
                    .iter()
                    .map(|column| format!("CAST({column} AS TEXT)"))
                    .collect();
                let sql = format!(
                    "SELECT json_array({}) AS line FROM {}",
                    casts.join(", "),
                    query.from
                );
                read_lines::<_, DefaultLoadingMode>(conn, sql, &mut take)
            }
        }
    }
}

fn read_lines<C, Mode>(
    conn: &mut C,
    sql: String,
    take: &mut impl FnMut(SourceRow) -> bool,
) -> Result<(), StoreError>
where
    C: LoadConnection<Mode>,
    diesel::query_builder::SqlQuery:
        for<'query> diesel::query_dsl::LoadQuery<'query, C, Line, Mode>,
{
    for line in diesel::sql_query(sql).load_iter::<Line, Mode>(conn)? {
        let row = serde_json::from_str(&line?.line)
            .map_err(|_error| StoreError::Unavailable("a row is not readable".to_owned()))?;
        if !take(row) {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use diesel::sql_types::BigInt;

    use super::*;

    #[test]
    fn a_file_is_opened_without_trust() {
        let path = std::env::temp_dir().join(format!("tokenhouse-source-{}", std::process::id()));
        let url = format!("sqlite://{}", path.display());
        let mut made = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
        made.batch_execute("CREATE TABLE users (id INTEGER)")
            .unwrap();
        let url = DatabaseUrl::parse(url.into()).unwrap();
        let SourceDatabase(StoreConnection::Sqlite(mut conn)) = SourceDatabase::open(&url).unwrap()
        else {
            panic!("an SQLite file");
        };
        #[derive(QueryableByName)]
        struct Setting {
            #[diesel(sql_type = BigInt)]
            value: i64,
        }
        for (query, expected) in [
            ("SELECT query_only AS value FROM pragma_query_only", 1),
            (
                "SELECT trusted_schema AS value FROM pragma_trusted_schema",
                0,
            ),
            (
                "SELECT cell_size_check AS value FROM pragma_cell_size_check",
                1,
            ),
        ] {
            let setting: Setting = diesel::sql_query(query).get_result(&mut conn).unwrap();
            assert_eq!(setting.value, expected, "{query}");
        }
        assert!(conn.batch_execute("INSERT INTO users VALUES (1)").is_err());
        std::fs::remove_file(path).unwrap();
    }
}
