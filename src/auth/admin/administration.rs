//! Changes to users by administrators: the rows that they lock, and the checks once the rows are
//! locked.

use chrono::NaiveDateTime;

use super::{AdminGrant, Administrator};
use crate::audit::Events;
use crate::auth::Auth;
use crate::auth::account::check_another_administers;
use crate::auth::user_patch::CheckedPatch;
use crate::error::Error;
use crate::scope::{self, ScopePatterns};
use crate::store::{Ends, Revoking, User, UserChanges, Writing};

impl Auth {
    /// Like [`Self::administer_if`], for an operation that cannot remove an administrator. It may
    /// end only what `ends` says.
    pub(in crate::auth) async fn administer<T: Send + 'static>(
        &self,
        admin: &Administrator,
        id: i64,
        ends: Ends,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events, &User) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.administer_if(admin, id, ends, LockFirst::Nothing, |tx, events, locked| {
            work(tx, events, locked.user)
        })
        .await
    }

    /// Changes a user while the rows of the user and of the administrator are locked. The
    /// administrator must still be authenticated, hold the scope, and hold every reserved scope
    /// that the user holds. The lower id is locked first, so that two administrators cannot
    /// deadlock; what `lock_first` names is locked before both.
    pub(super) async fn administer_if<T: Send + 'static>(
        &self,
        admin: &Administrator,
        id: i64,
        ends: Ends,
        lock_first: LockFirst,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events, &Locked<'_>) -> Result<T, Error>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let (grant, now) = (admin.grant.clone(), self.0.clock.now());
        let auth = self.clone();
        let outcome = self.change(&admin.context, ends, move |tx, events| {
            if let LockFirst::Administrators = lock_first {
                User::lock_administrators(tx)?;
            }
            let mut user = None;
            if grant
                .as_ref()
                .is_none_or(|grant| id < grant.principal.user.id)
            {
                user = User::lock(tx, id)?;
            }
            let caller = match &grant {
                Some(grant) => Some((grant, grant.lock(tx, now)?)),
                None => None,
            };
            if grant.is_some() && user.is_none() {
                user = User::lock(tx, id)?;
            }
            let user = user.ok_or(Error::UserNotFound)?;
            let locked = Locked {
                user: &user,
                by: caller.as_ref().map(|(grant, caller)| (*grant, caller)),
                grantable: &auth.0.config.grantable_scopes,
            };
            locked.check_can_be_changed()?;
            work(tx, events, &locked)
        });
        self.record_if_denied(admin, outcome.await).await
    }

    /// Records a denial when the administrator lacks a scope.
    pub(in crate::auth) async fn record_if_denied<T>(
        &self,
        admin: &Administrator,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match (outcome, &admin.grant) {
            (Err(Error::InsufficientScope(scope)), Some(grant)) => Err(self
                .refuse_scope(&admin.context, &grant.principal, &scope)
                .await),
            (outcome, _) => outcome,
        }
    }
}

/// What a transaction locks before any user's row.
#[derive(Clone, Copy)]
pub(super) enum LockFirst {
    Nothing,
    /// [`User::lock_administrators`], for an operation that may remove an administrator.
    Administrators,
}

/// A user whose row is locked, and the administrator who changes the user; `None` for the operator.
pub(super) struct Locked<'a> {
    pub(super) user: &'a User,
    by: Option<(&'a AdminGrant, &'a User)>,
    grantable: &'a ScopePatterns,
}

impl Locked<'_> {
    /// Checks that a patch is allowed, and returns the changes that it makes to the current row.
    pub(super) fn changes(
        &self,
        tx: &mut Writing<'_>,
        patch: &CheckedPatch,
        now: NaiveDateTime,
    ) -> Result<UserChanges, Error> {
        patch.only_if.check(self.user)?;
        let changes = patch.changes(self.user, now)?;
        let mut is_removed = patch.disabled == Some(true);
        if let Some(scopes) = &changes.scopes {
            self.check_can_grant(scopes)?;
            is_removed |= !scope::contains(scopes, scope::USERS_WRITE);
        }
        if is_removed {
            self.check_another_administers(tx)?;
        }
        Ok(changes)
    }

    fn check_can_be_changed(&self) -> Result<(), Error> {
        match self.by {
            Some((grant, caller)) => grant.check_can_act_on(caller, self.user),
            None => Ok(()),
        }
    }

    fn check_can_grant(&self, scopes: &str) -> Result<(), Error> {
        match self.by {
            Some((grant, caller)) => {
                grant.check_can_grant(caller, self.grantable, &self.user.scopes, scopes)
            }
            None => Ok(()),
        }
    }

    /// Refuses to remove the last administrator, except for the operator, who can appoint another.
    pub(super) fn check_another_administers(&self, tx: &mut Writing<'_>) -> Result<(), Error> {
        match self.by {
            Some(_) => check_another_administers(tx, self.user),
            None => Ok(()),
        }
    }
}
