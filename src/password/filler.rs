//! Work for its own sake, so that a refusal takes as long whatever was compared.

use std::time::Duration;

use bcrypt_lanes::spend_rounds;
use nix::time::{ClockId, clock_gettime};

/// What the calling thread has had of the cores until now. Other threads that share them do not change
/// it, so it tells how much work something is.
pub(super) fn thread_time() -> Duration {
    // The clock is there on every system that we run on.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Computes what is missing of `whole` rounds of bcrypt after work that began at the thread time
/// `begun`, where one round takes `round`. So it takes longer when all others do too.
///
/// Sleeping would free the core for others, and that shows in their times.
pub(super) fn fill(begun: Duration, round: Duration, whole: u32) {
    let used = thread_time().saturating_sub(begun);
    spend_rounds(rounds_left(used, round, whole));
}

/// The rounds that are left of `whole` after this time.
fn rounds_left(used: Duration, round: Duration, whole: u32) -> u32 {
    let done = used.as_nanos() / round.as_nanos().max(1);
    whole.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_the_rounds_is_filled_and_no_more() {
        const ROUND: Duration = Duration::from_micros(50);
        let left = |used: Duration| rounds_left(used, ROUND, 4_096);
        assert_eq!(left(Duration::ZERO), 4_096);
        assert_eq!(left(ROUND * 1_024), 3_072);
        assert_eq!(left(ROUND * 4_095), 1);
        assert_eq!(left(ROUND * 4_096), 0);
        assert_eq!(left(Duration::from_secs(86_400)), 0);
        assert_eq!(rounds_left(ROUND, Duration::ZERO, 4_096), 0);
    }

    #[test]
    fn the_time_of_a_thread_stands_while_it_sleeps() {
        let begun = thread_time();
        std::thread::sleep(Duration::from_millis(50));
        let asleep = thread_time() - begun;
        assert!(asleep < Duration::from_millis(25), "{asleep:?}");
        spend_rounds(64);
        assert!(thread_time() - begun > asleep);
    }
}
