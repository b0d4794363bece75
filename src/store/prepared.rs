//! Statements that are prepared once per connection and found again by their text.
//! `diesel::sql_query` has each of them parsed again each time.

use std::marker::PhantomData;

use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::result::Error;
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Untyped};
use diesel::{Connection, QueryResult, RunQueryDsl};

use super::StoreConnection;

/// The largest list of a [`RowList`] that is prepared: each length has a text of its own, and a
/// connection keeps what it has prepared.
const MAX_PREPARED_ROWS: usize = 16;

/// Both databases behind one type.
type Database = <StoreConnection as Connection>::Backend;

/// A constant statement. Its values are bound in the order of `$1`, `$2` and so on, each of which
/// occurs once.
pub(super) fn prepared(sql: &'static str) -> Prepared<()> {
    Prepared { sql, values: () }
}

/// See [`prepared`].
pub(super) struct Prepared<V> {
    sql: &'static str,
    values: V,
}

/// A value of a statement, and its type in SQL.
pub(super) struct Bound<ST, V> {
    value: V,
    sql_type: PhantomData<ST>,
}

impl<B> Prepared<B> {
    /// Binds the next value.
    pub(super) fn bind<ST, V>(self, value: V) -> Prepared<(B, Bound<ST, V>)> {
        let bound = Bound {
            value,
            sql_type: PhantomData,
        };
        Prepared {
            sql: self.sql,
            values: (self.values, bound),
        }
    }
}

/// The values of a statement.
pub(super) trait Values<DB: Backend> {
    /// How many there are.
    const COUNT: usize;

    /// Adds the text up to the last value, and the values. Returns the rest of the text.
    fn walk<'b>(&'b self, sql: &'static str, out: AstPass<'_, 'b, DB>)
    -> QueryResult<&'static str>;
}

impl<DB: Backend> Values<DB> for () {
    const COUNT: usize = 0;

    fn walk<'b>(
        &'b self,
        sql: &'static str,
        _out: AstPass<'_, 'b, DB>,
    ) -> QueryResult<&'static str> {
        Ok(sql)
    }
}

impl<DB, B, ST, V> Values<DB> for (B, Bound<ST, V>)
where
    DB: Backend + HasSqlType<ST>,
    B: Values<DB>,
    V: ToSql<ST, DB>,
{
    const COUNT: usize = B::COUNT + 1;

    fn walk<'b>(
        &'b self,
        sql: &'static str,
        mut out: AstPass<'_, 'b, DB>,
    ) -> QueryResult<&'static str> {
        let (earlier, bound) = self;
        let rest = earlier.walk(sql, out.reborrow())?;
        let (before, rest) = split_at_placeholder(rest, Self::COUNT)
            .ok_or_else(|| Error::QueryBuilderError("the placeholders are not in order".into()))?;
        out.push_sql(before);
        out.push_bind_param::<ST, V>(&bound.value)?;
        Ok(rest)
    }
}

/// The text before and after the next placeholder, if it has this number.
fn split_at_placeholder(sql: &'static str, number: usize) -> Option<(&'static str, &'static str)> {
    let (before, rest) = sql.split_once('$')?;
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, rest) = rest.split_at(end);
    (digits.parse() == Ok(number)).then_some((before, rest))
}

impl<DB: Backend, V: Values<DB>> QueryFragment<DB> for Prepared<V> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        let rest = self.values.walk(self.sql, out.reborrow())?;
        out.push_sql(rest);
        Ok(())
    }
}

impl<V> QueryId for Prepared<V> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<V> Query for Prepared<V> {
    type SqlType = Untyped;
}

impl<V, Conn> RunQueryDsl<Conn> for Prepared<V> {}

/// A statement with a list of rows: `before`, then each row in parentheses, then `after`.
pub(super) struct RowList<'a, R> {
    pub(super) before: &'static str,
    pub(super) rows: &'a [R],
    pub(super) after: &'static str,
}

/// A row of a [`RowList`].
pub(super) trait ListedRow {
    /// Adds its values.
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()>;
}

/// Takes the values of a row.
pub(super) struct Columns<'a, 'p, 'b> {
    out: &'a mut AstPass<'p, 'b, Database>,
    is_first: bool,
}

impl<'b> Columns<'_, '_, 'b> {
    /// Adds a value.
    pub(super) fn add<ST, V>(&mut self, value: &'b V) -> QueryResult<&mut Self>
    where
        Database: HasSqlType<ST>,
        V: ToSql<ST, Database> + ?Sized,
    {
        if !std::mem::take(&mut self.is_first) {
            self.out.push_sql(", ");
        }
        self.out.push_bind_param::<ST, V>(value)?;
        Ok(self)
    }
}

impl<R: ListedRow> QueryFragment<Database> for RowList<'_, R> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Database>) -> QueryResult<()> {
        if self.rows.len() > MAX_PREPARED_ROWS {
            out.unsafe_to_cache_prepared();
        }
        out.push_sql(self.before);
        for (number, row) in self.rows.iter().enumerate() {
            out.push_sql(if number == 0 { "(" } else { ", (" });
            row.walk(&mut Columns {
                out: &mut out,
                is_first: true,
            })?;
            out.push_sql(")");
        }
        out.push_sql(self.after);
        Ok(())
    }
}

impl<R> QueryId for RowList<'_, R> {
    type QueryId = ();

    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<R> Query for RowList<'_, R> {
    type SqlType = Untyped;
}

impl<R, Conn> RunQueryDsl<Conn> for RowList<'_, R> {}

#[cfg(test)]
mod tests {
    use diesel::sql_types::{BigInt, Text};
    use diesel::{QueryableByName, SqliteConnection};

    use super::*;

    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = BigInt)]
        sum: i64,
    }

    impl ListedRow for (i64, String) {
        fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
            columns
                .add::<BigInt, _>(&self.0)?
                .add::<Text, _>(&self.1)
                .map(drop)
        }
    }

    fn connection() -> StoreConnection {
        StoreConnection::Sqlite(SqliteConnection::establish(":memory:").unwrap())
    }

    #[test]
    fn values_are_bound_in_order() {
        let mut conn = connection();
        for first in [40, 50] {
            let answer: Answer = prepared("SELECT $1 + length($2) AS sum")
                .bind::<BigInt, _>(first)
                .bind::<Text, _>("ab")
                .get_result(&mut conn)
                .unwrap();
            assert_eq!(answer.sum, first + 2);
        }
    }

    #[test]
    fn misplaced_values_are_refused() {
        for sql in ["SELECT $2 + $1 AS sum", "SELECT $1 AS sum"] {
            let query = prepared(sql).bind::<BigInt, _>(1).bind::<BigInt, _>(2);
            let answer = query.get_result::<Answer>(&mut connection());
            assert!(matches!(answer, Err(Error::QueryBuilderError(_))), "{sql}");
        }
    }

    #[test]
    fn rows_are_listed() {
        let rows = [(1, "a".to_owned()), (2, "bc".to_owned())];
        let list = RowList {
            before: "WITH t (n, s) AS (VALUES ",
            rows: &rows,
            after: ") SELECT sum(n * 10 + length(s)) AS sum FROM t",
        };
        let answer: Answer = list.get_result(&mut connection()).unwrap();
        assert_eq!(answer.sum, 33);
    }
}
