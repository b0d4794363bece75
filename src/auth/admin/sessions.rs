//! Sessions of users that administrators and operators list and end.

use super::Administrator;
use crate::audit::{Action, Event};
use crate::auth::Auth;
use crate::auth::trusted_devices::end_everywhere;
use crate::error::Error;
use crate::store::{Ends, Session, Sessions, User};

impl Auth {
    /// Lists the sessions of a user as [`Auth::list_sessions`] does, and records that they were read.
    ///
    /// # Errors
    /// [`Error::UserNotFound`]; [`Error::TooManyAttempts`] when the caller has used up its budget;
    /// [`Error::Unavailable`].
    pub async fn list_sessions_of(
        &self,
        admin: &Administrator,
        id: i64,
    ) -> Result<Vec<Session>, Error> {
        let event = Event::new(Action::SessionRead).on_user(id);
        self.record(&admin.context, event).await?;
        let find = move |conn: &mut _| User::find(conn, id);
        self.0.store.read(find).await?.ok_or(Error::UserNotFound)?;
        self.list_sessions(id).await
    }

    /// Ends a session of a user.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`]; [`Error::SessionNotFound`] when the user has no such session.
    pub async fn end_session_of(
        &self,
        admin: &Administrator,
        id: i64,
        session: i64,
    ) -> Result<(), Error> {
        let ended = self.administer(admin, id, Ends::Users(vec![id]), move |tx, events, user| {
            if !Sessions::end(tx, user.id, session)? {
                return Err(Error::SessionNotFound);
            }
            let event = Event::new(Action::SessionEnd).on_user(user.id);
            events.record(event.with("session", session));
            Ok(())
        });
        ended.await
    }

    /// Ends all sessions of a user, and keeps the keys. Returns how many.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`].
    pub async fn end_sessions_of(&self, admin: &Administrator, id: i64) -> Result<usize, Error> {
        let event = |ended| Some(Event::new(Action::SessionEnd).with("sessions", ended));
        self.end_all_sessions(admin, id, event).await
    }

    /// Like [`Self::end_sessions_of`], under the name of the time when a user had one token: records
    /// nothing if there was no session, and returns whether there was one.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`].
    pub async fn revoke_token_of(&self, admin: &Administrator, id: i64) -> Result<bool, Error> {
        let event = |ended| (ended > 0).then(|| Event::new(Action::TokenRevoke));
        Ok(self.end_all_sessions(admin, id, event).await? > 0)
    }

    /// Ends all sessions of a user, and records the event for their number. Returns how many.
    async fn end_all_sessions(
        &self,
        admin: &Administrator,
        id: i64,
        event: impl FnOnce(usize) -> Option<Event> + Send + 'static,
    ) -> Result<usize, Error> {
        let ended = self.administer(admin, id, Ends::Users(vec![id]), move |tx, events, user| {
            let ended = end_everywhere(tx, user.id, None)?;
            if let Some(event) = event(ended) {
                events.record(event.on_user(user.id));
            }
            Ok(ended)
        });
        ended.await
    }
}
