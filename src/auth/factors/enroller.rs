//! Who adds a second factor.

use std::sync::Arc;

use chrono::NaiveDateTime;

use super::check_level;
use crate::audit::AuditContext;
use crate::auth::PendingEnrolment;
use crate::auth::caller::lock_caller;
use crate::error::Error;
use crate::store::{Factor, Principal, User, Writing};

/// Who adds a second factor. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Enroller {
    /// A signed-in user.
    SignedIn(Arc<Principal>),
    /// A user whose sign-in waits for the factor.
    Pending(Arc<PendingEnrolment>),
}

impl Enroller {
    /// The user, as of the beginning of the request.
    pub fn user(&self) -> &User {
        match self {
            Self::SignedIn(principal) => &principal.user,
            Self::Pending(pending) => pending.user(),
        }
    }

    /// The context of what the user does.
    #[must_use]
    pub fn context(&self, context: AuditContext) -> AuditContext {
        match self {
            Self::SignedIn(principal) => context.by_owner(principal),
            Self::Pending(pending) => context.by_password(pending.user().id),
        }
    }

    /// Locks the row of the user until the transaction ends. Returns the current user, and all factors of the
    /// user.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] or [`Error::BadMfaToken`] if the session or the sign-in has ended meanwhile;
    /// [`Error::SecondFactorRequired`] for a session that has not shown a factor which the user has;
    /// [`Error::Unavailable`].
    pub(super) fn lock(
        &self,
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
    ) -> Result<(User, Vec<Factor>), Error> {
        match self {
            Self::SignedIn(principal) => {
                let user = lock_caller(tx, principal, now)?;
                Ok((user, check_level(tx, principal)?))
            }
            Self::Pending(pending) => {
                let user = pending.lock(tx, now)?;
                let factors = Factor::list_of_user(tx, user.id)?;
                // Another sign-in was faster: this one would have to show that factor.
                match factors.iter().any(Factor::is_confirmed) {
                    true => Err(Error::BadMfaToken),
                    false => Ok((user, factors)),
                }
            }
        }
    }
}

impl From<&Arc<Principal>> for Enroller {
    fn from(principal: &Arc<Principal>) -> Self {
        Self::SignedIn(Arc::clone(principal))
    }
}
