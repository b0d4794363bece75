//! Pages of a list.

/// Removes the row beyond the limit, for which the query has asked too, and returns whether there was one.
pub(super) fn split_page<T>(mut rows: Vec<T>, limit: i64) -> (Vec<T>, bool) {
    let limit = usize::try_from(limit).unwrap_or(0);
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    (rows, has_more)
}
