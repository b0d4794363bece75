//! The latest time that a process has seen, as it is stored. Which times are trusted is for the
//! domain to say.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::schema::clock_mark;
use super::{StoreConnection, Writing};

/// The one row.
const MARK: i64 = 1;

/// The time that was stored, UTC; `None` before the first one.
pub(crate) fn find(conn: &mut StoreConnection) -> QueryResult<Option<NaiveDateTime>> {
    let at: Option<Option<NaiveDateTime>> = clock_mark::table
        .find(MARK)
        .select(clock_mark::at)
        .get_result(conn)
        .optional()?;
    Ok(at.flatten())
}

/// Stores a later time; an earlier one changes nothing.
pub(crate) fn advance(tx: &mut Writing<'_>, at: NaiveDateTime) -> QueryResult<()> {
    let earlier = clock_mark::table
        .find(MARK)
        .filter(clock_mark::at.is_null().or(clock_mark::at.lt(at)));
    diesel::update(earlier)
        .set(clock_mark::at.eq(at))
        .execute(tx.conn())
        .map(drop)
}

/// Stores a time, whatever was stored before.
pub(crate) fn set(tx: &mut Writing<'_>, at: NaiveDateTime) -> QueryResult<()> {
    diesel::update(clock_mark::table.find(MARK))
        .set(clock_mark::at.eq(at))
        .execute(tx.conn())
        .map(drop)
}
