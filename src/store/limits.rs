//! Limits in bytes for the text in a column and for a page of rows, so that large rows cannot
//! exhaust memory.

use diesel::QueryResult;
use diesel::result::Error;

/// The maximum length of a text in a column, in bytes: that of the largest request body.
pub const MAX_TEXT: usize = 16 * 1024;

/// The maximum length of an external id, in bytes: a proxy must accept it in a header.
pub const MAX_EXTERNAL_ID: usize = 255;

/// Rejects a row with a longer text. The domain checks this earlier, with a better message; this
/// check covers every way to write a row.
pub(super) fn check_texts<const N: usize>(texts: [&str; N]) -> QueryResult<()> {
    if texts.iter().all(|text| text.len() <= MAX_TEXT) {
        Ok(())
    } else {
        Err(Error::QueryBuilderError(
            "a text is too long for its column".into(),
        ))
    }
}

/// Rejects a longer external id.
#[cfg(feature = "cli")]
pub(super) fn check_external_id(id: Option<&str>) -> QueryResult<()> {
    if id.is_none_or(|id| id.len() <= MAX_EXTERNAL_ID) {
        Ok(())
    } else {
        Err(Error::QueryBuilderError(
            "an external id is too long".into(),
        ))
    }
}

/// The largest page, in bytes of text; a single row may be larger.
pub(crate) const MAX_PAGE_BYTES: usize = 256 * 1024;

/// A row of a page.
pub(crate) trait Row {
    /// The length of its texts in bytes.
    fn text_bytes(&self) -> usize;
}

/// A page of rows, limited in number and to [`MAX_PAGE_BYTES`].
#[derive(Debug)]
pub(crate) struct Slice<T> {
    pub(crate) rows: Vec<T>,
    /// Whether there are more rows.
    pub(crate) has_more: bool,
}

impl<T: Row> Slice<T> {
    /// Collects the rows that `fetch` returns, in batches of `batch_size`: `fetch` receives the last
    /// row so far and the number of rows to return after it.
    pub(crate) fn collect(
        limit: i64,
        batch_size: i64,
        mut fetch: impl FnMut(Option<&T>, i64) -> QueryResult<Vec<T>>,
    ) -> QueryResult<Self> {
        let mut rows: Vec<T> = Vec::new();
        let (mut remaining, mut bytes) = (limit, 0);
        loop {
            // Fetches one more than remaining, to detect whether more rows follow.
            let count = batch_size.min(remaining + 1);
            let fetched = fetch(rows.last(), count)?;
            let is_last = (fetched.len() as i64) < count;
            for row in fetched {
                bytes += row.text_bytes();
                if remaining == 0 || (bytes > MAX_PAGE_BYTES && !rows.is_empty()) {
                    let has_more = true;
                    return Ok(Self { rows, has_more });
                }
                remaining -= 1;
                rows.push(row);
            }
            if is_last {
                let has_more = false;
                return Ok(Self { rows, has_more });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Number(usize, usize);

    impl Row for Number {
        fn text_bytes(&self) -> usize {
            self.1
        }
    }

    fn slice(total: usize, bytes: usize, limit: i64) -> (usize, bool) {
        let all: Vec<_> = (0..total).map(|number| Number(number, bytes)).collect();
        let slice = Slice::collect(limit, 16, |last: Option<&Number>, count| {
            let begin = last.map_or(0, |last| last.0 + 1);
            let end = all.len().min(begin + count as usize);
            Ok(all[begin..end].to_vec())
        });
        let slice = slice.unwrap();
        assert_eq!(slice.rows, all[..slice.rows.len()]);
        (slice.rows.len(), slice.has_more)
    }

    #[test]
    fn slice_ends_at_limit_last_row_or_byte_limit() {
        assert_eq!(slice(0, 10, 500), (0, false));
        assert_eq!(slice(15, 10, 500), (15, false));
        assert_eq!(slice(16, 10, 500), (16, false));
        assert_eq!(slice(100, 10, 500), (100, false));
        assert_eq!(slice(100, 10, 100), (100, false));
        assert_eq!(slice(100, 10, 99), (99, true));
        assert_eq!(slice(100, 10, 1), (1, true));
        assert_eq!(slice(100, 64 * 1024, 500), (4, true));
        assert_eq!(slice(2, 1024 * 1024, 500), (1, true));
        assert_eq!(slice(1, 1024 * 1024, 500), (1, false));
    }
}
