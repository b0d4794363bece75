//! Who sees to other people's accounts, and by what.

use std::sync::Arc;

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::audit::Origin;
use super::caller::lock_caller;
use crate::error::Error;
use crate::scope;
use crate::store::{Session, StoreConnection, User};

/// Who may see to other people's accounts.
#[derive(Clone, Debug)]
pub struct Administrator {
    pub(super) origin: Origin,
    /// What has to hold still when a change is made; nothing for the operator.
    pub(super) by: Option<Authority>,
}

impl Administrator {
    /// Somebody with a shell on the machine.
    pub fn operator() -> Self {
        Self {
            origin: Origin::operator(),
            by: None,
        }
    }

    /// The user of a session that holds the scope `level`.
    pub fn new(origin: Origin, session: Arc<Session>, level: &str) -> Self {
        Self {
            origin: origin.by(&session, level),
            by: Some(Authority {
                session,
                level: level.to_owned(),
            }),
        }
    }
}

/// By what an administrator may see to other people's accounts.
#[derive(Clone, Debug)]
pub(super) struct Authority {
    pub(super) session: Arc<Session>,
    /// The scope.
    level: String,
}

impl Authority {
    /// Holds the row of the administrator until the transaction ends, and returns them as they are
    /// now; the error when they are not in any more, or have lost the scope.
    pub(super) fn lock(
        &self,
        conn: &mut StoreConnection,
        now: NaiveDateTime,
    ) -> QueryResult<Result<User, Error>> {
        let caller = lock_caller(conn, &self.session, now)?;
        Ok(match caller {
            None => Err(Error::InvalidToken),
            Some(caller) if !scope::contains(&caller.scopes, &self.level) => {
                Err(Error::InsufficientScope(self.level.clone()))
            }
            Some(caller) => Ok(caller),
        })
    }

    /// Whether the scopes of a user may be changed from `before` to `after`. The scopes that mean
    /// something to this service can only be given by who holds them, so that nobody makes an
    /// administrator mightier than themselves; those of the operator's own apps can be given
    /// freely.
    pub(super) fn may_give(&self, caller: &User, before: &str, after: &str) -> Result<(), Error> {
        let own = scope::OWN.into_iter();
        let mut given =
            own.filter(|name| scope::contains(after, name) && !scope::contains(before, name));
        let is_held =
            |name: &&str| self.session.has_scope(name) && scope::contains(&caller.scopes, name);
        match given.find(|name| !is_held(name)) {
            Some(name) => Err(Error::InsufficientScope(name.to_owned())),
            None => Ok(()),
        }
    }
}
