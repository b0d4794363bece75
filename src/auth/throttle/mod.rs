//! Throttling of guesses at passwords, by account and by address.
//!
//! An attempt is counted in the database before the password is looked at, so that the count holds
//! for guesses that come together, for all processes, and for one that is killed. Until it is decided,
//! others wait for it rather than be refused: a right password is not wrong because others came with it.
//! What is held against an account does not keep its owner out: an address from which the account was
//! signed in to has a budget of its own, and so has the network around it.

mod addresses;
mod attempt;
mod budget;
mod changes;
mod lines;
mod network;
mod passwords;
mod reservation;
mod sign_ins;
mod turned_away;

use chrono::TimeDelta;
use diesel::QueryResult;

pub(super) use attempt::Attempt;
pub(super) use changes::Changes;
pub(super) use lines::Lines;
pub(super) use network::{around, client_of, network};
pub(super) use turned_away::TurnedAway;

use super::Auth;
use crate::error::Error;
use crate::store::{LoginFailures, Writing};

/// Rows that are deleted in one transaction.
const PRUNED_AT_ONCE: i64 = 1_000;

impl Auth {
    /// Forgets the failures that are held against the account of this canonical name. Returns
    /// whether there were any.
    pub(super) fn forget_failures(&self, tx: &mut Writing<'_>, name: &str) -> QueryResult<bool> {
        let key = self.0.throttle_key.get(tx)?;
        let account = key.digest(&["account", name]);
        let now = self.0.clock.now();
        LoginFailures::reset_account(tx, &account, now).map(|rows| rows > 0)
    }

    /// Deletes what is too old to count, and returns how many rows that were: none while the clock is
    /// not trusted ([`Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    pub async fn prune_failures(&self) -> Result<usize, Error> {
        if !self.check_clock().await? {
            return Ok(0);
        }
        let now = self.0.clock.now();
        let mut pruned = 0;
        loop {
            let prune = move |tx: &mut Writing<'_>| {
                Ok::<_, Error>(LoginFailures::prune(tx, now, PRUNED_AT_ONCE)?)
            };
            match self.0.store.writing(prune).await? {
                0 => return Ok(pruned),
                rows => pruned += rows,
            }
        }
    }
}

fn too_many(wait: TimeDelta) -> Error {
    let wait = wait.to_std().unwrap_or_default();
    Error::TooManyAttempts { retry_after: wait }
}
