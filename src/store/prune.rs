//! Deletes old rows.

/// Deletes at most `limit` rows of a table, in the order of a time: those that are `old`. Evaluates to how many.
/// The key of the table has the type `kind`.
macro_rules! prune {
    ($tx:expr, $table:ident, $key:ident: $kind:ty, by $time:ident, $old:expr, $limit:expr) => {{
        let keys: Vec<$kind> = $table::table
            .filter($old)
            .order($table::$time)
            .limit($limit)
            .select($table::$key)
            .load($tx.conn())?;
        match keys.is_empty() {
            true => Ok(0),
            // A row may have changed since.
            false => diesel::delete($table::table.filter($table::$key.eq_any(keys)).filter($old))
                .execute($tx.conn()),
        }
    }};
}
pub(super) use prune;
