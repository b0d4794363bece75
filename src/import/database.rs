//! Another program's database, opened for reading only.

use diesel::connection::{DefaultLoadingMode, LoadConnection, SimpleConnection};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use crate::config::DatabaseUrl;
use crate::store::{StoreConnection, StoreError, connect_read_only};

/// A row: each column converted to text.
pub type SourceRow = Vec<Option<String>>;

/// A query in SQL that both databases understand.
#[derive(Clone, Debug)]
pub struct SourceQuery {
    /// The columns of each row.
    pub columns: Vec<String>,
    /// The SQL after `FROM`.
    pub from: String,
}

/// An open database of another program.
pub struct SourceDatabase(StoreConnection);

/// Limits counting: Postgres evaluates a set-returning function completely before it returns the
/// first row.
const COUNT_TIMEOUT: &str = "SET statement_timeout = '120s'";

const NO_TIMEOUT: &str = "SET statement_timeout = 0";

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
    /// Opens a database for reading. Blocks, as all functions of this type do.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be opened.
    pub fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        connect_read_only(url).map(Self)
    }

    /// The columns of a table; none if the table does not exist.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database does not answer.
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

    /// The number of rows of a table or view; `None` if there are more than `limit`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database does not answer.
    pub fn count(&mut self, table: &'static str, limit: u64) -> Result<Option<u64>, StoreError> {
        let query = diesel::sql_query(format!(
            "SELECT COUNT(*) AS count FROM (SELECT 1 FROM \"{table}\" LIMIT {}) AS bounded",
            limit.saturating_add(1)
        ));
        let counted: Counted = match &mut self.0 {
            StoreConnection::Postgres(conn) => {
                conn.batch_execute(COUNT_TIMEOUT)?;
                let counted = query.get_result(conn)?;
                conn.batch_execute(NO_TIMEOUT)?;
                counted
            }
            StoreConnection::Sqlite(conn) => query.get_result(conn)?,
        };
        let count = u64::try_from(counted.count).unwrap_or_default();
        Ok(Some(count).filter(|count| *count <= limit))
    }

    /// Reads row by row, with only one row in memory. Stops early when `take` returns `false`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database does not answer, or returns an unreadable row.
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
            .map_err(|_error| StoreError::Unavailable("a row is unreadable".to_owned()))?;
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
    fn source_file_is_opened_read_only_and_untrusted() {
        let path = std::env::temp_dir().join(format!("tokenhouse-source-{}", std::process::id()));
        let url = format!("sqlite://{}", path.display());
        let mut created = SqliteConnection::establish(&path.to_string_lossy()).unwrap();
        created
            .batch_execute("CREATE TABLE users (id INTEGER)")
            .unwrap();
        let url = DatabaseUrl::parse(url.into()).unwrap();
        let SourceDatabase(StoreConnection::Sqlite(mut conn)) = SourceDatabase::open(&url).unwrap()
        else {
            panic!("not an SQLite file");
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
