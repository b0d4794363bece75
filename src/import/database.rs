//! Another program's database, opened for reading only.

use std::fmt;

use diesel::connection::{DefaultLoadingMode, LoadConnection, SimpleConnection};
use diesel::pg::PgRowByRowLoadingMode;
use diesel::prelude::*;
use diesel::result::Error as DieselError;
use diesel::sql_types::{BigInt, Text};

use super::values::{Value, from_hex};
use crate::config::DatabaseUrl;
use crate::store::{ReadOnly, StoreConnection, StoreError};

/// A row: the value of each column.
pub type SourceRow = Vec<Value>;

/// The maximum size of a value, in bytes: the maximum size of a user in a file.
const MAX_VALUE: usize = 1 << 20;

/// A table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    schema: Option<String>,
    name: String,
}

impl Table {
    /// A table of the database, or of the schemas that Postgres searches.
    pub(super) fn new(name: &str) -> Self {
        Self {
            schema: None,
            name: name.to_owned(),
        }
    }

    /// A table in the same schema as this one.
    pub(super) fn sibling(&self, name: &str) -> Self {
        Self {
            schema: self.schema.clone(),
            name: name.to_owned(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The name in SQL.
    pub(super) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(&self.name)),
            None => quoted(&self.name),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// An identifier in SQL, whatever its characters are.
pub(super) fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

/// A query in SQL that both databases understand.
#[derive(Clone, Debug)]
pub struct SourceQuery {
    /// The columns of each row.
    pub columns: Vec<String>,
    /// The SQL after `FROM`.
    pub from: String,
}

/// An open database of another program. Errors are texts for the operator: the database's own reason.
pub struct SourceDatabase {
    opened: ReadOnly,
    encoding: Encoding,
}

/// The encoding in which a value's bytes arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    /// The bytes as they are stored; usually UTF-8.
    Stored,
    /// Text that Postgres converts to UTF-8.
    Converted,
    /// UTF-16 of SQLite.
    Utf16 { is_little_endian: bool },
}

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
    /// Opens a database for reading. Blocks, as all functions of this type do. Nothing of the source, and
    /// no file beside it, is created or changed.
    ///
    /// # Errors
    /// Why the database cannot be opened.
    pub fn open(url: &DatabaseUrl) -> Result<Self, String> {
        let opened = ReadOnly::open(url).map_err(|error| match error {
            StoreError::Unavailable(reason) => reason,
            other => other.to_string(),
        })?;
        let mut database = Self {
            opened,
            encoding: Encoding::Stored,
        };
        let sql = if database.is_postgres() {
            "SELECT current_setting('server_encoding') || $1 AS line"
        } else {
            "SELECT encoding || ? AS line FROM pragma_encoding"
        };
        let name = database.lines(sql, "")?.pop().unwrap_or_default();
        database.encoding = match name.as_str() {
            "UTF8" | "SQL_ASCII" | "UTF-8" => Encoding::Stored,
            name if name.starts_with("UTF-16") => Encoding::Utf16 {
                is_little_endian: name != "UTF-16be",
            },
            _ => Encoding::Converted,
        };
        Ok(database)
    }

    /// Whether the database is Postgres.
    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.opened.conn, StoreConnection::Postgres(_))
    }

    /// A table that the operator names: on Postgres `schema.table` is in a schema.
    pub(super) fn parse_table(&self, name: &str) -> Table {
        match name.split_once('.') {
            Some((schema, table)) if self.is_postgres() => Table {
                schema: Some(unquoted(schema)),
                name: unquoted(table),
            },
            _ => Table::new(&unquoted(name)),
        }
    }

    /// The names of the columns of a table; none if the table does not exist.
    pub(super) fn columns(&mut self, table: &Table) -> Result<Vec<String>, String> {
        let (sql, name) = if self.is_postgres() {
            (
                "SELECT attname::text AS line FROM pg_attribute \
                 WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped \
                 ORDER BY attnum",
                table.quoted(),
            )
        } else {
            (
                // Generated columns are 2 and 3.
                "SELECT name AS line FROM pragma_table_xinfo(?) WHERE hidden <> 1",
                table.name.clone(),
            )
        };
        self.lines(sql, &name)
    }

    /// The names of all tables and views, without those of the system.
    pub(super) fn tables(&mut self) -> Result<Vec<Table>, String> {
        let sql = if self.is_postgres() {
            "SELECT relname::text AS line FROM pg_class \
             JOIN pg_namespace n ON n.oid = relnamespace \
             WHERE relkind IN ('r', 'v', 'm', 'p', 'f') \
             AND nspname = ANY (current_schemas(false)) AND $1 = '' ORDER BY relname"
        } else {
            "SELECT name AS line FROM sqlite_schema WHERE type IN ('table', 'view') \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND ? = '' ORDER BY name"
        };
        let names = self.lines(sql, "")?;
        Ok(names.iter().map(|name| Table::new(name)).collect())
    }

    /// The table whose rows `user_id` of this table refers to.
    pub(super) fn users_of(&mut self, table: &Table) -> Result<Option<Table>, String> {
        let (sql, name) = if self.is_postgres() {
            (
                "SELECT DISTINCT CASE WHEN pg_table_is_visible(c.oid) THEN '' ELSE n.nspname::text END \
                 || '.' || c.relname AS line FROM pg_constraint f \
                 JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1] \
                 JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE f.contype = 'f' AND f.conrelid = to_regclass($1) \
                 AND cardinality(f.conkey) = 1 AND a.attname = 'user_id'",
                table.quoted(),
            )
        } else {
            (
                "SELECT DISTINCT \"table\" AS line FROM pragma_foreign_key_list(?) \
                 WHERE lower(\"from\") = 'user_id'",
                table.name.clone(),
            )
        };
        let found = self.lines(sql, &name)?.into_iter().next();
        Ok(found.map(|name| match name.split_once('.') {
            Some((schema, name)) if self.is_postgres() => Table {
                schema: Some(schema.to_owned()).filter(|schema| !schema.is_empty()),
                name: name.to_owned(),
            },
            _ => Table::new(&name),
        }))
    }

    fn lines(&mut self, sql: &str, parameter: &str) -> Result<Vec<String>, String> {
        let query = diesel::sql_query(sql).bind::<Text, _>(parameter);
        let lines: QueryResult<Vec<Line>> = match &mut self.opened.conn {
            StoreConnection::Postgres(conn) => query.load(conn),
            StoreConnection::Sqlite(conn) => query.load(conn),
        };
        let lines = lines.map_err(|error| describe(&error))?;
        Ok(lines.into_iter().map(|line| line.line).collect())
    }

    /// The number of rows of a table or view; `None` if there are more than `limit`.
    pub(super) fn count(&mut self, table: &Table, limit: u64) -> Result<Option<u64>, String> {
        let query = diesel::sql_query(format!(
            "SELECT COUNT(*) AS count FROM (SELECT 1 FROM {} LIMIT {}) AS bounded",
            table.quoted(),
            limit.saturating_add(1)
        ));
        let counted: QueryResult<Counted> = match &mut self.opened.conn {
            StoreConnection::Postgres(conn) => conn
                .batch_execute(COUNT_TIMEOUT)
                .and_then(|()| query.get_result(conn))
                .and_then(|counted| conn.batch_execute(NO_TIMEOUT).map(|()| counted)),
            StoreConnection::Sqlite(conn) => query.get_result(conn),
        };
        let counted = counted.map_err(|error| describe(&error))?;
        let count = u64::try_from(counted.count).unwrap_or_default();
        Ok(Some(count).filter(|count| *count <= limit))
    }

    /// Reads row by row, with only one row in memory. Stops early when `take` returns `false`.
    pub(super) fn read(
        &mut self,
        query: &SourceQuery,
        mut take: impl FnMut(SourceRow) -> bool,
    ) -> Result<(), String> {
        // The bytes of each value in hexadecimal digits: one that is not UTF-8 would end the query.
        let encoding = self.encoding;
        let is_postgres = self.is_postgres();
        let columns = query.columns.iter().map(|column| {
            if is_postgres {
                postgres_value(column, encoding)
            } else {
                sqlite_value(column)
            }
        });
        let columns: Vec<String> = columns.collect();
        let columns = columns.join(" || ',' || ");
        let sql = format!("SELECT {columns} AS line FROM {}", query.from);
        let mut take = |line: &str| {
            let values = line.split(',').map(|value| value_of(value, encoding));
            take(values.collect())
        };
        match &mut self.opened.conn {
            StoreConnection::Postgres(conn) => {
                read_lines::<_, PgRowByRowLoadingMode>(conn, sql, &mut take)
            }
            StoreConnection::Sqlite(conn) => {
                read_lines::<_, DefaultLoadingMode>(conn, sql, &mut take)
            }
        }
        .map_err(|error| describe(&error))?;
        self.opened.check_unchanged()
    }
}

