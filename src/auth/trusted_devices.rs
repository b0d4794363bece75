//! Trusted devices: where a user has shown a second factor and asked for it, sign-ins need the password only for
//! a fixed time. A new password or another change of what a sign-in needs ends all of them.

use std::sync::Arc;

use chrono::NaiveDateTime;
use diesel::QueryResult;
use secrecy::{ExposeSecret, SecretString};

use super::Auth;
use super::caller::lock_caller;
use super::device_name::device_name;
use super::session::{DeviceSecret, session_name};
use crate::audit::{Action, AuditContext, Event};
use crate::credential::device_token::{generate_device_token, is_device_token_shaped};
use crate::credential::token::TokenDigest;
use crate::error::Error;
use crate::scope;
use crate::store::{
    NewTrustedDevice, Principal, Revoking, Sessions, TrustedDevice, TrustedDevices, Writing,
};

impl Auth {
    /// Lists the trusted devices of a user, the newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_devices(&self, user_id: i64) -> Result<Vec<TrustedDevice>, Error> {
        let now = self.0.clock.now();
        let list = move |conn: &mut _| TrustedDevices::list_of_user(conn, user_id, now);
        Ok(self.0.store.read(list).await?)
    }

    /// Forgets a trusted device of the principal's user, or all of them if `id` is `None`: the next sign-in
    /// there asks for a code.
    ///
    /// # Errors
    /// [`Error::DeviceNotFound`] when the user has no such device; [`Error::InvalidToken`] when the credential
    /// has become invalid in the meantime; [`Error::TooManyAttempts`]; [`Error::Unavailable`].
    pub async fn end_devices(
        &self,
        context: &AuditContext,
        principal: &Arc<Principal>,
        id: Option<i64>,
    ) -> Result<(), Error> {
        let (principal, now) = (Arc::clone(principal), self.0.clock.now());
        let ended = self.add(context, move |tx, events| {
            let user = lock_caller(tx, &principal, now)?;
            let event = Event::new(Action::DeviceEnd).on_user(user.id);
            events.record(match id {
                Some(id) if TrustedDevices::end(tx, user.id, id)? => event.with("device", id),
                Some(_) => return Err(Error::DeviceNotFound),
                None => event.with("devices", TrustedDevices::end_of_user(tx, user.id)?),
            });
            Ok(())
        });
        ended.await
    }

    /// A device to trust, and its secret; `None` if the settings trust none. Its name is what the client calls
    /// itself unless there is one.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails.
    pub(super) fn new_device(
        &self,
        context: &AuditContext,
        user_id: i64,
        name: Option<&str>,
    ) -> Result<Option<(NewTrustedDevice, DeviceSecret)>, Error> {
        if !self.0.config.factors.trusts_devices() {
            return Ok(None);
        }
        let (secret, now) = (generate_device_token()?, self.0.clock.now());
        let lifetime = self.0.config.factors.device_lifetime;
        let name = name.map(session_name).filter(|name| !name.is_empty());
        let device = NewTrustedDevice {
            user_id,
            digest: secret.digest().to_hex(),
            name: name.unwrap_or_else(|| device_name(context.user_agent())),
            created_at: now,
            expires_at: now
                .checked_add_signed(lifetime)
                .unwrap_or(NaiveDateTime::MAX),
        };
        Ok(Some((device, DeviceSecret { secret, lifetime })))
    }

    /// The id of the trusted device from which a sign-in of this user comes, for these scopes; `None` if it
    /// needs a code. Scopes that need a second factor do so everywhere.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(super) async fn find_device(
        &self,
        user_id: i64,
        presented: Option<&SecretString>,
        scopes: &str,
    ) -> Result<Option<i64>, Error> {
        let presented = presented.map(|secret| secret.expose_secret().as_bytes());
        let needs_factor =
            scope::names(scopes).any(|name| scope::contains(&self.0.config.factors.scopes, name));
        let Some(presented) = presented.filter(|secret| is_device_token_shaped(secret)) else {
            return Ok(None);
        };
        if needs_factor || !self.0.config.factors.trusts_devices() {
            return Ok(None);
        }
        let digest = TokenDigest::new(presented).to_hex();
        let now = self.0.clock.now();
        let record = move |tx: &mut Writing<'_>| {
            Ok::<_, Error>(TrustedDevices::record_use(tx, user_id, &digest, now)?)
        };
        self.0.store.writing(record).await
    }
}

/// Ends the sessions of a user, except perhaps one, and the trust in all devices. Returns how many sessions.
pub(super) fn end_everywhere(
    tx: &mut Revoking<'_>,
    user_id: i64,
    kept: Option<i64>,
) -> QueryResult<usize> {
    TrustedDevices::end_of_user(tx, user_id)?;
    match kept {
        Some(session_id) => Sessions::end_others(tx, user_id, session_id),
        None => Sessions::end_of_user(tx, user_id),
    }
}
