//! What stands for passkeys in a build without the feature `passkeys`, whose settings cannot turn them on: each
//! item has the name of the one that it stands for.

use chrono::NaiveDateTime;

use super::{PasskeyAnswer, PasskeyOptions, Signatory, Verdict};
use crate::audit::{AuditContext, Events};
use crate::auth::Auth;
use crate::auth::session::FactorMethods;
use crate::error::Error;
use crate::store::{User, Writing};

/// There is none.
#[derive(Clone)]
pub(in crate::auth) enum Signed {}

impl Signed {
    pub(in crate::auth) fn user_id(&self) -> i64 {
        match *self {}
    }

    pub(in crate::auth) fn methods(&self) -> FactorMethods {
        match *self {}
    }

    pub(in crate::auth) fn alone(&self) -> &'static str {
        match *self {}
    }

    pub(in crate::auth) fn record(
        &self,
        _auth: &Auth,
        _tx: &mut Writing<'_>,
        _events: &mut Events,
        _by_and_user: (&AuditContext, &User),
        _now: NaiveDateTime,
    ) -> Result<bool, Error> {
        match *self {}
    }
}

impl Auth {
    /// See the build with passkeys.
    ///
    /// # Errors
    /// None.
    #[cfg(feature = "pages")]
    pub(crate) async fn accepted_passkeys(
        &self,
        _user_id: i64,
    ) -> Result<Option<(String, Vec<String>)>, Error> {
        Ok(None)
    }

    /// See the build with passkeys.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`].
    #[cfg(feature = "cli")]
    pub(crate) async fn count_orphaned_passkeys(&self) -> Result<(i64, i64), Error> {
        Err(Error::PasskeysOff)
    }

    pub(in crate::auth) async fn ask_for_signature(
        &self,
        _signatory: Signatory<'_>,
    ) -> Result<PasskeyOptions, Error> {
        Err(Error::PasskeysOff)
    }

    pub(in crate::auth) async fn check_signature(
        &self,
        _signatory: Signatory<'_>,
        _answer: &PasskeyAnswer,
    ) -> Result<Verdict, Error> {
        Err(Error::PasskeysOff)
    }
}
