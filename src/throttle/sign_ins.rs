//! How often an account may be signed in to with the right password.

use chrono::TimeDelta;
use pydantic_email::fold;

use super::rate::Rate;
use super::{Throttle, too_many};
use crate::audit::{Action, AuditContext, Event};
use crate::error::Error;
use crate::metrics::{Budget, SignInOutcome};
use crate::store::User;

impl Throttle {
    /// Refuses a client that has to wait before it signs in to this account again. Only clients in
    /// its network are refused, who have shown the password: others learn nothing of it.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`]
    pub(crate) fn check_sign_ins(&self, context: &AuditContext, name: &str) -> Result<(), Error> {
        let key = blocked_name(context, name);
        match self.0.blocked.wait(&key, self.0.clock.now()) {
            Some(wait) => {
                self.0.metrics.throttled(Budget::SignIns);
                Err(too_many(wait))
            }
            None => Ok(()),
        }
    }

    /// Records that a right password was refused because the account has used up its
    /// sign-ins, and blocks the client for this long. Returns the error for the client.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn refuse_sign_in(
        &self,
        context: &AuditContext,
        user: &User,
        wait: TimeDelta,
    ) -> Result<Error, Error> {
        if !context.is_shared() {
            let key = blocked_name(context, &fold(&user.email));
            self.0.blocked.block(key, self.0.clock.now(), wait);
        }
        self.0.metrics.throttled(Budget::SignIns);
        self.0.metrics.sign_in(SignInOutcome::Throttled);
        let event = Event::refused(Action::Login).on_user(user.id);
        let event = event.with("reason", SignInOutcome::Throttled.reason());
        self.0.audit.record_denial(context, event).await?;
        Ok(too_many(wait))
    }
}

/// The name under which sign-ins to an account from a network are blocked.
fn blocked_name(context: &AuditContext, name: &str) -> String {
    format!("to {} {name}", context.network())
}

/// This many sign-ins a minute, and a third more in a burst.
pub(super) fn sign_ins_per_minute(number: u32) -> Rate {
    let most = number.saturating_add(number / 3);
    let interval = TimeDelta::minutes(1) / i32::try_from(number).unwrap_or(i32::MAX).max(1);
    Rate {
        most,
        burst: most,
        period: interval * i32::try_from(most).unwrap_or(i32::MAX),
    }
}
