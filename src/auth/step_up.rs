//! Step-up: requests that need more than any sign-in (RFC 9470).

use super::Auth;
use super::session::is_multi_factor;
use crate::error::Error;
use crate::store::Principal;

/// What a request needs of the sign-in. An API key, with which no user has signed in, fulfils neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StepUp {
    /// Whether the user has shown a second factor.
    pub(crate) second_factor: bool,
    /// How many seconds ago the user has signed in at most.
    pub(crate) max_age: Option<u32>,
}

impl Auth {
    /// Checks how and when the user of a principal has signed in.
    ///
    /// # Errors
    /// [`Error::SecondFactorRequired`]; [`Error::FreshSignInRequired`].
    pub(crate) fn check_step_up(
        &self,
        principal: &Principal,
        required: StepUp,
    ) -> Result<(), Error> {
        match self.missing_step_up(principal, required) {
            StepUp {
                second_factor: true,
                ..
            } => Err(Error::SecondFactorRequired),
            StepUp {
                max_age: Some(max_age),
                ..
            } => Err(Error::FreshSignInRequired(max_age)),
            StepUp { max_age: None, .. } => Ok(()),
        }
    }

    /// What the sign-in of a principal's user lacks of what is required.
    pub(crate) fn missing_step_up(&self, principal: &Principal, required: StepUp) -> StepUp {
        let now = self.0.clock.now().and_utc().timestamp();
        let age = principal.authenticated_at().map(|at| now - at);
        let is_over = |max_age: &u32| age.is_none_or(|age| age < 0 || age > i64::from(*max_age));
        StepUp {
            second_factor: required.second_factor && !has_second_factor(principal),
            max_age: required.max_age.filter(is_over),
        }
    }
}

/// Whether the user has shown a second factor in the session.
fn has_second_factor(principal: &Principal) -> bool {
    let session = principal.session();
    session.is_some_and(|session| is_multi_factor(&session.amr))
}