/// An expression for a value: `-` for NULL, `!` for one that is too long, otherwise a letter for the type
/// and the bytes.
fn postgres_value(column: &str, encoding: Encoding) -> String {
    let target = if encoding == Encoding::Converted {
        "UTF8"
    } else {
        "SQL_ASCII"
    };
    format!(
        "CASE WHEN ({column}) IS NULL THEN '-' \
         WHEN octet_length(({column})::text) > {MAX_VALUE} THEN '!' \
         ELSE 't' || encode(convert_to(({column})::text, '{target}'), 'hex') END"
    )
}

fn sqlite_value(column: &str) -> String {
    format!(
        "CASE WHEN ({column}) IS NULL THEN '-' \
         WHEN length(CAST(({column}) AS BLOB)) > {MAX_VALUE} THEN '!' \
         ELSE substr(typeof({column}), 1, 1) || hex({column}) END"
    )
}

/// The value of an expression above.
fn value_of(written: &str, encoding: Encoding) -> Value {
    let Some((kind, digits)) = written.split_at_checked(1) else {
        return Value::Unreadable;
    };
    let Some(bytes) = from_hex(digits) else {
        return Value::Unreadable;
    };
    match (kind, encoding) {
        ("-", _) => Value::Missing,
        ("!", _) => Value::Unreadable,
        ("b", _) => match Value::from_bytes(bytes) {
            Value::Text(text) if text.contains(char::is_control) => Value::Bytes(text.into_bytes()),
            value => value,
        },
        ("t", Encoding::Utf16 { is_little_endian }) => {
            let units = bytes.chunks(2).map(|unit| {
                let unit = [unit[0], unit.get(1).copied().unwrap_or_default()];
                if is_little_endian {
                    u16::from_le_bytes(unit)
                } else {
                    u16::from_be_bytes(unit)
                }
            });
            let units: Vec<u16> = units.collect();
            String::from_utf16(&units).map_or(Value::Bytes(bytes), Value::Text)
        }
        _ => Value::from_bytes(bytes),
    }
}

