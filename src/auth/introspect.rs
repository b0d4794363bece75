//! Credentials that somebody else has shown to the caller: what they are (RFC 7662), and ending
//! them (RFC 7009).

use std::sync::Arc;

use super::audit::{Action, Event, Origin};
use super::{Auth, caller};
use crate::credential::Candidates;
use crate::error::Error;
use crate::scope;
use crate::store::{ApiKey, Credential, Session};

/// What the trail says of a text that was asked for as a scope and is none.
const NOT_A_SCOPE: &str = "(not a scope)";

impl Session {
    /// Whether the user and the credential both hold this scope now.
    pub fn has_scope(&self, name: &str) -> bool {
        scope::contains(&self.user.scopes, name)
            && scope::contains(caller::granted(&self.credential), name)
    }

    /// The first of these scopes that is not held.
    pub fn first_missing<'a>(&self, wanted: &'a str) -> Option<&'a str> {
        scope::names(wanted).find(|name| !self.has_scope(name))
    }

    /// The scopes that user and credential both hold now, separated by spaces.
    pub fn scopes(&self) -> String {
        scope::intersection(caller::granted(&self.credential), &self.user.scopes)
    }

    /// When the credential was issued, in seconds since 1970, UTC.
    pub fn issued_at(&self) -> i64 {
        let at = match &self.credential {
            Credential::LoginToken(token) => token.created_at,
            Credential::ApiKey(used) => used.key.created_at,
        };
        at.and_utc().timestamp()
    }

    /// When the credential ends by itself, in seconds since 1970, UTC. A part of a second is left
    /// out, so that nobody takes the credential for good longer than it is.
    pub fn expires_at(&self) -> i64 {
        caller::expires_at(&self.credential).and_utc().timestamp()
    }
}

impl Auth {
    /// Puts into the trail that a session lacks a scope, and returns the error for it. A text that
    /// is no name of a scope is repeated in neither.
    pub(crate) async fn refuse_scope(
        &self,
        origin: &Origin,
        session: &Session,
        scope: &str,
    ) -> Error {
        let scope = if scope::is_name(scope) {
            scope
        } else {
            NOT_A_SCOPE
        };
        let origin = origin.clone().by(session, scope);
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
    pub async fn introspect(&self, presented: &[u8]) -> Result<Option<Arc<Session>>, Error> {
        match self.check_token(presented).await {
            Ok(session) => Ok(Some(session)),
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
        caller: Option<&Session>,
    ) -> Result<(), Error> {
        let Some(candidates) = Candidates::of(presented) else {
            return Ok(());
        };
        let session = self.look_up(candidates).await?;
        let is_own =
            |session: &Arc<Session>| caller.is_none_or(|caller| caller.user.id == session.user.id);
        let Some(session) = session.filter(is_own) else {
            return Ok(());
        };
        let origin = match caller {
            Some(caller) => origin.clone().by_owner(caller),
            None => origin.clone().by(&session, "possession"),
        };
        let now = self.0.clock.now();
        let revoked = self.change(&origin, move |conn, events| {
            let event = Event::new(Action::TokenRevoke);
            let (was_there, event) = match &session.credential {
                Credential::LoginToken(token) => {
                    (token.revoke(conn)?, event.on_user(session.user.id))
                }
                Credential::ApiKey(used) => (
                    ApiKey::revoke(conn, session.user.id, used.key.id, now)?,
                    event.on_key(used.key.id),
                ),
            };
            if was_there {
                events.record(event);
            }
            Ok(())
        });
        Ok(revoked.await?)
    }
}
