//! Trusted devices of users that operators list and forget.

use super::Administrator;
use crate::audit::{Action, Event};
use crate::auth::Auth;
use crate::error::Error;
use crate::store::{Ends, TrustedDevice, TrustedDevices, User};

impl Auth {
    /// Lists the trusted devices of a user as [`Auth::list_devices`] does, and records that they were read.
    ///
    /// # Errors
    /// The same as [`Auth::list_sessions_of`].
    pub async fn list_devices_of(
        &self,
        admin: &Administrator,
        id: i64,
    ) -> Result<Vec<TrustedDevice>, Error> {
        let event = Event::new(Action::DeviceRead).on_user(id);
        self.record(&admin.context, event).await?;
        let find = move |conn: &mut _| User::find(conn, id);
        self.0.store.read(find).await?.ok_or(Error::UserNotFound)?;
        self.list_devices(id).await
    }

    /// Forgets a trusted device of a user, or all of them if `device` is `None`. Returns how many.
    ///
    /// # Errors
    /// The same as [`Auth::delete_user`]; [`Error::DeviceNotFound`] when the user has no such device.
    pub async fn end_devices_of(
        &self,
        admin: &Administrator,
        id: i64,
        device: Option<i64>,
    ) -> Result<usize, Error> {
        let ends = Ends::Users(Vec::new());
        let ended = self.administer(admin, id, ends, move |tx, events, user| {
            let event = Event::new(Action::DeviceEnd).on_user(user.id);
            let (event, ended) = match device {
                Some(device) if TrustedDevices::end(tx, user.id, device)? => {
                    (event.with("device", device), 1)
                }
                Some(_) => return Err(Error::DeviceNotFound),
                None => {
                    let ended = TrustedDevices::end_of_user(tx, user.id)?;
                    (event.with("devices", ended), ended)
                }
            };
            events.record(event);
            Ok(ended)
        });
        ended.await
    }
}
