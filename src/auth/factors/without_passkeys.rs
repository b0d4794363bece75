//! What stands for `passkey.rs` in a build without the feature `passkeys`, whose settings cannot turn them on.

use secrecy::SecretString;

use super::{ConfirmedFactor, Enroller};
use crate::audit::AuditContext;
use crate::auth::Auth;
use crate::auth::passkeys::NewPasskey;
use crate::auth::validation::Field;
use crate::error::Error;

impl Auth {
    /// See the build with passkeys.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`].
    pub async fn begin_passkey(
        &self,
        _context: &AuditContext,
        _enroller: &Enroller,
        _name: Field<Option<String>>,
        _current_password: Option<SecretString>,
    ) -> Result<NewPasskey, Error> {
        Err(Error::PasskeysOff)
    }

    /// See the build with passkeys.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`].
    pub async fn confirm_passkey(
        &self,
        _context: &AuditContext,
        _enroller: &Enroller,
        _id: i64,
        _credential: &SecretString,
        _ends_others: bool,
    ) -> Result<ConfirmedFactor, Error> {
        Err(Error::PasskeysOff)
    }
}
