//! One change of a user by an administrator: which rows it locks, and what is looked at once they
//! are locked.

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::{Administrator, Authority, check_another_administers};
use crate::auth::Auth;
use crate::auth::audit::Events;
use crate::auth::user_patch::CheckedPatch;
use crate::error::Error;
use crate::scope::{self, ScopePatterns};
use crate::store::{StoreConnection, User, UserChanges, administrators};

impl Auth {
    /// As [`Self::administer_if`], for what removes no administrator.
    pub(super) async fn administer<T: Send + 'static>(
        &self,
        admin: &Administrator,
        id: i64,
        work: impl FnOnce(&mut StoreConnection, &mut Events, &User) -> QueryResult<Result<T, Error>>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        self.administer_if(admin, id, LockFirst::Nothing, |conn, events, locked| {
            work(conn, events, locked.user)
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
        work: impl FnOnce(
            &mut StoreConnection,
            &mut Events,
            &Locked<'_>,
        ) -> QueryResult<Result<T, Error>>
        + Send
        + 'static,
    ) -> Result<T, Error> {
        let (by, now) = (admin.by.clone(), self.0.clock.now());
        let auth = self.clone();
        let outcome = self.change(&admin.origin, move |conn, events| {
            if let LockFirst::Administrators = lock_first {
                administrators::lock(conn)?;
            }
            let mut user = None;
            if by.as_ref().is_none_or(|by| id < by.principal.user.id) {
                user = User::lock(conn, id)?;
            }
            let caller = match &by {
                Some(by) => match by.lock(conn, now)? {
                    Ok(caller) => Some((by, caller)),
                    Err(error) => return Ok(Err(error)),
                },
                None => None,
            };
            if by.is_some() && user.is_none() {
                user = User::lock(conn, id)?;
            }
            let Some(user) = user else {
                return Ok(Err(Error::UserNotFound));
            };
            let locked = Locked {
                user: &user,
                by: caller.as_ref().map(|(by, caller)| (*by, caller)),
                grantable: &auth.0.config.grantable_scopes,
            };
            match locked.check_may_be_acted_on() {
                Ok(()) => work(conn, events, &locked),
                Err(error) => Ok(Err(error)),
            }
        });
        self.note_if_refused(admin, outcome.await?).await
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
    /// [`administrators::lock`], for what may remove an administrator.
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
        conn: &mut StoreConnection,
        patch: &CheckedPatch,
        now: NaiveDateTime,
    ) -> QueryResult<Result<UserChanges, Error>> {
        let is_meant = patch.only_if.check(self.user);
        let changes = match is_meant.and_then(|()| patch.changes(self.user, now)) {
            Ok(changes) => changes,
            Err(error) => return Ok(Err(error)),
        };
        let mut is_removed = patch.disabled == Some(true);
        if let Some(scopes) = &changes.scopes {
            if let Err(error) = self.check_may_give(scopes) {
                return Ok(Err(error));
            }
            is_removed |= !scope::contains(scopes, scope::USERS_WRITE);
        }
        if is_removed && let Err(error) = self.check_another_administers(conn)? {
            return Ok(Err(error));
        }
        Ok(Ok(changes))
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
    pub(super) fn check_another_administers(
        &self,
        conn: &mut StoreConnection,
    ) -> QueryResult<Result<(), Error>> {
        match self.by {
            Some(_) => check_another_administers(conn, self.user),
            None => Ok(Ok(())),
        }
    }
}
