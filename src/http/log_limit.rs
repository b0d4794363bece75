//! Limits the lines of the log that clients can trigger, so that they cannot fill it.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use actix_web::HttpRequest;

/// The limit of one worker, in the `app_data` of the routes whose lines it counts.
#[derive(Default)]
pub(super) struct LogLimit(Cell<Option<(Instant, u32)>>);

impl LogLimit {
    const INTERVAL: Duration = Duration::from_secs(60);

    /// The maximum number of lines in an interval.
    const MAX_LINES: u32 = 20;

    /// Whether another line may be written now; counts it if so.
    fn allows_line(&self, now: Instant) -> bool {
        let (since, lines) = match self.0.get() {
            Some((since, lines)) if now.duration_since(since) < Self::INTERVAL => (since, lines),
            _ => (now, 0),
        };
        let is_allowed = lines < Self::MAX_LINES;
        self.0.set(Some((since, lines + u32::from(is_allowed))));
        is_allowed
    }
}

/// Reports what an operator has to correct in the settings of the proxy or the service, unless too many
/// such lines were written.
pub(super) fn log_setting(request: &HttpRequest, line: fmt::Arguments<'_>) {
    let limit = request.app_data::<LogLimit>();
    if limit.is_none_or(|limit| limit.allows_line(Instant::now())) {
        log::error!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_limit_drops_lines_until_the_interval_ends() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let lines_at = |seconds| {
            let now = start + Duration::from_secs(seconds);
            (0..1_000).filter(|_| limit.allows_line(now)).count()
        };
        assert_eq!([0, 59, 60, 61].map(lines_at), [20, 0, 20, 0]);
    }
}
