//! Credentials that somebody else has shown to the caller: what they are (RFC 7662), and ending
//! them (RFC 7009).

use std::sync::Arc;

use super::Auth;
use super::audit::{Action, Event, Origin};
use crate::credential::Candidates;
use crate::error::Error;
use crate::scope;
use crate::store::{ApiKey, Credential, Principal};

/// What the trail says of a text that was asked for as a scope and is none.
const NOT_A_SCOPE: &str = "(not a scope)";

impl Auth {
    /// Puts into the trail that a principal lacks a scope, and returns the error for it. A text that
    /// is no name of a scope is repeated in neither.
    pub(crate) async fn refuse_scope(
        &self,
        origin: &Origin,
        principal: &Principal,
        scope: &str,
    ) -> Error {
        let scope = if scope::is_name(scope) {
            scope
        } else {
            NOT_A_SCOPE
        };
        let origin = origin.clone().by(principal, scope);
        let event = Event::refused(Action::ScopeRefused);
        match self.note_refusal(&origin, event).await {
            Ok(()) => Error::InsufficientScope(scope.to_owned()),
            Err(error) => error,
        }
    }

    /// What a credential stands for; `None` when it is unknown, expired, revoked or of a disabled
    /// user, without telling which.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn introspect(&self, presented: &[u8]) -> Result<Option<Arc<Principal>>, Error> {
        match self.check_token(presented).await {
            Ok(principal) => Ok(Some(principal)),
            Err(Error::InvalidToken) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Ends a credential for whoever has it; for a `caller`, only one of the caller's own. What is
    /// unknown or somebody else's is left as it is, without telling. When this returns, no process
    /// on this database accepts the credential any more.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn revoke(
        &self,
        origin: &Origin,
        presented: &[u8],
        caller: Option<&Principal>,
    ) -> Result<(), Error> {
        let Some(candidates) = Candidates::parse(presented) else {
            return Ok(());
        };
        let principal = self.look_up(candidates).await?;
        let is_own = |principal: &Arc<Principal>| {
            caller.is_none_or(|caller| caller.user.id == principal.user.id)
        };
        let Some(principal) = principal.filter(is_own) else {
            return Ok(());
        };
        let origin = match caller {
            Some(caller) => origin.clone().by_owner(caller),
            None => origin.clone().by(&principal, "possession"),
        };
        let now = self.0.clock.now();
        let revoked = self.change(&origin, move |tx, events| {
            let event = Event::new(Action::TokenRevoke);
            let (was_there, event) = match &principal.credential {
                Credential::LoginToken(token) => {
                    (token.revoke(tx)?, event.on_user(principal.user.id))
                }
                Credential::ApiKey(used) => (
                    ApiKey::revoke(tx, principal.user.id, used.key.id, now)?,
                    event.on_key(used.key.id),
                ),
            };
            if was_there {
                events.record(event);
            }
            Ok(())
        });
        revoked.await
    }
}