fn read_lines<C, Mode>(
    conn: &mut C,
    sql: String,
    take: &mut impl FnMut(&str) -> bool,
) -> QueryResult<()>
where
    C: LoadConnection<Mode>,
    diesel::query_builder::SqlQuery:
        for<'query> diesel::query_dsl::LoadQuery<'query, C, Line, Mode>,
{
    for line in diesel::sql_query(sql).load_iter::<Line, Mode>(conn)? {
        if !take(&line?.line) {
            break;
        }
    }
    Ok(())
}

/// The name without the quotes of SQL.
fn unquoted(name: &str) -> String {
    match name
        .strip_prefix('"')
        .and_then(|name| name.strip_suffix('"'))
    {
        Some(name) => name.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

/// The database's own reason, in a line.
fn describe(error: &DieselError) -> String {
    let text = match error {
        DieselError::DatabaseError(_, info) => info.message().to_owned(),
        other => other.to_string(),
    };
    let text = text.lines().next().unwrap_or_default();
    if text == "database is locked" {
        "is locked by another program; stop it, or import a copy".to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
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
        let mut database = SourceDatabase::open(&url).unwrap();
        let StoreConnection::Sqlite(conn) = &mut database.opened.conn else {
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
            let setting: Setting = diesel::sql_query(query).get_result(conn).unwrap();
            assert_eq!(setting.value, expected, "{query}");
        }
        assert!(conn.batch_execute("INSERT INTO users VALUES (1)").is_err());
        std::fs::remove_file(path).unwrap();
    }
}
