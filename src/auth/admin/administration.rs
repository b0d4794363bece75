//! One change of a user by an administrator: which rows it locks, and what is looked at once they
//! are locked.

use chrono::NaiveDateTime;

use super::{Administrator, Authority};
use crate::audit::Events;
use crate::auth::Auth;
use crate::auth::deletion::check_another_administers;
use crate::auth::user_patch::CheckedPatch;
use crate::error::Error;
use crate::scope::{self, ScopePatterns};
use crate::store::{Revoking, User, UserChanges, Writing};

impl Auth {
    /// As [`Self::administer_if`], for what removes no administrator.
    pub(super) async fn administer<T: Send + 'static>(
        &self,
        admin: &Administrator,
        id: i64,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events, &User) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.administer_if(admin, id, LockFirst::Nothing, |tx, events, locked| {
            work(tx, events, locked.user)
        })
        .await
    }

    /// Does something to a user while both rows are held: the user's, and that of the
    /// administrator, who has to be in still, hold the scope still, and hold all the scopes of
    /// this service that the user holds. The lower id is locked first, so that two administrators
    /// cannot wait for each other; before both, what `lock_first` names.
    pub(super) async fn administer_if<T: Send + 'static>(
        &self,
        admin: &Administrator,
        id: i64,
        lock_first: LockFirst,
        work: impl FnOnce(&mut Revoking<'_>, &mut Events, &Locked<'_>) -> Result<T, Error>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let (by, now) = (admin.by.clone(), self.0.clock.now());
        let auth = self.clone();
        let outcome = self.change(&admin.origin, move |tx, events| {
            if let LockFirst::Administrators = lock_first {
                User::lock_administrators(tx)?;
            }
            let mut user = None;
            if by.as_ref().is_none_or(|by| id < by.principal.user.id) {
                user = User::lock(tx, id)?;
            }
            let caller = match &by {
                Some(by) => Some((by, by.lock(tx, now)?)),
                None => None,
            };
            if by.is_some() && user.is_none() {
                user = User::lock(tx, id)?;
            }
            let user = user.ok_or(Error::UserNotFound)?;
            let locked = Locked {
                user: &user,
                by: caller.as_ref().map(|(by, caller)| (*by, caller)),
                grantable: &auth.0.config.grantable_scopes,
            };
            locked.check_may_be_acted_on()?;
            work(tx, events, &locked)
        });
        self.note_if_refused(admin, outcome.await).await
    }

    /// Puts a refusal into the trail, when what an administrator wanted takes another scope.
    pub(super) async fn note_if_refused<T>(
        &self,
        admin: &Administrator,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        match (outcome, &admin.by) {
            (Err(Error::InsufficientScope(scope)), Some(by)) => Err(self
                .refuse_scope(&admin.origin, &by.principal, &scope)
                .await),
            (outcome, _) => outcome,
        }
    }
}

/// What a transaction locks before the rows of users.
#[derive(Clone, Copy)]
pub(super) enum LockFirst {
    Nothing,
    /// [`User::lock_administrators`], for what may remove an administrator.
    Administrators,
}

/// A user whose row is locked, and the administrator who acts on the user; none for the operator.
pub(super) struct Locked<'a> {
    pub(super) user: &'a User,
    by: Option<(&'a Authority, &'a User)>,
    grantable: &'a ScopePatterns,
}

impl Locked<'_> {
    /// What a patch comes to on the row as it is now, once it was found allowed.
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
            self.check_may_give(scopes)?;
            is_removed |= !scope::contains(scopes, scope::USERS_WRITE);
        }
        if is_removed {
            self.check_another_administers(tx)?;
        }
        Ok(changes)
    }

    fn check_may_be_acted_on(&self) -> Result<(), Error> {
        match self.by {
            Some((by, caller)) => by.check_may_act_on(caller, self.user),
            None => Ok(()),
        }
    }

    fn check_may_give(&self, scopes: &str) -> Result<(), Error> {
        match self.by {
            Some((by, caller)) => {
                by.check_may_give(caller, self.grantable, &self.user.scopes, scopes)
            }
            None => Ok(()),
        }
    }

    /// The operator may remove the last administrator, and can make another.
    pub(super) fn check_another_administers(&self, tx: &mut Writing<'_>) -> Result<(), Error> {
        match self.by {
            Some(_) => check_another_administers(tx, self.user),
            None => Ok(()),
        }
    }
}
