//! Work for its own sake, until a moment.

use std::time::{Duration, Instant};

use bcrypt_lanes::spend_rounds;

use super::Cost;

/// Computes rounds of bcrypt until about `whole` after `begun`, where one of this `cost` takes
/// `whole`. Counted in rounds, so that it takes longer when all others do too.
///
/// Sleeping would free the core for others, and that shows in their times.
pub(super) fn fill(begun: Instant, whole: Duration, cost: Cost) {
    spend_rounds(rounds_left(begun.elapsed(), whole, cost));
}

/// The share of the rounds of one bcrypt that is left of its time.
fn rounds_left(used: Duration, whole: Duration, cost: Cost) -> u32 {
    let left = whole.saturating_sub(used).as_nanos();
    let rounds = (left << u32::from(cost)) / whole.as_nanos().max(1);
    // At most 2^31, that is all of them.
    u32::try_from(rounds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_the_time_is_filled_and_no_more() {
        const WHOLE: Duration = Duration::from_millis(240);
        let left = |used: Duration| rounds_left(used, WHOLE, 12_u32.try_into().unwrap());
        assert_eq!(left(Duration::ZERO), 4_096);
        assert_eq!(left(WHOLE / 4), 3_072);
        assert_eq!(left(WHOLE - Duration::from_micros(59)), 1);
        assert_eq!(left(WHOLE), 0);
        assert_eq!(left(WHOLE * 9), 0);
        assert_eq!(rounds_left(Duration::ZERO, Duration::ZERO, Cost::MAX), 0);
        let day = Duration::from_secs(86_400);
        assert_eq!(rounds_left(Duration::ZERO, day, Cost::MAX), 1 << 31);
    }
}
