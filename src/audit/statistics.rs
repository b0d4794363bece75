//! Counts per hour, made from the trail: each event is counted once, whichever process does it, and also
//! after a crash.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta, Timelike};
use diesel::QueryResult;
use serde_json::Value;

use super::{Action, AuditTrail};
use crate::error::Error;
use crate::store::{AuditEvent, AuditHead, HourlyStat, Writing};

/// Sign-ins, by result.
pub(crate) const SIGN_INS: &str = "sign-in";

/// Refused requests, by reason.
pub(crate) const REFUSALS: &str = "refusal";

/// Refused requests, by address.
pub(crate) const ADDRESSES: &str = "address";

/// The label of all addresses beyond [`MAX_ADDRESSES`].
pub(crate) const OTHERS: &str = "others";

/// How long the values are kept.
pub(crate) const RETENTION: TimeDelta = TimeDelta::days(90);

/// The number of events that a transaction counts, during which others wait.
const BATCH_SIZE: i64 = 500;

/// The number of addresses that an hour keeps apart: in a flood each request has another one.
const MAX_ADDRESSES: usize = 100;

/// Counts by hour, name and label.
type Counts = BTreeMap<(NaiveDateTime, &'static str, String), i64>;

impl AuditTrail {
    /// Counts the next events of the trail. Returns whether there are more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn count_next(&self) -> Result<bool, Error> {
        let oldest = self.0.clock.now().checked_sub_signed(RETENTION);
        let read = |conn: &mut _| Ok((AuditHead::find(conn)?, HourlyStat::find_cursor(conn)?));
        let (Some(head), counted) = self.0.store.read(read).await? else {
            return Ok(false);
        };
        if counted >= head.last_id {
            return Ok(false);
        }
        let count = move |tx: &mut Writing<'_>| -> Result<bool, Error> {
            let after = HourlyStat::lock_cursor(tx)?.max(head.pruned_id);
            let events = AuditEvent::list_after(tx, after, BATCH_SIZE)?;
            let Some(last) = events.last() else {
                return Ok(false);
            };
            store(tx, counts(&events, oldest))?;
            HourlyStat::set_cursor(tx, last.id)?;
            Ok(last.id < head.last_id)
        };
        self.0.store.writing(count).await
    }
}

/// What these events add, except those before `oldest`.
fn counts(events: &[AuditEvent], oldest: Option<NaiveDateTime>) -> Counts {
    let mut counts = Counts::new();
    for event in events {
        if oldest.is_some_and(|oldest| event.at < oldest) {
            continue;
        }
        let hour = hour_of(event.at);
        let detail: Value = serde_json::from_str(&event.detail).unwrap_or_default();
        let mut add = |name, label: &str| {
            // A sum of denials in a flood.
            let weight = detail.get("count").and_then(Value::as_i64).unwrap_or(1);
            let sum: &mut i64 = counts.entry((hour, name, label.to_owned())).or_default();
            *sum = sum.saturating_add(weight.max(0));
        };
        let is_refused = event.result != "ok";
        if event.action == Action::Login.name() {
            add(SIGN_INS, if is_refused { "refused" } else { "ok" });
        }
        if is_refused {
            let reason = detail.get("reason").and_then(Value::as_str);
            add(REFUSALS, reason.unwrap_or(&event.action));
            if !event.ip.is_empty() {
                add(ADDRESSES, &event.ip);
            }
        }
    }
    counts
}

/// Adds the counts, the largest first. An hour that has enough addresses gets the new ones under one label.
fn store(tx: &mut Writing<'_>, counts: Counts) -> QueryResult<()> {
    let mut known: BTreeMap<NaiveDateTime, usize> = BTreeMap::new();
    // Otherwise the addresses that are first in the alphabet would take the rows of the hour.
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, value)| Reverse(*value));
    for ((hour, name, label), value) in counts {
        let mut stat = HourlyStat {
            name: name.to_owned(),
            hour,
            label,
            value,
        };
        if name == ADDRESSES {
            let count = match known.get(&hour) {
                Some(count) => *count,
                None => {
                    usize::try_from(HourlyStat::count_labels(tx, name, hour)?).unwrap_or(usize::MAX)
                }
            };
            known.insert(hour, count.saturating_add(1));
            if count >= MAX_ADDRESSES {
                OTHERS.clone_into(&mut stat.label);
            }
        }
        stat.add(tx)?;
    }
    Ok(())
}

/// The beginning of the hour of a time.
pub(crate) fn hour_of(time: NaiveDateTime) -> NaiveDateTime {
    let hour = time.with_minute(0).and_then(|time| time.with_second(0));
    hour.and_then(|time| time.with_nanosecond(0))
        .unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn event(second: i64, action: Action, result: &str, detail: &str) -> AuditEvent {
        let text = String::new;
        AuditEvent {
            id: 1,
            at: DateTime::from_timestamp(second, 0).unwrap().naive_utc(),
            actor: text(),
            credential: text(),
            level: text(),
            action: action.name().to_owned(),
            target: text(),
            result: result.to_owned(),
            ip: "192.0.2.1".to_owned(),
            user_agent: text(),
            request_id: text(),
            detail: detail.to_owned(),
            previous_digest: text(),
            digest: text(),
            client_request_id: text(),
        }
    }

    #[test]
    fn events_count_in_their_hour_and_sums_as_often_as_they_say() {
        let reason = r#"{"reason":"wrong-password"}"#;
        let events = [
            event(10, Action::Login, "ok", ""),
            event(3_600, Action::Login, "ok", "{}"),
            event(7_199, Action::Login, "refused", reason),
            event(7_200, Action::Login, "refused", r#"{"count":40}"#),
            event(7_200, Action::ScopeRefused, "refused", ""),
            event(7_200, Action::UserRead, "ok", ""),
        ];
        let oldest = DateTime::from_timestamp(3_600, 0).unwrap().naive_utc();
        let counts = counts(&events, Some(oldest));
        let found: Vec<(i64, &str, &str, i64)> = counts
            .iter()
            .map(|((hour, name, label), value)| {
                (hour.and_utc().timestamp(), *name, label.as_str(), *value)
            })
            .collect();
        assert_eq!(
            found,
            [
                (3_600, ADDRESSES, "192.0.2.1", 1),
                (3_600, REFUSALS, "wrong-password", 1),
                (3_600, SIGN_INS, "ok", 1),
                (3_600, SIGN_INS, "refused", 1),
                (7_200, ADDRESSES, "192.0.2.1", 41),
                (7_200, REFUSALS, "login", 40),
                (7_200, REFUSALS, "scope.refused", 1),
                (7_200, SIGN_INS, "refused", 40),
            ]
        );
    }
}
