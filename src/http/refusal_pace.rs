//! Spreads refusals over time, so that a flood of them leaves the worker time for other requests.
//!
//! Clients that never wait send the next request as soon as they are refused. To refuse one costs
//! little, but a thousand of them get a thousand refusals in each turn of the worker's event loop,
//! and every other request waits for the whole turn. So a worker sends only so many refusals per
//! second, and others wait for their turn, as no client could have succeeded before anyway. Without
//! a flood no refusal waits.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How many refusals are sent immediately after a quiet time.
const MAX_BURST: u32 = 100;

/// The interval between refusals after that.
const REFUSAL_INTERVAL: Duration = Duration::from_millis(1);

/// The longest that a refusal waits.
const MAX_DELAY: Duration = Duration::from_secs(1);

/// Marks the response of a page that shows a form again, because it refuses a client that sends too
/// much, or while too many others do.
#[cfg(feature = "pages")]
pub(super) struct RefusedForm;

/// When the next refusal of a worker may be sent.
#[derive(Debug, Default)]
pub(super) struct RefusalPace(Cell<Option<Instant>>);

impl RefusalPace {
    /// How long a refusal has to wait at `now`.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let unused = REFUSAL_INTERVAL * MAX_BURST;
        let turn = match self.0.get() {
            // The turn is relative to the end of the burst.
            Some(next) => next.max(now),
            None => now,
        };
        let delay = turn.duration_since(now).saturating_sub(unused);
        if delay < MAX_DELAY {
            self.0.set(Some(turn + REFUSAL_INTERVAL));
        }
        delay.min(MAX_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: usize = MAX_BURST as usize;

    fn delays(pace: &RefusalPace, now: Instant, count: usize) -> Vec<Duration> {
        (0..count).map(|_| pace.delay(now)).collect()
    }

    #[test]
    fn refusals_wait_for_their_turn_only_in_a_flood() {
        let (pace, start) = (RefusalPace::default(), Instant::now());
        let at_once = delays(&pace, start, BURST + 1);
        assert!(at_once.iter().all(Duration::is_zero));
        assert_eq!(
            delays(&pace, start, 3),
            [1, 2, 3].map(|number| REFUSAL_INTERVAL * number)
        );
        // As fast as the interval allows.
        for number in 1..1_000 {
            let now = start + REFUSAL_INTERVAL * number;
            assert_eq!(pace.delay(now), REFUSAL_INTERVAL * 3, "{number}");
        }
        // Quiet again.
        let later = start + Duration::from_secs(3);
        assert!(
            delays(&pace, later, BURST + 1)
                .iter()
                .all(Duration::is_zero)
        );
        assert_eq!(pace.delay(later), REFUSAL_INTERVAL);
    }

    #[test]
    fn no_refusal_waits_longer_than_the_maximum() {
        let (pace, now) = (RefusalPace::default(), Instant::now());
        let longest = delays(&pace, now, 100_000).into_iter().max();
        assert_eq!(longest, Some(MAX_DELAY));
        let next = delays(&pace, now + MAX_DELAY, BURST + 1);
        assert!(next[0].is_zero(), "{next:?}");
    }
}
