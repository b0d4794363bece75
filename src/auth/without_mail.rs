//! What becomes of mails and of their links in a build without the feature `mail`: nothing. Each function
//! has the name of the one that it stands for in `mail/` and `mail_tokens.rs`.

use super::Auth;
use super::factor_change::FactorChange;
use crate::audit::AuditContext;
use crate::error::Error;
use crate::store::{ApiKey, User, Writing};

/// The links of which there are none.
pub(super) mod mail_tokens {
    use chrono::NaiveDateTime;
    use diesel::QueryResult;

    use crate::store::Writing;

    pub(in crate::auth) fn end_resets(_tx: &mut Writing<'_>, _user_id: i64) -> QueryResult<()> {
        Ok(())
    }

    pub(in crate::auth) fn end_all(_tx: &mut Writing<'_>, _user_id: i64) -> QueryResult<()> {
        Ok(())
    }

    pub(in crate::auth) fn end_everyones(_tx: &mut Writing<'_>) -> QueryResult<()> {
        Ok(())
    }

    pub(in crate::auth) fn revoke_invitations_of(
        _tx: &mut Writing<'_>,
        _user_id: i64,
        _now: NaiveDateTime,
    ) -> QueryResult<()> {
        Ok(())
    }

    pub(in crate::auth) fn is_reserved(
        _tx: &mut Writing<'_>,
        _email_key: &str,
        _now: NaiveDateTime,
    ) -> QueryResult<bool> {
        Ok(false)
    }
}

impl Auth {
    pub(super) fn queue_first_verification(
        &self,
        _tx: &mut Writing<'_>,
        _context: &AuditContext,
        _user: &User,
    ) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn tell_of_password(
        &self,
        _tx: &mut Writing<'_>,
        _context: &AuditContext,
        _user: &User,
    ) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn tell_of_key(
        &self,
        _tx: &mut Writing<'_>,
        _context: &AuditContext,
        _owner: &User,
        _key: &ApiKey,
    ) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn tell_of_factor(
        &self,
        _tx: &mut Writing<'_>,
        _context: &AuditContext,
        _user: &User,
        _change: FactorChange,
    ) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn tell_of_reuse(
        &self,
        _tx: &mut Writing<'_>,
        _context: &AuditContext,
        _user: &User,
    ) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn end_links_to_old_address(
        &self,
        _tx: &mut Writing<'_>,
        _context: &AuditContext,
        _user: &User,
        _new_address: Option<&str>,
    ) -> Result<(), Error> {
        Ok(())
    }

    pub(super) fn wake_mail(&self) {}
}
