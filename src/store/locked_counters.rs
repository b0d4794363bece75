//! The throttle's counters of one transaction: locked at its beginning, changed in memory, and
//! stored at its end, with one statement each, however many there are.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::Text;

use super::prepared::{Columns, ListedRow, RowList};
use super::schema::login_failures;
use super::{ThrottleCounter, Writing};

/// One statement whether or not a counter exists: two would take longer, and reveal whether the
/// subject is known.
const INSERT: &str = "INSERT INTO login_failures (subject, account, failures, next_at, \
     expires_at, alerts, under_way, under_way_until, signed_in_until) VALUES ";

const OR_LOCK: &str = " ON CONFLICT (subject) DO UPDATE SET failures = login_failures.failures \
     RETURNING subject, account, failures, next_at, expires_at, alerts, under_way, \
     under_way_until, signed_in_until";

const OR_UPDATE: &str = " ON CONFLICT (subject) DO UPDATE SET account = excluded.account, \
     failures = excluded.failures, next_at = excluded.next_at, \
     expires_at = excluded.expires_at, alerts = excluded.alerts, \
     under_way = excluded.under_way, under_way_until = excluded.under_way_until, \
     signed_in_until = excluded.signed_in_until";

const FIND: &str = "SELECT subject, account, failures, next_at, expires_at, alerts, under_way, \
     under_way_until, signed_in_until FROM login_failures WHERE subject IN (";

/// A counter, and its place in the order in which every transaction locks counters, so that no two
/// wait for each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CounterKey {
    place: Place,
    subject: String,
    account: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Account,
    /// By the number of the budget of the address.
    Address(usize),
    /// Has no lock of its own: the transaction that holds the account has exclusive access.
    OfAccount,
}

impl CounterKey {
    /// The counter of an account.
    pub(crate) fn of_account(subject: &str) -> Self {
        Self {
            place: Place::Account,
            subject: subject.to_owned(),
            account: Some(subject.to_owned()),
        }
    }

    /// The counter of an account from an address or network. The same transaction must lock the
    /// account. It is created only when it is stored.
    pub(crate) fn of_pair(subject: &str, account: &str) -> Self {
        Self {
            place: Place::OfAccount,
            subject: subject.to_owned(),
            account: Some(account.to_owned()),
        }
    }

    /// The counter of an address or network, which is the budget with this number.
    pub(crate) fn of_address(number: usize, subject: &str) -> Self {
        Self {
            place: Place::Address(number),
            subject: subject.to_owned(),
            account: None,
        }
    }

    fn new_counter(&self, now: NaiveDateTime) -> ThrottleCounter {
        ThrottleCounter::new(&self.subject, self.account.as_deref(), now)
    }
}

/// The counters that a transaction has locked, by subject.
#[derive(Default)]
pub(crate) struct LockedCounters(BTreeMap<String, Locked>);

#[derive(Clone)]
struct Locked {
    key: CounterKey,
    /// `None` for one that does not exist.
    counter: Option<ThrottleCounter>,
    is_changed: bool,
}

/// The state of some counters, to return to.
pub(crate) struct SavedCounters(Vec<(String, Locked)>);

impl LockedCounters {
    /// Locks counters until the transaction ends. Creates those of accounts and addresses.
    pub(crate) fn lock(
        tx: &mut Writing<'_>,
        keys: &[CounterKey],
        now: NaiveDateTime,
    ) -> QueryResult<Self> {
        let keys: BTreeSet<&CounterKey> = keys.iter().collect();
        let (of_accounts, own): (Vec<&CounterKey>, Vec<_>) = keys
            .iter()
            .partition(|key| matches!(key.place, Place::OfAccount));
        let mut found: Vec<ThrottleCounter> = Vec::new();
        if !own.is_empty() {
            let rows: Vec<_> = own.iter().map(|key| key.new_counter(now)).collect();
            let insert = RowList {
                before: INSERT,
                rows: &rows,
                after: OR_LOCK,
            };
            found = insert.load(tx.conn())?;
        }
        // After that: a statement sees what was committed before it began.
        if !of_accounts.is_empty() {
            let find = RowList {
                before: FIND,
                rows: &of_accounts,
                after: ")",
            };
            found.extend(find.load::<ThrottleCounter>(tx.conn())?);
        }
        let mut found: BTreeMap<String, ThrottleCounter> = found
            .into_iter()
            .map(|counter| (counter.subject.clone(), counter))
            .collect();
        let locked = keys.into_iter().map(|key| {
            let locked = Locked {
                key: key.clone(),
                counter: found.remove(&key.subject),
                is_changed: false,
            };
            (key.subject.clone(), locked)
        });
        Ok(Self(locked.collect()))
    }

