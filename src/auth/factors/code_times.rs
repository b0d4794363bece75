//! When the codes of authenticator apps would have been right that were wrong: together they tell whether the clock of
//! this machine is.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde_json::Value;

use crate::audit::Action;
use crate::auth::Auth;
use crate::credential::totp::TOLERANCE_SECONDS;
use crate::error::Error;
use crate::store::{AuditEvent, EventFilter, Factor, StoreConnection};

/// How far back codes are compared.
const MAX_AGE: TimeDelta = TimeDelta::days(1);

/// How many events are read.
const MAX_READ: i64 = 1_000;

impl Auth {
    /// How many seconds away the last wrong codes of users would have been right, one for each user; none once a
    /// code was right.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn seconds_codes_are_away(&self) -> Result<Vec<i64>, Error> {
        let earliest = self.0.clock.now().checked_sub_signed(MAX_AGE);
        let list = move |conn: &mut StoreConnection| {
            let since = Factor::last_code_at(conn)?.max(earliest);
            let filters = [Action::Login, Action::SessionRenew].map(|action| EventFilter {
                action: Some(action.name().to_owned()),
                since,
                ..EventFilter::default()
            });
            AuditEvent::list(conn, &filters, MAX_READ)
        };
        let events = self.0.store.read(list).await?;
        let mut last = BTreeMap::new();
        for event in &events.rows {
            if let Some(seconds) = seconds_away(event) {
                last.entry(event.target.clone()).or_insert(seconds);
            }
        }
        Ok(last.into_values().collect())
    }
}

fn seconds_away(event: &AuditEvent) -> Option<i64> {
    let detail: Value = serde_json::from_str(&event.detail).ok()?;
    let seconds = detail.get("seconds_away")?.as_i64()?;
    (seconds.abs() > TOLERANCE_SECONDS).then_some(seconds)
}
