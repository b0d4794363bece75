//! The one bound of all texts that the tables hold.

use diesel::QueryResult;
use diesel::result::Error;

/// The longest text that a column takes, in bytes: as much as the largest body of a request.
pub const MAX_TEXT: usize = 16 * 1024;

/// Refuses a row with a text that is longer. The domain says so before, in better words; this holds
/// whatever way a row takes.
pub(super) fn check<const N: usize>(texts: [&str; N]) -> QueryResult<()> {
    if texts.iter().all(|text| text.len() <= MAX_TEXT) {
        Ok(())
    } else {
        Err(Error::QueryBuilderError(
            "a text is longer than a column takes".into(),
        ))
    }
}
