//! Serializes times for the JSON of bulk inserts.

use chrono::NaiveDateTime;
use serde::Serializer;

/// Writes a time in the format that diesel writes into SQLite, which Postgres can read too.
pub(super) fn serialize_time<S: Serializer>(
    time: &NaiveDateTime,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.format("%F %T%.f"))
}

/// Like [`serialize_time`], with null for `None`.
pub(super) fn serialize_optional_time<S: Serializer>(
    time: &Option<NaiveDateTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize_time(time, serializer),
        None => serializer.serialize_none(),
    }
}
