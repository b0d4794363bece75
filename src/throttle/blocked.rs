//! Networks that have made too many attempts: a flood of more does not reach the database. Only what the
//! database has decided is kept here, and only as long as it is valid.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

/// The most networks that are kept; the database knows the rest.
const MAX_BLOCKED: usize = 10_000;

/// The blocked networks, and for each since when and until when.
#[derive(Default)]
pub(super) struct BlockedNetworks(Mutex<HashMap<String, (NaiveDateTime, NaiveDateTime)>>);

impl BlockedNetworks {
    /// How long a network is still blocked, if it is.
    pub(super) fn wait(&self, network: &str, now: NaiveDateTime) -> Option<TimeDelta> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, until) = *known.get(network)?;
        // A clock that is set back unblocks it too.
        (since <= now && now < until).then(|| until - now)
    }

    /// Blocks a network for this long.
    pub(super) fn block(&self, network: String, now: NaiveDateTime, wait: TimeDelta) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_BLOCKED {
            known.retain(|_, (since, until)| *since <= now && now < *until);
        }
        if known.len() < MAX_BLOCKED {
            known.insert(network, (now, now + wait));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_blocked_for_their_wait_and_memory_is_bounded() {
        let (blocked, now) = (BlockedNetworks::default(), NaiveDateTime::default());
        let second = TimeDelta::seconds(1);
        blocked.block("a".to_owned(), now, second);
        assert_eq!(blocked.wait("a", now), Some(second));
        assert_eq!(blocked.wait("a", now + second), None);
        assert_eq!(blocked.wait("a", now - second), None);
        assert_eq!(blocked.wait("b", now), None);
        for number in 0..2 * MAX_BLOCKED {
            blocked.block(number.to_string(), now, second);
        }
        let later = now + second;
        blocked.block("c".to_owned(), later, second);
        assert_eq!(blocked.wait("c", later), Some(second));
        assert!(blocked.0.lock().unwrap().len() <= MAX_BLOCKED);
    }
}