    /// The counter of an account or address.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this transaction has not locked it.
    pub(crate) fn get(&self, subject: &str) -> QueryResult<ThrottleCounter> {
        self.find(subject)?.ok_or(Error::NotFound)
    }

    /// The counter of a subject, if it exists.
    ///
    /// # Errors
    /// [`Error::NotFound`] if this transaction has not locked it.
    pub(crate) fn find(&self, subject: &str) -> QueryResult<Option<ThrottleCounter>> {
        let locked = self.0.get(subject).ok_or(Error::NotFound)?;
        Ok(locked.counter.clone())
    }

    /// Like [`Self::find`], or a new counter.
    ///
    /// # Errors
    /// The same.
    pub(crate) fn find_or_new(
        &self,
        subject: &str,
        now: NaiveDateTime,
    ) -> QueryResult<ThrottleCounter> {
        let locked = self.0.get(subject).ok_or(Error::NotFound)?;
        let counter = locked.counter.clone();
        Ok(counter.unwrap_or_else(|| locked.key.new_counter(now)))
    }

    /// Changes a counter of this transaction.
    pub(crate) fn put(&mut self, counter: ThrottleCounter) {
        if let Some(locked) = self.0.get_mut(&counter.subject) {
            locked.counter = Some(counter);
            locked.is_changed = true;
        }
    }

    /// The state of these counters.
    pub(crate) fn save(&self, keys: &[CounterKey]) -> SavedCounters {
        let subjects = keys.iter().map(|key| &key.subject);
        let saved = subjects.filter_map(|subject| {
            let locked = self.0.get(subject)?;
            Some((subject.clone(), locked.clone()))
        });
        SavedCounters(saved.collect())
    }

    /// Undoes what was changed since.
    pub(crate) fn restore(&mut self, saved: SavedCounters) {
        self.0.extend(saved.0);
    }

    /// Stores what has changed.
    pub(crate) fn store(self, tx: &mut Writing<'_>) -> QueryResult<()> {
        let mut changed: Vec<Locked> = self.0.into_values().filter(|one| one.is_changed).collect();
        if changed.is_empty() {
            return Ok(());
        }
        changed.sort_by(|one, other| one.key.cmp(&other.key));
        let rows: Vec<_> = changed.into_iter().filter_map(|one| one.counter).collect();
        let store = RowList {
            before: INSERT,
            rows: &rows,
            after: OR_UPDATE,
        };
        store.execute(tx.conn()).map(drop)
    }

    /// Resets the attempts counted for an account, from any address. Returns how many rows had any.
    /// The rows stay: they show which addresses are known.
    pub(crate) fn reset_account(
        tx: &mut Writing<'_>,
        account: &str,
        now: NaiveDateTime,
    ) -> QueryResult<usize> {
        // Locked even if it has to be created first: the transaction that holds it has exclusive
        // access to the subjects of the account.
        Self::lock(tx, &[CounterKey::of_account(account)], now)?;
        let of_account = login_failures::table
            .filter(login_failures::account.eq(account))
            .filter(login_failures::failures.gt(0));
        diesel::update(of_account)
            .set((
                login_failures::failures.eq(0),
                login_failures::next_at.eq(None::<NaiveDateTime>),
                login_failures::alerts.eq(0),
            ))
            .execute(tx.conn())
    }

    /// Moves the count of an account to another one; where both have one, the stricter applies.
    pub(crate) fn move_account(
        tx: &mut Writing<'_>,
        old: &str,
        new: &str,
        now: NaiveDateTime,
    ) -> QueryResult<()> {
        let keys = [old, new].map(CounterKey::of_account);
        let mut counters = Self::lock(tx, &keys, now)?;
        let (old, mut new) = (counters.get(old)?, counters.get(new)?);
        new.failures = new.failures.max(old.failures);
        new.next_at = new.next_at.max(old.next_at);
        new.alerts = new.alerts.max(old.alerts);
        new.signed_in_until = new.signed_in_until.max(old.signed_in_until);
        new.expires_at = new.expires_at.max(old.expires_at);
        counters.put(new);
        counters.store(tx)?;
        Self::reset_account(tx, &old.subject, now).map(drop)
    }
}

impl ListedRow for &CounterKey {
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
        columns.add::<Text, _>(&self.subject).map(drop)
    }
}
