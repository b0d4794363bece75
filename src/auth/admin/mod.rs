//! Who sees to other people's accounts, and by what.

mod administration;
mod credentials;
mod users;

use std::sync::Arc;

use chrono::NaiveDateTime;

use crate::audit::AuditContext;
use crate::auth::caller::lock_caller;
use crate::error::Error;
use crate::scope::{self, ScopePatterns};
use crate::store::{Credential, Principal, User, Writing};

pub use users::UserPage;

/// Who may see to other people's accounts.
#[derive(Clone, Debug)]
pub struct Administrator {
    pub(super) origin: AuditContext,
    /// What has to hold still when a change is made; nothing for the operator.
    pub(super) by: Option<Authority>,
}

impl Administrator {
    /// An operator with a shell on the machine.
    pub fn operator() -> Self {
        Self {
            origin: AuditContext::operator(),
            by: None,
        }
    }

    /// The user of a session that holds the scope `level`.
    pub fn new(origin: AuditContext, principal: Arc<Principal>, level: &str) -> Self {
        Self {
            origin: origin.by(&principal, level),
            by: Some(Authority {
                principal,
                level: level.to_owned(),
            }),
        }
    }

    /// What the trail says about the administrator.
    pub fn context(&self) -> &AuditContext {
        &self.origin
    }

    /// Refuses API keys.
    ///
    /// # Errors
    /// [`Error::LoginTokenRequired`]
    pub(super) fn check_is_no_key(&self) -> Result<(), Error> {
        self.by
            .as_ref()
            .map_or(Ok(()), Authority::check_is_signed_in)
    }
}

/// By what an administrator may see to other people's accounts.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) principal: Arc<Principal>,
    /// The scope.
    level: String,
}

impl Authority {
    /// Holds the row of the administrator until the transaction ends, and returns them as they are
    /// now; the error when they are not in any more, or have lost the scope.
    pub(super) fn lock(&self, tx: &mut Writing<'_>, now: NaiveDateTime) -> Result<User, Error> {
        let caller = lock_caller(tx, &self.principal, now)?;
        if scope::contains(&caller.scopes, &self.level) {
            Ok(caller)
        } else {
            Err(Error::InsufficientScope(self.level.clone()))
        }
    }

    /// Refuses API keys, whatever their scopes: a program neither makes nor deletes users, nor
    /// decides who they are and what they may do.
    pub(super) fn check_is_signed_in(&self) -> Result<(), Error> {
        match &self.principal.credential {
            Credential::LoginToken(_) => Ok(()),
            Credential::ApiKey(_) => Err(Error::LoginTokenRequired),
        }
    }

    /// Refuses a user who holds a scope of this service's own that the caller does not hold: an
    /// administrator does nothing to one who may do more.
    pub(super) fn check_may_act_on(&self, caller: &User, user: &User) -> Result<(), Error> {
        let mut own = scope::RESERVED.into_iter();
        let is_beyond =
            |name: &&str| scope::contains(&user.scopes, name) && !self.holds(caller, name);
        match own.find(is_beyond) {
            Some(name) => Err(Error::InsufficientScope(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Refuses to change the scopes of a user from `before` to `after` when that gives one that
    /// the caller does not hold and that is not `grantable` either.
    pub(super) fn check_may_give(
        &self,
        caller: &User,
        grantable: &ScopePatterns,
        before: &str,
        after: &str,
    ) -> Result<(), Error> {
        let may_give = |name: &str| self.holds(caller, name) || grantable.matches(name);
        let given = scope::difference(after, before);
        match scope::names(&given).find(|name| !may_give(name)) {
            Some(name) => Err(Error::InsufficientScope(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Whether the credential and its user both hold this scope.
    fn holds(&self, caller: &User, name: &str) -> bool {
        self.principal.has_scope(name) && scope::contains(&caller.scopes, name)
    }
}
