//! Sessions that their users list, rename and end.

use std::sync::Arc;

use super::Auth;
use super::caller::lock_caller;
use super::session::new_name;
use super::session_uses::is_unused;
use super::trusted_devices::end_everywhere;
use super::validation::Field;
use crate::audit::{Action, AuditContext, Event};
use crate::error::Error;
use crate::store::{Ends, Principal, Session, Sessions};

impl Auth {
    /// Lists the sessions of a user that have not ended, the one used last first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_sessions(&self, user_id: i64) -> Result<Vec<Session>, Error> {
        let now = self.0.clock.now();
        let list = move |conn: &mut _| Sessions::list_of_user(conn, user_id, now);
        let mut sessions = self.0.store.read(list).await?;
        sessions.retain(|session| !is_unused(session.idle_seconds, session.last_used_at, now));
        Ok(sessions)
    }

    /// Gives a session of the principal's user another name, and returns the session.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an empty name; [`Error::SessionNotFound`] when the user has no such
    /// session; [`Error::InvalidToken`] when the credential has become invalid in the meantime;
    /// [`Error::Unavailable`].
    pub async fn rename_session(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        id: i64,
        name: Field<String>,
    ) -> Result<Session, Error> {
        let name = new_name(name)?;
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        self.add(context, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            let renamed = Sessions::rename(tx, user.id, id, &name, now)?;
            let event = Event::new(Action::SessionRename).on_user(user.id);
            events.record(event.with("session", id));
            renamed.ok_or(Error::SessionNotFound)
        })
        .await
    }

    /// Ends a session of the principal's user. When this returns, no process accepts a token of it.
    ///
    /// # Errors
    /// [`Error::SessionNotFound`] when the user has no such session; otherwise the same as
    /// [`Auth::rename_session`].
    pub async fn end_session(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        id: i64,
    ) -> Result<(), Error> {
        let ends = Ends::Users(vec![principal.user.id]);
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        self.change(context, ends, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            if !Sessions::end(tx, user.id, id)? {
                return Err(Error::SessionNotFound);
            }
            let event = Event::new(Action::SessionEnd).on_user(user.id);
            events.record(event.with("session", id));
            Ok(())
        })
        .await
    }

    /// Ends the sessions of the principal's user: all, or all but the principal's own, and the trust in devices.
    /// API keys stay.
    ///
    /// # Errors
    /// The same as [`Auth::rename_session`].
    pub async fn end_sessions(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        keeps_own: bool,
    ) -> Result<(), Error> {
        let ends = Ends::Users(vec![principal.user.id]);
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        self.change(context, ends, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            let own = principal.session().map(|session| session.id);
            let ended = end_everywhere(tx, user.id, own.filter(|_| keeps_own))?;
            let event = Event::new(Action::SessionEnd).on_user(user.id);
            events.record(event.with("sessions", ended));
            Ok(())
        })
        .await
    }
}
