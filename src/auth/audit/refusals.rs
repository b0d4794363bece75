//! Refusals, which a client can bring about as often as it likes: the first ones are written one by
//! one, the rest as sums. So an attacker fills neither the disk nor the queue before it, and hides
//! nothing but more of the same.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::budgets::{Budgets, Sums};
use super::{Action, Event, Events, Origin};
use crate::auth::Auth;
use crate::auth::throttle::network;
use crate::error::Error;

/// The refusals of the current minute.
#[derive(Default)]
pub(in crate::auth) struct Refusals(Mutex<Budgets>);

impl Refusals {
    fn lock(&self) -> MutexGuard<'_, Budgets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Auth {
    /// Writes that something was refused, or adds it to a sum.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(in crate::auth) async fn note_refusal(
        &self,
        origin: &Origin,
        event: Event,
    ) -> Result<(), Error> {
        let (now, network) = (self.0.clock.now(), network(origin.address()));
        let guessed = guessed(event.action);
        let (is_line_due, is_to_be_written) = {
            let mut budgets = self.0.refusals.lock();
            (
                guessed.is_some() && budgets.is_line_due(now, &network),
                budgets.is_to_be_written(now, origin, &event, &network),
            )
        };
        if let Some(what) = guessed.filter(|_| is_line_due) {
            log_refused_guess(origin, what);
        }
        if is_to_be_written {
            self.note_event(origin, event).await
        } else {
            Ok(())
        }
    }

    /// Writes the sums of a minute that is over; with `at_once`, also of one that is not.
    pub(in crate::auth) async fn write_refusals(&self, at_once: bool) -> Result<(), Error> {
        let sums = self.0.refusals.lock().take(self.0.clock.now(), at_once);
        if sums.groups.is_empty() {
            return Ok(());
        }
        let to_write = sums.clone();
        let service = Origin::service();
        let written = self.note(&service, move |_tx, events| {
            record_sums(events, to_write);
            Ok(())
        });
        written
            .await
            .inspect_err(|_error| self.0.refusals.lock().put_back(sums))
    }
}

/// The sums, and before them that there are any: for that time, the trail does not have everything.
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
        events.record_by(sum.origin.unwrap_or_else(Origin::service), event);
    }
}

/// What is guessed at where this is refused.
const fn guessed(action: Action) -> Option<&'static str> {
    match action {
        Action::Login => Some("sign-in"),
        Action::StaticKeyRefused => Some("static key"),
        _ => None,
    }
}

/// The line for programs that lock addresses out, such as fail2ban: `deploy/fail2ban` matches it.
/// Nothing in it is a client's own words, which could be made to look like another line.
fn log_refused_guess(origin: &Origin, what: &str) {
    if let Some(address) = origin.address() {
        log::info!(target: "tokenhouse::sign_in", "refused {what} from {address}");
    }
}
