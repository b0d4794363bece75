//! Keeps a flood of attempts away from the database: attempts from networks that must wait are
//! refused, and others wait for those under way. They wait in one line per name and network, so
//! that only one of them at a time queries the database, and one network does not block another.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::network::Network;
use crate::password::Busy;

/// How long an attempt waits for those under way.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of attempts in one line.
const MAX_LINE: usize = 256;

/// Maximum number of attempts in all lines together.
const MAX_WAITING: usize = 1_000;

/// The shortest and the longest interval at which the first attempt of a line tries again.
const MIN_RETRY_INTERVAL: Duration = Duration::from_millis(20);
const MAX_RETRY_INTERVAL: Duration = Duration::from_millis(200);

/// When a client should retry after it found a line full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The lines of this process. A keyed hash identifies a line: two lines with the same hash only
/// wait for each other.
#[derive(Default)]
pub(super) struct WaitingLines {
    lines: Mutex<HashMap<u64, Line>>,
    hasher: RandomState,
}

struct Line {
    turn: Arc<Semaphore>,
    length: usize,
}

/// The first place in a line, held until it is dropped.
pub(super) struct Turn<'a> {
    _permit: OwnedSemaphorePermit,
    _place: Place<'a>,
    deadline: Instant,
    retry_interval: Duration,
}

/// A place in a line.
struct Place<'a> {
    lines: &'a WaitingLines,
    key: u64,
}

impl WaitingLines {
    /// Waits until an attempt on this name from this network is the first of its line.
    ///
    /// # Errors
    /// [`Busy`] when too many attempts wait, or this one waits too long.
    pub(super) async fn wait(&self, name: &str, network: Network) -> Result<Turn<'_>, Busy> {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let key = self.hasher.hash_one((name, network));
        let (place, turn) = self.join(key)?;
        match timeout_at(deadline, turn.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn {
                _permit: permit,
                _place: place,
                deadline,
                retry_interval: MIN_RETRY_INTERVAL,
            }),
            _ => Err(busy()),
        }
    }

    fn join(&self, key: u64) -> Result<(Place<'_>, Arc<Semaphore>), Busy> {
        let mut lines = self.lock();
        let waiting: usize = lines.values().map(|line| line.length).sum();
        let line = lines.entry(key).or_insert_with(|| Line {
            turn: Arc::new(Semaphore::new(1)),
            length: 0,
        });
        let is_full = line.length >= MAX_LINE || waiting >= MAX_WAITING;
        // The first attempt of a line does not wait yet.
        if is_full && line.length > 0 {
            return Err(busy());
        }
        line.length += 1;
        let turn = Arc::clone(&line.turn);
        Ok((Place { lines: self, key }, turn))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// Waits before the next query to the database.
    ///
    /// # Errors
    /// [`Busy`] when that takes too long.
    pub(super) async fn pause(&mut self) -> Result<(), Busy> {
        if Instant::now() + self.retry_interval > self.deadline {
            return Err(busy());
        }
        sleep(self.retry_interval).await;
        self.retry_interval = (self.retry_interval * 3 / 2).min(MAX_RETRY_INTERVAL);
        Ok(())
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock();
        if let Some(line) = lines.get_mut(&self.key) {
            line.length -= 1;
            if line.length == 0 {
                lines.remove(&self.key);
            }
        }
    }
}

const fn busy() -> Busy {
    Busy {
        retry_after: RETRY_AFTER,
    }
}

/// Maximum number of networks that are kept; the database has the rest.
const MAX_BLOCKED: usize = 10_000;

/// Networks that have made too many attempts: further ones do not reach the database. Holds only
/// decisions of the database, and only while they are valid: for each network, when its block began
/// and when it ends.
#[derive(Default)]
pub(super) struct BlockedNetworks(Mutex<HashMap<String, (NaiveDateTime, NaiveDateTime)>>);

impl BlockedNetworks {
    /// Returns how long a network remains blocked, if it is blocked.
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
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn network(number: u8) -> Network {
        Network::new(Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))))
    }

    #[test]
    fn lines_are_bounded_and_independent() {
        let lines = WaitingLines::default();
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        let wait = |name: &str, from: u8| runtime.block_on(lines.wait(name, network(from)));
        let first = wait("alice", 1).unwrap();
        let key = lines.hasher.hash_one(("alice", network(1)));
        let places: Vec<_> = (1..MAX_LINE).map(|_| lines.join(key).unwrap()).collect();
        assert!(wait("alice", 1).is_err());
        assert!(wait("alice", 2).is_ok());
        assert!(wait("bobby", 1).is_ok());
        drop((first, places));
        assert!(wait("alice", 1).is_ok());
        assert!(lines.lock().is_empty());
    }

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
