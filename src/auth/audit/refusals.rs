//! Refusals in a flood: the first ones of a minute are written one by one, the rest is counted and
//! written as sums. So an attacker fills neither the disk nor the queue before it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use super::{Action, Event, Events, Origin};
use crate::auth::Auth;
use crate::auth::throttle::network;
use crate::error::Error;

/// Refusals that a process writes one by one in a minute.
const ONE_BY_ONE: u32 = 100;

/// Sums that are kept apart in a minute; beyond those, addresses are not told apart.
const SUMS: usize = 500;

/// How long the sums are collected.
const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// The refusals of the current minute.
#[derive(Default)]
pub(in crate::auth) struct Refusals(Mutex<State>);

#[derive(Default)]
struct State {
    began: Option<NaiveDateTime>,
    written: u32,
    sums: HashMap<(Action, String), u64>,
}

impl Refusals {
    /// Whether this refusal is to be written by itself; otherwise it was counted.
    fn is_to_be_written(&self, now: NaiveDateTime, action: Action, network: &str) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back begins a minute too.
        let is_over = state
            .began
            .is_none_or(|began| now - began >= WINDOW || now < began);
        if is_over && state.sums.is_empty() {
            state.began = Some(now);
            state.written = 0;
        }
        if state.written < ONE_BY_ONE {
            state.written += 1;
            return true;
        }
        let key = (action, network.to_owned());
        let is_room = state.sums.len() < SUMS || state.sums.contains_key(&key);
        let key = if is_room {
            key
        } else {
            (action, String::new())
        };
        *state.sums.entry(key).or_default() += 1;
        false
    }

    /// The sums of a minute that is over.
    fn take(&self, now: NaiveDateTime, at_once: bool) -> Vec<(Action, String, u64)> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = state
            .began
            .is_some_and(|began| now - began >= WINDOW || now < began);
        if !(is_over || at_once) {
            return Vec::new();
        }
        state.began = None;
        let sums = std::mem::take(&mut state.sums);
        sums.into_iter()
            .map(|((action, ip), count)| (action, ip, count))
            .collect()
    }

    /// Puts back what could not be written.
    fn put_back(&self, sums: Vec<(Action, String, u64)>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (action, ip, count) in sums {
            *state.sums.entry((action, ip)).or_default() += count;
        }
    }
}

impl Auth {
    /// Writes that something was refused, or counts it in a flood.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(in crate::auth) async fn note_refusal(
        &self,
        origin: &Origin,
        event: Event,
    ) -> Result<(), Error> {
        let now = self.0.clock.now();
        let refusals = &self.0.refusals;
        if refusals.is_to_be_written(now, event.action, &network(origin.address())) {
            log_refused_guess(origin, event.action);
            self.note_event(origin, event).await
        } else {
            Ok(())
        }
    }

    /// Writes the sums of a minute that is over; with `at_once`, also of one that is not.
    pub(in crate::auth) async fn write_refusals(&self, at_once: bool) -> Result<(), Error> {
        let sums = self.0.refusals.take(self.0.clock.now(), at_once);
        if sums.is_empty() {
            return Ok(());
        }
        let to_write = sums.clone();
        let origin = Origin::service();
        let written = self.note(&origin, move |_conn, events: &mut Events| {
            for (action, ip, count) in to_write {
                let event = Event::refused(action).with("count", count);
                events.record(event.with("ip", ip));
            }
            Ok(())
        });
        written.await.map_err(|error| {
            self.0.refusals.put_back(sums);
            error.into()
        })
    }
}

/// The line for programs that lock addresses out, such as fail2ban: `deploy/fail2ban` matches it.
/// Nothing in it is a client's own words, which could be made to look like another line.
fn log_refused_guess(origin: &Origin, action: Action) {
    let what = match action {
        Action::Login => "sign-in",
        Action::StaticKeyRefused => "static key",
        _ => return,
    };
    if let Some(address) = origin.address() {
        log::info!(target: "tokenhouse::sign_in", "refused {what} from {address}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> NaiveDateTime {
        chrono::DateTime::from_timestamp(second, 0)
            .unwrap()
            .naive_utc()
    }

    #[test]
    fn a_flood_is_counted_and_a_new_minute_begins_anew() {
        let refusals = Refusals::default();
        let is_written = |second, ip| refusals.is_to_be_written(at(second), Action::Login, ip);
        assert_eq!((0..150).filter(|_| is_written(0, "192.0.2.1")).count(), 100);
        assert!(!is_written(59, "192.0.2.2"));
        assert!(refusals.take(at(59), false).is_empty());
        let mut sums = refusals.take(at(60), false);
        sums.sort_by_key(|(_, _, count)| *count);
        assert_eq!(
            sums,
            [
                (Action::Login, "192.0.2.2".to_owned(), 1),
                (Action::Login, "192.0.2.1".to_owned(), 50),
            ]
        );
        assert!(is_written(60, "192.0.2.1"));
    }

    #[test]
    fn the_sums_are_bounded_and_lose_no_refusal() {
        let refusals = Refusals::default();
        let mut written = 0;
        for number in 0..5_000_u32 {
            let ip = std::net::Ipv4Addr::from_bits(number).to_string();
            written += u64::from(refusals.is_to_be_written(at(0), Action::Login, &ip));
        }
        let sums = refusals.take(at(0), true);
        assert!(sums.len() <= SUMS + 1);
        let counted: u64 = sums.iter().map(|(_, _, count)| count).sum();
        assert_eq!(written + counted, 5_000);
    }
}
