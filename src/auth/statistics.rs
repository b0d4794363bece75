//! What the overview of the console shows: values of each hour, from the trail and from the metrics.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{NaiveDateTime, TimeDelta};

use super::Auth;
use crate::audit::statistics::{ADDRESSES, REFUSALS, RETENTION, SIGN_INS, hour_of};
use crate::error::Error;
use crate::store::{HourlyStat, StoreConnection, User, Writing};

/// Sessions that had not ended, as last counted in the hour.
pub(crate) const SESSIONS: &str = "sessions";

/// Users, as last counted in the hour.
pub(crate) const USERS: &str = "users";

/// Passwords that were hashed, by the least bucket that their time in the queue fits in, in microseconds.
pub(crate) const HASH_WAITS: &str = "hash-wait";

/// The same by the time in the queue and for the hash, as earlier versions stored it.
const HASHES: &str = "hash";

/// The names of which each hour is shown.
const PLOTTED: [&str; 4] = [SIGN_INS, SESSIONS, USERS, HASH_WAITS];

/// The names of which the sums are shown: an hour has up to a hundred addresses.
const SUMMED: [&str; 3] = [REFUSALS, LIMITS, ADDRESSES];

/// The most sums that are shown of a name.
const MAX_SUMS: i64 = 8;

/// The most values that are read.
const MAX_VALUES: i64 = 100_000;

/// How many transactions count events before others have a turn.
const MAX_BATCHES: usize = 20;

/// Requests that a limit has refused, by the name of the limit.
pub(crate) const LIMITS: &str = "limit";

