//! Responses for valid credentials, until they are too old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use quick_cache::sync;

use super::RemotePrincipal;
use crate::clock::Clock;
use crate::credential::CredentialDigest;

/// Responses by the SHA-256 of the credential. Only valid credentials are cached: an invalid one is
/// queried again, because it may become valid.
pub(super) struct Cache {
    /// `None` when nothing is cached.
    entries: Option<sync::Cache<CredentialDigest, Entry>>,
    max_staleness: Duration,
    clock: Clock,
}

/// A moment by two clocks: the wall clock continues while the machine sleeps, the monotonic one is never
/// set back. An entry must be fresh by both.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    wall: NaiveDateTime,
    monotonic: Instant,
}

#[derive(Clone)]
struct Entry {
    requested_at: Moment,
    principal: Arc<RemotePrincipal>,
}

impl Cache {
    pub(super) fn new(max_staleness: Duration, capacity: usize, clock: Clock) -> Self {
        let is_enabled = !max_staleness.is_zero() && capacity > 0;
        Self {
            entries: is_enabled.then(|| sync::Cache::new(capacity)),
            max_staleness,
            clock,
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment {
            wall: self.clock.now(),
            monotonic: Instant::now(),
        }
    }

    /// The cached principal, if it is fresh.
    pub(super) fn get(&self, digest: &CredentialDigest) -> Option<Arc<RemotePrincipal>> {
        let entries = self.entries.as_ref()?;
        let entry = entries.get(digest)?;
        if self.is_fresh(&entry) {
            return Some(entry.principal);
        }
        entries.remove(digest);
        None
    }

    /// Caches the response to a request that was sent at this moment.
    pub(super) fn insert(
        &self,
        digest: CredentialDigest,
        requested_at: Moment,
        principal: &Arc<RemotePrincipal>,
    ) {
        if let Some(entries) = &self.entries {
            let principal = Arc::clone(principal);
            let entry = Entry {
                requested_at,
                principal,
            };
            entries.insert(digest, entry);
        }
    }

    fn is_fresh(&self, entry: &Entry) -> bool {
        let now = self.now();
        // After the wall clock was set back, the age is unknown.
        let wall = (now.wall - entry.requested_at.wall).to_std();
        let monotonic = now.monotonic - entry.requested_at.monotonic;
        wall.is_ok_and(|age| age < self.max_staleness)
            && monotonic < self.max_staleness
            && now.wall.and_utc().timestamp() < entry.principal.expires_at()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::remote::principal;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn principal_until(exp: i64) -> Arc<RemotePrincipal> {
        let body = format!(
            r#"{{"active":true,"scope":"","username":"","exp":{exp},"iat":0,"sub":"1","name":""}}"#
        );
        Arc::new(principal::parse(body.as_bytes()).unwrap().unwrap())
    }

    fn digest(of: &str) -> CredentialDigest {
        CredentialDigest::parse(of.as_bytes()).unwrap()
    }

    fn clock() -> Clock {
        Clock::manual(DateTime::UNIX_EPOCH)
    }

    #[test]
    fn entry_expires_after_the_staleness() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        cache.insert(digest("a"), cache.now(), &principal_until(i64::MAX));
        clock.advance(TimeDelta::hours(1) - TimeDelta::microseconds(1));
        assert!(cache.get(&digest("a")).is_some());
        assert!(cache.get(&digest("b")).is_none());
        clock.advance(TimeDelta::microseconds(1));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn entry_ages_from_the_request() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        let requested_at = cache.now();
        clock.advance(TimeDelta::minutes(59));
        cache.insert(digest("a"), requested_at, &principal_until(i64::MAX));
        assert!(cache.get(&digest("a")).is_some());
        clock.advance(TimeDelta::minutes(1));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn entry_never_outlives_the_credential() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        cache.insert(digest("a"), cache.now(), &principal_until(60));
        clock.advance(TimeDelta::seconds(59));
        assert!(cache.get(&digest("a")).is_some());
        clock.advance(TimeDelta::seconds(1));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn stopped_or_reset_clock_does_not_extend_entries() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        cache.insert(digest("a"), cache.now(), &principal_until(i64::MAX));
        clock.advance(TimeDelta::seconds(-1));
        assert!(cache.get(&digest("a")).is_none());

        let cache = Cache::new(Duration::from_millis(10), 10, clock);
        cache.insert(digest("a"), cache.now(), &principal_until(i64::MAX));
        thread::sleep(Duration::from_millis(11));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn cache_respects_staleness_and_capacity() {
        for (max_staleness, capacity) in [(Duration::ZERO, 10), (HOUR, 0)] {
            let cache = Cache::new(max_staleness, capacity, clock());
            cache.insert(digest("a"), cache.now(), &principal_until(i64::MAX));
            assert!(cache.get(&digest("a")).is_none());
        }
        let cache = Cache::new(HOUR, 10, clock());
        for n in 0..1_000 {
            let name = n.to_string();
            cache.insert(digest(&name), cache.now(), &principal_until(i64::MAX));
        }
        let kept = (0..1_000).filter(|n| cache.get(&digest(&n.to_string())).is_some());
        assert!((1..=10).contains(&kept.count()));
    }
}
