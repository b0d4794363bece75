//! Denials, which a client can cause at will: the first ones are written individually, the rest as
//! sums. An attacker can fill neither the disk nor the write queue, and can hide only further
//! denials of the same kind.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::refusal_limit::{RefusalLimit, Sums};
use super::{Action, AuditContext, AuditTrail, Event, Events};
use crate::error::Error;

/// The denials of the current minute.
#[derive(Default)]
pub(super) struct Denials(Mutex<RefusalLimit>);

impl Denials {
    fn lock(&self) -> MutexGuard<'_, RefusalLimit> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AuditTrail {
    /// Records a denial, individually or as part of a sum.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn record_denial(
        &self,
        context: &AuditContext,
        event: Event,
    ) -> Result<(), Error> {
        let (now, network) = (self.0.clock.now(), context.network().to_string());
        let guessed = guessed(event.action);
        let (is_line_due, is_row_due) = {
            let mut limit = self.0.denials.lock();
            (
                guessed.is_some() && limit.take_line(now, &network),
                limit.take_row(now, context, &event, &network),
            )
        };
        if let Some(what) = guessed.filter(|_| is_line_due) {
            log_denied_guess(context, what);
        }
        if is_row_due {
            self.record(context, event).await
        } else {
            Ok(())
        }
    }

    /// Writes the sums of a minute that is over; with `all`, also those of the current minute.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer: then the sums are kept for the
    /// next call.
    pub(crate) async fn flush_denials(&self, all: bool) -> Result<(), Error> {
        let sums = self.0.denials.lock().take_sums(self.0.clock.now(), all);
        if sums.groups.is_empty() {
            return Ok(());
        }
        let (service, to_write) = (AuditContext::service(), sums.clone());
        let written = self.writing(&service, move |_tx, events| {
            record_sums(events, to_write);
            Ok(())
        });
        written
            .await
            .inspect_err(|_error| self.0.denials.lock().put_back(sums))
    }
}

/// Records the sums, preceded by an event which states that the trail is incomplete for that time.
fn record_sums(events: &mut Events, sums: Sums) {
    let all: u64 = sums.groups.iter().map(|(_, sum)| sum.count).sum();
    let mut suppressed = Event::new(Action::AuditSuppressed).with("count", all);
    if let Some(began) = sums.began {
        let since = began.and_utc().to_rfc3339();
        suppressed = suppressed.with("since", since);
    }
    events.record(suppressed);
    for (group, sum) in sums.groups {
        let mut event = Event::refused(group.action).with("count", sum.count);
        event.target = group.target;
        events.record_by(sum.context.unwrap_or_else(AuditContext::service), event);
    }
}

/// What a client guesses at when this action is denied.
const fn guessed(action: Action) -> Option<&'static str> {
    match action {
        Action::Login => Some("sign-in"),
        Action::StaticKeyRefused => Some("static key"),
        _ => None,
    }
}

/// Logs a line for programs that block addresses, such as fail2ban: `deploy/fail2ban` matches it.
/// It contains no text from the client, which could imitate another line.
fn log_denied_guess(context: &AuditContext, what: &str) {
    if let Some(address) = context.address() {
        log::info!(target: "tokenhouse::sign_in", "refused {what} from {address}");
    }
}
