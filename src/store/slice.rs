//! Lists that are bounded in bytes too, so that no page of large rows fills the memory.

use diesel::QueryResult;

/// The most that a list takes up, in bytes of text; a single row may be larger.
pub(crate) const MAX_LIST_BYTES: usize = 256 * 1024;

/// A row of a list.
pub(crate) trait Row {
    /// Bytes of its texts.
    fn text_bytes(&self) -> usize;
}

/// As many rows as were asked for, or as [`MAX_LIST_BYTES`] has room for.
#[derive(Debug)]
pub(crate) struct Slice<T> {
    pub(crate) rows: Vec<T>,
    /// Whether there are more.
    pub(crate) is_more: bool,
}

impl<T: Row> Slice<T> {
    /// Collects what `fetch` returns, `at_once` rows at a time: it is given the last row so far and
    /// how many are wanted after it.
    pub(crate) fn collect(
        limit: i64,
        at_once: i64,
        mut fetch: impl FnMut(Option<&T>, i64) -> QueryResult<Vec<T>>,
    ) -> QueryResult<Self> {
        let mut rows: Vec<T> = Vec::new();
        let (mut left, mut bytes) = (limit, 0);
        loop {
            // One more than is left, to know whether there are more.
            let wanted = at_once.min(left + 1);
            let fetched = fetch(rows.last(), wanted)?;
            let is_end = (fetched.len() as i64) < wanted;
            for row in fetched {
                bytes += row.text_bytes();
                if left == 0 || (bytes > MAX_LIST_BYTES && !rows.is_empty()) {
                    let is_more = true;
                    return Ok(Self { rows, is_more });
                }
                left -= 1;
                rows.push(row);
            }
            if is_end {
                let is_more = false;
                return Ok(Self { rows, is_more });
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

    fn slice(of: usize, bytes: usize, limit: i64) -> (usize, bool) {
        let all: Vec<_> = (0..of).map(|number| Number(number, bytes)).collect();
        let slice = Slice::collect(limit, 16, |last: Option<&Number>, wanted| {
            let begin = last.map_or(0, |last| last.0 + 1);
            let end = all.len().min(begin + wanted as usize);
            Ok(all[begin..end].to_vec())
        });
        let slice = slice.unwrap();
        assert_eq!(slice.rows, all[..slice.rows.len()]);
        (slice.rows.len(), slice.is_more)
    }

    #[test]
    fn a_slice_ends_at_the_limit_the_end_or_the_bytes() {
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
