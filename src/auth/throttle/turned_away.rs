//! The addresses that have made too many attempts, so that a flood of more does not reach the
//! database. Only what was found there is remembered here, and no longer than it holds.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

/// Addresses that are remembered at most; the database knows the rest.
const MOST: usize = 10_000;

/// Addresses, when each was turned away, and when it may come back.
#[derive(Default)]
pub(in crate::auth) struct TurnedAway(Mutex<HashMap<String, (NaiveDateTime, NaiveDateTime)>>);

impl TurnedAway {
    /// How long an address has to wait still, if it has to.
    pub(super) fn wait(&self, network: &str, now: NaiveDateTime) -> Option<TimeDelta> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, until) = *known.get(network)?;
        // A clock that was set back ends it too.
        (since <= now && now < until).then(|| until - now)
    }

    /// Remembers an address that was told to wait.
    pub(super) fn remember(&self, network: String, now: NaiveDateTime, wait: TimeDelta) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (since, until)| *since <= now && now < *until);
        }
        if known.len() < MOST {
            known.insert(network, (now, now + wait));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_waits_as_long_as_it_was_told_and_the_memory_is_bounded() {
        let (turned_away, now) = (TurnedAway::default(), NaiveDateTime::default());
        let second = TimeDelta::seconds(1);
        turned_away.remember("a".to_owned(), now, second);
        assert_eq!(turned_away.wait("a", now), Some(second));
        assert_eq!(turned_away.wait("a", now + second), None);
        assert_eq!(turned_away.wait("a", now - second), None);
        assert_eq!(turned_away.wait("b", now), None);
        for number in 0..2 * MOST {
            turned_away.remember(number.to_string(), now, second);
        }
        let later = now + second;
        turned_away.remember("c".to_owned(), later, second);
        assert_eq!(turned_away.wait("c", later), Some(second));
        assert!(turned_away.0.lock().unwrap().len() <= MOST);
    }
}
