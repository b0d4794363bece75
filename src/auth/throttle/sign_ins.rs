//! How often an account may be signed in to with the right password.

use chrono::TimeDelta;
use pydantic_email::fold;

use super::budget::Rate;
use super::too_many;
use crate::auth::Auth;
use crate::auth::audit::{Action, Event, Origin};
use crate::error::Error;
use crate::metrics::{Budget, SignInOutcome};
use crate::store::User;

impl Auth {
    /// Turns a client away that was told to wait with its sign-ins to this account. Only those of its
    /// network are, who have shown the password: others learn nothing of it.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`]
    pub(in crate::auth) fn check_sign_ins(&self, origin: &Origin, name: &str) -> Result<(), Error> {
        let key = sign_ins_of(origin, name);
        match self.0.turned_away.wait(&key, self.0.clock.now()) {
            Some(wait) => {
                self.0.metrics.throttled(Budget::SignIns);
                Err(too_many(wait))
            }
            None => Ok(()),
        }
    }

    /// A right password came when the account had used up its sign-ins: the client is told when to come
    /// back, and the trail that it was.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(in crate::auth) async fn refuse_sign_in(
        &self,
        origin: &Origin,
        user: &User,
        wait: TimeDelta,
    ) -> Result<Error, Error> {
        if !origin.is_shared() {
            let key = sign_ins_of(origin, &fold(&user.email));
            self.0.turned_away.remember(key, self.0.clock.now(), wait);
        }
        self.0.metrics.throttled(Budget::SignIns);
        self.0.metrics.sign_in(SignInOutcome::Throttled);
        let event = Event::refused(Action::Login).on_user(user.id);
        self.note_refusal(
            origin,
            event.with("reason", SignInOutcome::Throttled.reason()),
        )
        .await?;
        Ok(too_many(wait))
    }
}

/// What sign-ins to an account from a network are turned away under.
fn sign_ins_of(origin: &Origin, name: &str) -> String {
    format!("to {} {name}", origin.network())
}

/// So many sign-ins a minute, and a third more at once.
pub(super) fn sign_ins_per_minute(number: u32) -> Rate {
    let most = number.saturating_add(number / 3);
    let interval = TimeDelta::minutes(1) / i32::try_from(number).unwrap_or(i32::MAX).max(1);
    Rate {
        most,
        at_once: most,
        period: interval * i32::try_from(most).unwrap_or(i32::MAX),
    }
}
