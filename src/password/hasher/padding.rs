//! Computation whose result is discarded, so that every refusal takes equally long.

use std::time::Duration;

use bcrypt_lanes::spend_rounds;
use nix::time::{ClockId, clock_gettime};

/// The CPU time that the calling thread has used. It measures work independent of other threads that
/// share the cores.
pub(super) fn thread_time() -> Duration {
    // Every supported system has this clock.
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// Pads work that started at the thread time `started` to `rounds` rounds of bcrypt, where one round
/// takes `round`.
///
/// It computes instead of sleeping: sleeping would free the core for other requests, which would show
/// in their response times.
pub(super) fn pad_to_rounds(started: Duration, round: Duration, rounds: u32) {
    let used = thread_time().saturating_sub(started);
    spend_rounds(remaining_rounds(used, round, rounds));
}

/// How many of `rounds` remain after this much CPU time.
fn remaining_rounds(used: Duration, round: Duration, rounds: u32) -> u32 {
    let done = used.as_nanos() / round.as_nanos().max(1);
    rounds.saturating_sub(u32::try_from(done).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_covers_exactly_the_remaining_rounds() {
        const ROUND: Duration = Duration::from_micros(50);
        let remaining = |used: Duration| remaining_rounds(used, ROUND, 4_096);
        assert_eq!(remaining(Duration::ZERO), 4_096);
        assert_eq!(remaining(ROUND * 1_024), 3_072);
        assert_eq!(remaining(ROUND * 4_095), 1);
        assert_eq!(remaining(ROUND * 4_096), 0);
        assert_eq!(remaining(Duration::from_secs(86_400)), 0);
        assert_eq!(remaining_rounds(ROUND, Duration::ZERO, 4_096), 0);
    }

    #[test]
    fn thread_time_does_not_advance_while_the_thread_sleeps() {
        let started = thread_time();
        std::thread::sleep(Duration::from_millis(50));
        let asleep = thread_time() - started;
        assert!(asleep < Duration::from_millis(25), "{asleep:?}");
        spend_rounds(64);
        assert!(thread_time() - started > asleep);
    }
}
