//! The lease under which a process may use its cache of principals of a Postgres database.
//!
//! A process that caches principals has a row in `session_leases`. At regular intervals it reads
//! whether the row exists and is not fenced, which changes are in progress, and what has changed,
//! all in one snapshot ([`coordination`](super::coordination)). When it has removed what has
//! changed and suspended the users of the changes in progress, it may use its cache for
//! [`LEASE_TIMEOUT`], counted from before the query. A process that is about to change principals
//! announces that with the ids of their users, and makes the change once the owner of every lease has
//! suspended these users. If they are too many, or not known, the owners pause for all users. A row
//! whose owner does not answer is fenced, and a second later its owner can no longer rely on an earlier
//! read. The suspension ends when a snapshot shows that the change is no longer in progress; what it
//! changed is in the same snapshot.
//!
//! No clock of one machine is compared with that of another, so none needs to be correct. The
//! clocks must run at the same speed, and must not stop while a machine is suspended: see
//! [`Moment`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use super::lookup_queue::LookupQueue;
use super::suspensions::Suspension;

/// How long one read of the tables allows the cache to be used. Shorter than
/// [`FENCE_TIMEOUT`](super::revocation) by more than clocks differ in speed.
pub(super) const LEASE_TIMEOUT: Duration = Duration::from_millis(900);

/// The maximum time that a lease's owner pauses or suspends users for one change: the process that
/// makes the change may be killed before it announces the end.
pub(super) const PAUSE_TIMEOUT: Duration = Duration::from_millis(5_000);

/// How long a change may rely on that. Shorter than [`PAUSE_TIMEOUT`], for the same reason.
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_millis(4_500);

/// The state of the lease that the threads of this process share.
pub(super) struct Lease {
    /// The cache may be used before this time, by both clocks of a [`Moment`].
    boot_end: AtomicU64,
    wall_end: AtomicU64,
    /// Set by each use, so that the thread knows whether to keep the lease.
    is_used: AtomicBool,
    /// Set when a change by this process waits for the thread.
    is_renewal_requested: AtomicBool,
    /// The row in `session_leases`.
    id: Mutex<Option<i64>>,
    /// Suspensions by changes of this process that may be committed at any time.
    undecided: Mutex<Vec<Suspension>>,
    queue: Arc<LookupQueue>,
}

impl Lease {
    pub(super) fn new(queue: Arc<LookupQueue>) -> Self {
        Self {
            boot_end: AtomicU64::new(0),
            wall_end: AtomicU64::new(0),
            is_used: AtomicBool::new(false),
            is_renewal_requested: AtomicBool::new(false),
            id: Mutex::default(),
            undecided: Mutex::default(),
            queue,
        }
    }

    /// Whether the cache may be used at this moment.
    pub(super) fn is_live(&self) -> bool {
        if !self.is_used.load(Ordering::Relaxed) {
            self.is_used.store(true, Ordering::Relaxed);
        }
        Moment::now().is_before(Moment {
            boot: self.boot_end.load(Ordering::SeqCst),
            wall: self.wall_end.load(Ordering::SeqCst),
        })
    }

    /// Whether [`Self::is_live`] was called since the last call of this function.
    pub(super) fn take_used(&self) -> bool {
        self.is_used.swap(false, Ordering::Relaxed)
    }

    /// Allows the cache to be used until `end`; with `None` not at all.
    pub(super) fn set_end(&self, end: Option<Moment>) {
        // A reader that sees only one of the two stores combines two ends that were both allowed;
        // 0 is in the past.
        let end = end.unwrap_or(Moment { boot: 0, wall: 0 });
        self.wall_end.store(end.wall, Ordering::SeqCst);
        self.boot_end.store(end.boot, Ordering::SeqCst);
    }

    /// The lease that the thread holds, or held a moment ago.
    pub(super) fn id(&self) -> Option<i64> {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_id(&self, id: Option<i64>) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Leaves a suspension to the thread, because the outcome of the change is not known. The tables
    /// know: the call is in them as long as the change is in progress.
    pub(super) fn leave(&self, suspension: Suspension) {
        let mut undecided = self
            .undecided
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        undecided.push(suspension);
    }

    /// The suspensions that were left to the thread. They must end after the tables are read again.
    pub(super) fn take_undecided(&self) -> Vec<Suspension> {
        let mut undecided = self
            .undecided
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *undecided)
    }

    /// Makes the thread read the tables immediately: a change by this process was just announced
    /// there.
    pub(super) fn request_renewal(&self) {
        self.is_renewal_requested.store(true, Ordering::SeqCst);
        self.queue.wake();
    }

    /// Whether [`Self::request_renewal`] was called since the last call of this function.
    pub(super) fn take_renewal_request(&self) -> bool {
        self.is_renewal_requested.swap(false, Ordering::SeqCst)
    }
}

/// The clock that keeps running while the machine is suspended, where the system has it.
#[cfg(target_os = "linux")]
const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
#[cfg(not(target_os = "linux"))]
const SUSPEND_CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;

/// A point in time, in nanoseconds by two clocks: the one that includes suspension, and the wall
/// clock, which a hypervisor corrects right after it has paused or moved the machine. Time has
/// passed when either clock shows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    boot: u64,
    wall: u64,
}

impl Moment {
    /// The current time. A clock that cannot be read returns the end of time, so that nothing is
    /// valid then.
    pub(super) fn now() -> Self {
        let boot =
            clock_gettime(SUSPEND_CLOCK).map_or(u64::MAX, |time| nanos(Duration::from(time)));
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(u64::MAX, nanos);
        Self { boot, wall }
    }

    /// This moment plus `duration`, by both clocks.
    pub(super) fn after(self, duration: Duration) -> Self {
        Self {
            boot: self.boot.saturating_add(nanos(duration)),
            wall: self.wall.saturating_add(nanos(duration)),
        }
    }

    /// Whether this moment is before `other` by both clocks.
    pub(super) fn is_before(self, other: Self) -> bool {
        self.boot < other.boot && self.wall < other.wall
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_past_when_either_clock_is_past_it() {
        let start = Moment { boot: 10, wall: 10 };
        let end = start.after(Duration::from_nanos(5));
        let at = |boot, wall| Moment { boot, wall }.is_before(end);
        assert!(at(10, 10) && at(14, 14));
        // Suspended, or corrected after a pause; a wall clock that is set back extends nothing.
        assert!(!at(15, 10) && !at(10, 15) && !at(15, 0));
    }

    #[test]
    fn unreadable_clock_is_past_every_end() {
        let never = Moment {
            boot: u64::MAX,
            wall: u64::MAX,
        };
        assert!(!never.is_before(never.after(Duration::from_secs(1))));
        assert!(!never.is_before(Moment::now().after(Duration::from_secs(1))));
        assert!(Moment::now().is_before(Moment::now().after(Duration::from_secs(60))));
    }
}
