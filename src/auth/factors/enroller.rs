//! Who adds a second factor.

use std::sync::Arc;

use chrono::NaiveDateTime;
use secrecy::SecretString;

use super::check_level;
use crate::audit::{Action, AuditContext};
use crate::auth::Auth;
use crate::auth::PendingEnrolment;
use crate::auth::caller::lock_caller;
use crate::auth::owner::ProvenOwner;
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

impl Auth {
    /// Proves that an enroller owns the account: by the password or a recent sign-in, or by a sign-in that waits,
    /// for which the password was just entered.
    ///
    /// # Errors
    /// The same as [`Auth::prove_owner`].
    pub(super) async fn prove_enroller(
        &self,
        context: &AuditContext,
        enroller: &Enroller,
        current_password: Option<SecretString>,
    ) -> Result<ProvenOwner, Error> {
        match enroller {
            Enroller::SignedIn(principal) => {
                self.prove_owner(context, principal, current_password, Action::FactorAdd)
                    .await
            }
            Enroller::Pending(_) => Ok(ProvenOwner::by_pending_sign_in()),
        }
    }
}

impl From<&Arc<Principal>> for Enroller {
    fn from(principal: &Arc<Principal>) -> Self {
        Self::SignedIn(Arc::clone(principal))
    }
}
