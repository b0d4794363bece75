//! Pages of long lists.

/// A page of `limit` rows at most, and where the next one begins if there is one. Of `rows`, one
/// more than `limit` was asked for.
pub(super) fn cut<T, K>(
    mut rows: Vec<T>,
    limit: i64,
    place: impl FnOnce(&T) -> K,
) -> (Vec<T>, Option<K>) {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| is_more).map(place);
    (rows, next)
}
