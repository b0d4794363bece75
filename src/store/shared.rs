//! The rows that the operations of one transaction read and change in memory: locked and read at its
//! beginning, stored at its end, with one statement of each kind, however many operations there are.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::locked_counters::SavedCounters;
#[cfg(feature = "mail")]
use super::mail_outbox::NewOutboxMail;
use super::new_session::OfUser;
use super::user::LockedUser;
use super::{Account, CounterKey, LockedCounters, LockedSessions, Revoking};

/// What an operation reads, changes and may end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    /// The users whose rows it locks. It may end their credentials.
    pub(crate) users: Vec<i64>,
    /// The user whose row it locks, and none of whose credentials it ends unless the user is also one
    /// of `users`.
    pub(crate) locked: Option<i64>,
    /// The user whose row it locks to begin a session. It ends another one only if the user is also
    /// one of `users`.
    pub(crate) session_of: Option<i64>,
    /// The counters of the throttle that it may change.
    pub(crate) counters: Vec<CounterKey>,
    /// The account that it reads, by `NewUser::email_key`.
    pub(crate) account: Option<String>,
    /// The unique value that it stores, or empty: transactions of several processes store such
    /// values in one order, so that they do not wait for each other.
    pub(crate) unique: String,
}

/// See the [module](self).
pub(crate) struct Shared {
    users: BTreeMap<i64, LockedUser>,
    accounts: HashMap<String, Account>,
    /// The counters of the throttle.
    pub(crate) counters: LockedCounters,
    /// The sessions of the users who get one, after [`Self::read_sessions`].
    pub(crate) sessions: LockedSessions,
    /// Who gets a session: a user for each session.
    beginning: Vec<i64>,
    /// Whose credentials may end.
    may_end: BTreeSet<i64>,
    /// The mails to queue.
    #[cfg(feature = "mail")]
    pub(crate) mails: Vec<NewOutboxMail>,
}

/// What one operation may have changed, to return to.
pub(crate) struct Saved {
    counters: SavedCounters,
    sessions: Option<(i64, OfUser)>,
    #[cfg(feature = "mail")]
    mails: usize,
}

/// The users of these claims whose credentials may end, sorted.
pub(crate) fn users_of<'a>(claims: impl Iterator<Item = &'a Claims>) -> Vec<i64> {
    let users: BTreeSet<i64> = claims.flat_map(|claims| &claims.users).copied().collect();
    users.into_iter().collect()
}

impl Shared {
    /// Locks and reads what the claims name: the users in the order of their ids, then the counters.
    pub(crate) fn lock(
        tx: &mut Revoking<'_>,
        claims: &[&Claims],
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        let may_end: BTreeSet<i64> = claims.iter().flat_map(|one| &one.users).copied().collect();
        let beginning: Vec<i64> = claims.iter().filter_map(|one| one.session_of).collect();
        let locked = claims.iter().filter_map(|one| one.locked);
        let locked: BTreeSet<i64> = locked
            .chain(may_end.iter().chain(&beginning).copied())
            .collect();
        let users = LockedUser::lock_all(tx, &Vec::from_iter(locked))?;
        let counters: Vec<_> = claims
            .iter()
            .flat_map(|claims| claims.counters.iter().cloned())
            .collect();
        let counters = LockedCounters::lock(tx, &counters, now)?;
        let keys: BTreeSet<&String> = claims.iter().flat_map(|claims| &claims.account).collect();
        let keys: Vec<String> = keys.into_iter().cloned().collect();
        let accounts = match keys.is_empty() {
            true => HashMap::new(),
            false => Account::find_all(tx, &keys)?.into_iter().collect(),
        };
        Ok(Self {
            users: users.into_iter().map(|user| (user.id, user)).collect(),
            accounts,
            counters,
            sessions: LockedSessions::default(),
            beginning,
            may_end,
            #[cfg(feature = "mail")]
            mails: Vec::new(),
        })
    }

    /// Reads the sessions of the users who get one, the first time: after the statements of other
    /// operations, which may end them or record their use.
    pub(crate) fn read_sessions(&mut self, tx: &mut Revoking<'_>) -> QueryResult<()> {
        let beginning = mem::take(&mut self.beginning);
        if !beginning.is_empty() {
            let may_end = mem::take(&mut self.may_end);
            self.sessions = LockedSessions::read(tx, &beginning, may_end)?;
        }
        Ok(())
    }

    /// The account with this address, by `NewUser::email_key`.
    pub(crate) fn account(&self, email_key: &str) -> Option<Account> {
        self.accounts.get(email_key).cloned()
    }

    /// Whether a claimed user may still sign in with the password of this account.
    pub(crate) fn is_unchanged(&self, account: &Account) -> bool {
        let user = self.users.get(&account.user.id);
        user.is_some_and(|user| user.can_sign_in_with(account.hashed_password.as_str()))
    }

    /// The state of what an operation with these claims may change.
    pub(crate) fn save(&self, claims: &Claims) -> Saved {
        let user = claims.session_of;
        Saved {
            counters: self.counters.save(&claims.counters),
            sessions: user.and_then(|user| Some((user, self.sessions.save(user)?))),
            #[cfg(feature = "mail")]
            mails: self.mails.len(),
        }
    }

    /// Undoes what was changed since.
    pub(crate) fn restore(&mut self, saved: Saved) {
        self.counters.restore(saved.counters);
        if let Some((user, sessions)) = saved.sessions {
            self.sessions.restore(user, sessions);
        }
        #[cfg(feature = "mail")]
        self.mails.truncate(saved.mails);
    }

    /// Stores what has changed.
    pub(crate) fn store(self, tx: &mut Revoking<'_>) -> QueryResult<()> {
        self.sessions.store(tx)?;
        #[cfg(feature = "mail")]
        for mail in &self.mails {
            mail.insert(tx)?;
        }
        self.counters.store(tx)
    }
}
