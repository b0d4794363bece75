//! The latest time that any process has seen. While this process's clock is far ahead of it,
//! nothing is deleted because of its age: a deletion cannot be undone.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::prelude::*;

use super::schema::clock_mark;
use super::{Store, StoreConnection, StoreError, Writing};
use crate::clock::Clock;

/// The id of the only row.
const MARK: i64 = 1;

/// How far the clock advances before the new time is stored.
pub(crate) const STORE_INTERVAL: TimeDelta = TimeDelta::minutes(1);

impl Store {
    /// Compares the clock with the latest time that any process has seen. Returns whether the clock is
    /// trusted; if it is, it becomes the latest time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when the database does not answer.
    pub(crate) async fn observe_time(&self, clock: &Clock) -> Result<bool, StoreError> {
        let stored = self.read(find).await?;
        // A new database has no mark, nor does one whose mark was deleted by hand.
        clock.observe(stored.unwrap_or_else(|| clock.now()));
        if !clock.is_trusted() {
            return Ok(false);
        }
        let now = clock.now();
        if stored.is_none_or(|stored| now - stored >= STORE_INTERVAL) {
            self.writing(move |tx| Ok::<_, StoreError>(advance(tx, now)?))
                .await?;
        }
        Ok(true)
    }
}

/// The stored time, UTC; `None` before the first one.
pub(crate) fn find(conn: &mut StoreConnection) -> QueryResult<Option<NaiveDateTime>> {
    let at: Option<Option<NaiveDateTime>> = clock_mark::table
        .find(MARK)
        .select(clock_mark::at)
        .get_result(conn)
        .optional()?;
    Ok(at.flatten())
}

/// Stores the time if it is later than the stored one.
pub(crate) fn advance(tx: &mut Writing<'_>, at: NaiveDateTime) -> QueryResult<()> {
    let earlier = clock_mark::table
        .find(MARK)
        .filter(clock_mark::at.is_null().or(clock_mark::at.lt(at)));
    diesel::update(earlier)
        .set(clock_mark::at.eq(at))
        .execute(tx.conn())
        .map(drop)
}

/// Stores a time unconditionally.
pub(crate) fn set(tx: &mut Writing<'_>, at: NaiveDateTime) -> QueryResult<()> {
    diesel::update(clock_mark::table.find(MARK))
        .set(clock_mark::at.eq(at))
        .execute(tx.conn())
        .map(drop)
}
