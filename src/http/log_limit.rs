//! Lines of the log that a client can bring about: so many a minute, so that no client fills it.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long [`MAX_LINES`] last.
const INTERVAL: Duration = Duration::from_secs(60);

/// Lines in an interval.
const MAX_LINES: u32 = 20;

/// The budget of one worker for one kind of line.
#[derive(Default)]
pub(super) struct LogLimit(Cell<Option<(Instant, u32)>>);

impl LogLimit {
    /// Whether one more line may be written at this moment; counts it if so.
    pub(super) fn allows_line(&self, now: Instant) -> bool {
        let (since, lines) = match self.0.get() {
            Some((since, lines)) if now.duration_since(since) < INTERVAL => (since, lines),
            _ => (now, 0),
        };
        let is_allowed = lines < MAX_LINES;
        self.0.set(Some((since, lines + u32::from(is_allowed))));
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_off_until_the_interval_ends() {
        let (limit, begin) = (LogLimit::default(), Instant::now());
        let lines_at = |seconds| {
            let now = begin + Duration::from_secs(seconds);
            (0..1_000).filter(|_| limit.allows_line(now)).count()
        };
        assert_eq!([0, 59, 60, 61].map(lines_at), [20, 0, 20, 0]);
    }
}
