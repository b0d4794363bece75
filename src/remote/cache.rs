//! Good answers, for as long as they count.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use quick_cache::sync;

use super::RemotePrincipal;
use crate::clock::Clock;
use crate::credential::CredentialDigest;

/// Answers by the SHA-256 of the credential. Only good ones are kept: a bad credential is asked
/// about again, so that what somebody else is about to be given is not refused in advance.
pub(super) struct Cache {
    /// `None` when nothing is to be remembered.
    answers: Option<sync::Cache<CredentialDigest, Answer>>,
    max_staleness: Duration,
    clock: Clock,
}

/// A moment by both clocks: the one that is set goes on while the machine sleeps, the other is
/// never put back. An answer has to be fresh by both.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    by_clock: NaiveDateTime,
    by_counter: Instant,
}

#[derive(Clone)]
struct Answer {
    asked: Moment,
    principal: Arc<RemotePrincipal>,
}

impl Cache {
    pub(super) fn new(max_staleness: Duration, capacity: usize, clock: Clock) -> Self {
        let remembers = !max_staleness.is_zero() && capacity > 0;
        Self {
            answers: remembers.then(|| sync::Cache::new(capacity)),
            max_staleness,
            clock,
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment {
            by_clock: self.clock.now(),
            by_counter: Instant::now(),
        }
    }

    /// What was answered, if that still counts.
    pub(super) fn get(&self, digest: &CredentialDigest) -> Option<Arc<RemotePrincipal>> {
        let answers = self.answers.as_ref()?;
        let answer = answers.get(digest)?;
        if self.is_fresh(&answer) {
            return Some(answer.principal);
        }
        answers.remove(digest);
        None
    }

    /// Remembers what was answered to a question of the moment `asked`.
    pub(super) fn insert(
        &self,
        digest: CredentialDigest,
        asked: Moment,
        principal: &Arc<RemotePrincipal>,
    ) {
        if let Some(answers) = &self.answers {
            let principal = Arc::clone(principal);
            answers.insert(digest, Answer { asked, principal });
        }
    }

    fn is_fresh(&self, answer: &Answer) -> bool {
        let now = self.now();
        // A clock that was put back tells nothing about how old the answer is.
        let by_clock = (now.by_clock - answer.asked.by_clock).to_std();
        let by_counter = now.by_counter - answer.asked.by_counter;
        by_clock.is_ok_and(|age| age < self.max_staleness)
            && by_counter < self.max_staleness
            && now.by_clock.and_utc().timestamp() < answer.principal.expires_at()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use chrono::{DateTime, TimeDelta};

    use super::*;
    use crate::remote::principal;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn session_until(exp: i64) -> Arc<RemotePrincipal> {
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
    fn an_answer_counts_for_the_staleness_and_no_longer() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        cache.insert(digest("a"), cache.now(), &session_until(i64::MAX));
        clock.advance(TimeDelta::hours(1) - TimeDelta::microseconds(1));
        assert!(cache.get(&digest("a")).is_some());
        assert!(cache.get(&digest("b")).is_none());
        clock.advance(TimeDelta::microseconds(1));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn an_answer_ages_from_the_question_on() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        let asked = cache.now();
        clock.advance(TimeDelta::minutes(59));
        cache.insert(digest("a"), asked, &session_until(i64::MAX));
        assert!(cache.get(&digest("a")).is_some());
        clock.advance(TimeDelta::minutes(1));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn an_answer_never_outlives_the_credential() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        cache.insert(digest("a"), cache.now(), &session_until(60));
        clock.advance(TimeDelta::seconds(59));
        assert!(cache.get(&digest("a")).is_some());
        clock.advance(TimeDelta::seconds(1));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn a_clock_that_stands_or_is_put_back_makes_no_answer_younger() {
        let clock = clock();
        let cache = Cache::new(HOUR, 10, clock.clone());
        cache.insert(digest("a"), cache.now(), &session_until(i64::MAX));
        clock.advance(TimeDelta::seconds(-1));
        assert!(cache.get(&digest("a")).is_none());

        let cache = Cache::new(Duration::from_millis(10), 10, clock);
        cache.insert(digest("a"), cache.now(), &session_until(i64::MAX));
        thread::sleep(Duration::from_millis(11));
        assert!(cache.get(&digest("a")).is_none());
    }

    #[test]
    fn nothing_is_remembered_without_staleness_or_room_and_never_more_than_fits() {
        for (max_staleness, capacity) in [(Duration::ZERO, 10), (HOUR, 0)] {
            let cache = Cache::new(max_staleness, capacity, clock());
            cache.insert(digest("a"), cache.now(), &session_until(i64::MAX));
            assert!(cache.get(&digest("a")).is_none());
        }
        let cache = Cache::new(HOUR, 10, clock());
        for n in 0..1_000 {
            let name = n.to_string();
            cache.insert(digest(&name), cache.now(), &session_until(i64::MAX));
        }
        let kept = (0..1_000).filter(|n| cache.get(&digest(&n.to_string())).is_some());
        assert!((1..=10).contains(&kept.count()));
    }
}