/// What this process has stored of its own counters, by name and label.
#[derive(Default)]
pub(super) struct StoredCounts(Mutex<BTreeMap<(&'static str, String), u64>>);

/// Values of some hours.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics {
    /// The beginning of the first hour, UTC.
    pub(crate) start: NaiveDateTime,
    /// How many hours there are; the last one is not over.
    pub(crate) hours: usize,
    /// By name, label and hour.
    values: BTreeMap<String, BTreeMap<String, BTreeMap<NaiveDateTime, i64>>>,
    /// By name: the labels with the largest sums, the largest first.
    sums: BTreeMap<String, Vec<(String, u64)>>,
}

impl Statistics {
    /// The values of each hour under a name and label; `None` where there is none.
    pub(crate) fn series(&self, name: &str, label: &str) -> Vec<Option<u64>> {
        let found = self.values.get(name).and_then(|labels| labels.get(label));
        let value = |hour: usize| {
            let value = found?.get(&self.hour(hour)?)?;
            u64::try_from(*value).ok()
        };
        (0..self.hours).map(value).collect()
    }

    /// The labels under a name of which each hour is shown.
    pub(crate) fn labels(&self, name: &str) -> impl Iterator<Item = &str> {
        let labels = self.values.get(name).into_iter().flatten();
        labels.map(|(label, _values)| label.as_str())
    }

    /// The labels under a name with the largest sums of all hours, the largest first.
    pub(crate) fn largest(&self, name: &str) -> &[(String, u64)] {
        self.sums.get(name).map_or(&[], Vec::as_slice)
    }

    /// The latest value under a name, of any label.
    pub(crate) fn latest(&self, name: &str) -> Option<u64> {
        let labels = self.values.get(name)?.values();
        let latest = labels.filter_map(BTreeMap::last_key_value).max()?;
        u64::try_from(*latest.1).ok()
    }

    fn hour(&self, hour: usize) -> Option<NaiveDateTime> {
        let hours = TimeDelta::try_hours(i64::try_from(hour).ok()?)?;
        self.start.checked_add_signed(hours)
    }
}

impl Auth {
    /// Stores what has happened since the last time. Several processes may do it: an event is counted
    /// once, and each process adds its own counters. Returns whether everything is counted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn store_statistics(&self) -> Result<bool, Error> {
        self.store_counts().await?;
        for _ in 0..MAX_BATCHES {
            if !self.0.audit.count_next().await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stores the numbers of users and of live tokens.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn store_totals(&self, tokens: i64) -> Result<(), Error> {
        let hour = hour_of(self.0.clock.now());
        let users = self.0.store.read(User::count).await?;
        let set = move |tx: &mut Writing<'_>| -> Result<(), Error> {
            for (name, value) in [(SESSIONS, tokens), (USERS, users)] {
                stat(name, hour, "", value).set(tx)?;
            }
            Ok(())
        };
        self.0.store.writing(set).await
    }

    /// Adds what the counters of this process have counted since the last time.
    async fn store_counts(&self) -> Result<(), Error> {
        let metrics = &self.0.metrics;
        let waits = metrics.hash_waits.counts();
        let waits = waits.map(|(bound, count)| ((HASH_WAITS, bound.to_string()), count));
        let limits = metrics.throttled_counts();
        let limits = limits.map(|(limit, count)| ((LIMITS, limit.to_owned()), count));
        let counted: BTreeMap<_, u64> = waits.chain(limits).collect();
        let stored = {
            let stored = self.0.stored_counts.0.lock();
            stored.unwrap_or_else(PoisonError::into_inner).clone()
        };
        let hour = hour_of(self.0.clock.now());
        let new: Vec<HourlyStat> = counted
            .iter()
            .map(|(key, count)| (key, count - stored.get(key).unwrap_or(&0)))
            .filter(|(_, count)| *count > 0)
            .map(|((name, label), count)| {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                stat(name, hour, label, count)
            })
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let add = move |tx: &mut Writing<'_>| -> Result<(), Error> {
            Ok(new.iter().try_for_each(|stat| stat.add(tx))?)
        };
        self.0.store.writing(add).await?;
        let mut stored = self.0.stored_counts.0.lock();
        if let Ok(stored) = &mut stored {
            **stored = counted;
        }
        Ok(())
    }

    /// The values of the last hours, with the present one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn statistics(&self, hours: usize) -> Result<Statistics, Error> {
        let back = i64::try_from(hours.saturating_sub(1)).unwrap_or(0);
        let now = hour_of(self.0.clock.now());
        let back = TimeDelta::try_hours(back).unwrap_or(TimeDelta::zero());
        let start = now.checked_sub_signed(back).unwrap_or(now);
        let read = move |conn: &mut StoreConnection| {
            let values = HourlyStat::list_since(conn, &PLOTTED, start, MAX_VALUES)?;
            let sums = HourlyStat::sum_since(conn, SUMMED, start, MAX_SUMS)?;
            Ok((values, sums))
        };
        let mut statistics = Statistics {
            start,
            hours,
            ..Statistics::default()
        };
        let (values, sums) = self.0.store.read(read).await?;
        for stat in values {
            let labels = statistics.values.entry(stat.name).or_default();
            let values = labels.entry(stat.label).or_default();
            values.insert(stat.hour, stat.value);
        }
        for sum in sums {
            let value = u64::try_from(sum.value).unwrap_or(0);
            let sums = statistics.sums.entry(sum.name).or_default();
            sums.push((sum.label, value));
        }
        Ok(statistics)
    }

    /// Deletes the values that are older than 90 days; none while the clock is not trusted
    /// ([`Auth::check_clock`]).
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn prune_statistics(&self) -> Result<(), Error> {
        if !self.check_clock().await? {
            return Ok(());
        }
        let Some(before) = self.0.clock.now().checked_sub_signed(RETENTION) else {
            return Ok(());
        };
        let prune = move |tx: &mut Writing<'_>| -> Result<(), Error> {
            for name in PLOTTED.into_iter().chain(SUMMED).chain([HASHES]) {
                HourlyStat::prune(tx, name, before)?;
            }
            Ok(())
        };
        self.0.store.writing(prune).await
    }
}

fn stat(name: &str, hour: NaiveDateTime, label: &str, value: i64) -> HourlyStat {
    HourlyStat {
        name: name.to_owned(),
        hour,
        label: label.to_owned(),
        value,
    }
}
