//! A point in time that a machine which was suspended does not mistake.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

/// The clock that goes on while the machine is suspended, where the system has it.
#[cfg(target_os = "linux")]
const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// A point in time, in nanoseconds by two clocks: the one that counts suspension, and the wall clock,
/// which a hypervisor sets right after it has paused or moved the machine. Time has passed when
/// either of them says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) boot: u64,
    pub(super) wall: u64,
}

impl Moment {
    /// Now. A clock that cannot be read shows the end of time, so that nothing is valid then.
    pub(super) fn now() -> Self {
        let boot =
            clock_gettime(SUSPEND_CLOCK).map_or(u64::MAX, |time| nanos(Duration::from(time)));
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(u64::MAX, nanos);
        Self { boot, wall }
    }

    /// The moment so much later, by both clocks.
    pub(super) fn after(self, duration: Duration) -> Self {
        Self {
            boot: self.boot.saturating_add(nanos(duration)),
            wall: self.wall.saturating_add(nanos(duration)),
        }
    }

    /// Whether it comes before `other` by both clocks.
    pub(super) fn is_before(self, other: Self) -> bool {
        self.boot < other.boot && self.wall < other.wall
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_passed_when_either_clock_says_so() {
        let start = Moment { boot: 10, wall: 10 };
        let end = start.after(Duration::from_nanos(5));
        let at = |boot, wall| Moment { boot, wall }.is_before(end);
        assert!(at(10, 10) && at(14, 14));
        // Suspended, or set right after a pause; the wall clock going back makes nothing valid.
        assert!(!at(15, 10) && !at(10, 15) && !at(15, 0));
    }

    #[test]
    fn what_cannot_be_told_is_past_every_end() {
        let never = Moment {
            boot: u64::MAX,
            wall: u64::MAX,
        };
        assert!(!never.is_before(never.after(Duration::from_secs(1))));
        assert!(!never.is_before(Moment::now().after(Duration::from_secs(1))));
        assert!(Moment::now().is_before(Moment::now().after(Duration::from_secs(60))));
    }
}
