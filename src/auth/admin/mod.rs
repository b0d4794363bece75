//! Administrators, and what allows them to change other users' accounts.

mod addresses;
mod administration;
mod apps;
mod credentials;
mod devices;
#[cfg(feature = "mail")]
mod mails;
mod new_users;
mod sessions;
mod users;

use std::sync::Arc;

use chrono::NaiveDateTime;

use crate::audit::AuditContext;
use crate::auth::caller::lock_caller;
use crate::error::Error;
use crate::scope::{self, ScopePatterns};
use crate::store::{Credential, Principal, User, Writing};

pub use addresses::Addresses;
#[cfg(feature = "mail")]
pub use mails::MailPage;
#[cfg(feature = "cli")]
pub(crate) use new_users::AddressState;
pub use users::{MAX_SEARCH, UserPage};

/// An administrator or operator.
#[derive(Clone, Debug)]
pub struct Administrator {
    pub(super) context: AuditContext,
    /// The authority, which is checked again in the transaction of each change; `None` for the
    /// operator.
    pub(super) grant: Option<AdminGrant>,
}

impl Administrator {
    /// An operator with a shell on the machine.
    pub fn operator() -> Self {
        Self {
            context: AuditContext::operator(),
            grant: None,
        }
    }

    /// An administrator whose principal holds the scope `authority`.
    pub fn new(context: AuditContext, principal: Arc<Principal>, authority: &str) -> Self {
        Self {
            context: context.by(&principal, authority),
            grant: Some(AdminGrant {
                principal,
                authority: authority.to_owned(),
            }),
        }
    }

    /// What the audit trail records about the administrator.
    pub fn context(&self) -> &AuditContext {
        &self.context
    }

    /// Refuses API keys.
    ///
    /// # Errors
    /// [`Error::LoginTokenRequired`]
    pub(super) fn check_is_not_key(&self) -> Result<(), Error> {
        self.grant
            .as_ref()
            .map_or(Ok(()), AdminGrant::check_is_signed_in)
    }
}

/// What allows an administrator to change other users' accounts.
#[derive(Clone, Debug)]
pub(super) struct AdminGrant {
    pub(super) principal: Arc<Principal>,
    /// The required scope.
    authority: String,
}

impl AdminGrant {
    /// Locks the administrator's row until the transaction ends, and returns the current user.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] when the credential is no longer valid; [`Error::InsufficientScope`]
    /// when the user has lost the scope; [`Error::Unavailable`].
    pub(super) fn lock(&self, tx: &mut Writing<'_>, now: NaiveDateTime) -> Result<User, Error> {
        let caller = lock_caller(tx, &self.principal, now)?;
        if scope::contains(&caller.scopes, &self.authority) {
            Ok(caller)
        } else {
            Err(Error::InsufficientScope(self.authority.clone()))
        }
    }

    /// Refuses API keys, whatever their scopes: programs must not create or delete users, nor
    /// change their profiles and scopes.
    pub(super) fn check_is_signed_in(&self) -> Result<(), Error> {
        match &self.principal.credential {
            Credential::LoginToken(_) => Ok(()),
            Credential::ApiKey(_) => Err(Error::LoginTokenRequired),
        }
    }

    /// Refuses a user who holds a reserved scope that the caller does not hold: administrators cannot
    /// change users with more authority.
    pub(super) fn check_can_act_on(&self, caller: &User, user: &User) -> Result<(), Error> {
        let mut own = scope::RESERVED.into_iter();
        let is_beyond =
            |name: &&str| scope::contains(&user.scopes, name) && !self.holds(caller, name);
        match own.find(is_beyond) {
            Some(name) => Err(Error::InsufficientScope(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Refuses to change the scopes of a user from `before` to `after` when that grants a scope
    /// that the caller does not hold and that is not `grantable`.
    pub(super) fn check_can_grant(
        &self,
        caller: &User,
        grantable: &ScopePatterns,
        before: &str,
        after: &str,
    ) -> Result<(), Error> {
        let can_grant = |name: &str| self.holds(caller, name) || grantable.matches(name);
        let given = scope::difference(after, before);
        match scope::names(&given).find(|name| !can_grant(name)) {
            Some(name) => Err(Error::InsufficientScope(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Whether the credential and its user both hold this scope.
    fn holds(&self, caller: &User, name: &str) -> bool {
        self.principal.has_scope(name) && scope::contains(&caller.scopes, name)
    }
}
