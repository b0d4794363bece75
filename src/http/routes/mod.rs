//! The handlers, a file for each thing they are about.

pub(super) mod account;
pub(super) mod admin;
pub(super) mod docs;
pub(super) mod events;
pub(super) mod guarded;
pub(super) mod health;
pub(super) mod introspect;
pub(super) mod keys;
pub(super) mod logout;
pub(super) mod metadata;
pub(super) mod metrics;
pub(super) mod register;
pub(super) mod revoke;
pub(super) mod token;
pub(super) mod users_me;
pub(super) mod verify;

use actix_web::HttpRequest;
use chrono::{NaiveDateTime, SecondsFormat};

use crate::error::Error;

/// The id in the path. What is no id is the id of nothing.
fn path_id(request: &HttpRequest) -> Result<i64, Error> {
    let id = request.match_info().get("id").unwrap_or_default();
    id.parse().map_err(|_no_id| Error::NotFound)
}

/// A time as clients see it: RFC 3339, to the microsecond.
pub(crate) fn utc(time: NaiveDateTime) -> String {
    time.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true)
}
