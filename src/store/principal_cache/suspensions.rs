//! Which users are suspended: their cached principals must not be used, because a change that may
//! end them is in progress.
//!
//! Users share slots by a hash of their ids, so no index from users to credentials is needed; a
//! collision costs a look-up. A slot holds the number of its last suspension or resumption. An entry
//! is stamped with its user's slot when it is inserted, and used only while the slot is the same.
//!
//! A change suspends its users before its commit and resumes them after it. So no entry that was
//! read before the commit is used after it:
//! - Inserted before the suspension: the slot has a new number from then on. A check that compared
//!   the numbers earlier began before the commit.
//! - Inserted during the suspension: not possible, [`Suspensions::stamp`] refuses.
//! - Inserted after the resumption: the thread asked for the latest number before it read the
//!   database, so before the commit, and the resumption has a later one: `stamp` refuses as well.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::entries::Entries;

/// The number of slots: 2 to the power of this.
const SLOT_BITS: u32 = 16;

/// The lowest bit of a slot, set while it is suspended. Numbers are even.
const IS_SUSPENDED: u64 = 1;

/// The slots of all users.
pub(super) struct Suspensions {
    slots: Box<[AtomicU64]>,
    /// The latest number.
    latest: AtomicU64,
    /// The suspended slots, and by how many changes. The lock also orders the numbers in a slot.
    suspended: Mutex<HashMap<usize, usize>>,
}

impl Suspensions {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..1 << SLOT_BITS).map(|_| AtomicU64::new(0)).collect(),
            latest: AtomicU64::new(0),
            suspended: Mutex::default(),
        }
    }

    /// The latest number. Call this before the database is read.
    pub(super) fn latest(&self) -> u64 {
        self.latest.load(Ordering::SeqCst)
    }

    /// The stamp for a principal of this user that was read after [`Self::latest`] returned `since`;
    /// `None` if it must not be cached.
    pub(super) fn stamp(&self, user_id: i64, since: u64) -> Option<u64> {
        let number = self.slots[slot_of(user_id)].load(Ordering::SeqCst);
        (number & IS_SUSPENDED == 0 && number <= since).then_some(number)
    }

    /// Whether the user was not suspended since this stamp was given.
    pub(super) fn is_current(&self, user_id: i64, stamp: u64) -> bool {
        self.slots[slot_of(user_id)].load(Ordering::SeqCst) == stamp
    }

    fn suspend(&self, slots: &[usize]) {
        let mut suspended = self.lock();
        for slot in slots {
            *suspended.entry(*slot).or_default() += 1;
            self.renumber(*slot, IS_SUSPENDED);
        }
    }

    fn resume(&self, slots: &[usize]) {
        let mut suspended = self.lock();
        for slot in slots {
            let changes = suspended.get(slot).copied().unwrap_or_default();
            if changes > 1 {
                suspended.insert(*slot, changes - 1);
                self.renumber(*slot, IS_SUSPENDED);
            } else {
                suspended.remove(slot);
                self.renumber(*slot, 0);
            }
        }
    }

    fn renumber(&self, slot: usize, flag: u64) {
        let number = self.latest.fetch_add(2, Ordering::SeqCst) + 2;
        self.slots[slot].store(number | flag, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, usize>> {
        // Nothing panics while it is held.
        self.suspended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The suspension of some users by one change. Dropping it resumes them.
pub(in crate::store) struct Suspension {
    entries: Arc<Entries>,
    slots: Vec<usize>,
}

impl Suspension {
    /// Suspends these users. No check that begins after this uses an entry of theirs.
    pub(super) fn new(entries: &Arc<Entries>, user_ids: &[i64]) -> Self {
        let mut slots: Vec<usize> = user_ids.iter().map(|id| slot_of(*id)).collect();
        slots.sort_unstable();
        slots.dedup();
        entries.suspensions().suspend(&slots);
        let entries = Arc::clone(entries);
        Self { entries, slots }
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        self.entries.suspensions().resume(&self.slots);
    }
}

/// Fibonacci hashing: users with consecutive ids get different slots.
fn slot_of(user_id: i64) -> usize {
    let hash = user_id.cast_unsigned().wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (hash >> (u64::BITS - SLOT_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspended_user_is_neither_used_nor_cached() {
        let entries = Arc::new(Entries::new(1 << 20));
        let suspensions = entries.suspensions();
        let since = suspensions.latest();
        let [one, other] = [1, 2].map(|user| suspensions.stamp(user, since).unwrap());
        let first = Suspension::new(&entries, &[1]);
        let second = Suspension::new(&entries, &[1, 1]);
        assert!(!suspensions.is_current(1, one));
        drop(first);
        let during = suspensions.latest();
        assert_eq!(suspensions.stamp(1, during), None);
        drop(second);
        // What was read before the second change ended may be from before its commit.
        assert_eq!(suspensions.stamp(1, during), None);
        let stamp = suspensions.stamp(1, suspensions.latest()).unwrap();
        assert!(suspensions.is_current(1, stamp) && !suspensions.is_current(1, one));
        assert!(suspensions.is_current(2, other));
    }

    #[test]
    fn consecutive_ids_have_different_slots() {
        let mut slots: Vec<usize> = (-500..500).map(slot_of).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), 1_000);
    }
}
