//! The lease under which a process may use what it remembers of a Postgres database.
//!
//! A process that remembers principals has a row in `session_leases`. Again and again it reads whether
//! the row is there and not fenced, which changes are under way, and what has changed, all in one
//! snapshot ([`coordination`](super::coordination)). When it has forgotten what has changed and no
//! change is under way, it may use its memory for [`USABLE_FOR`], counted from before it asked. A
//! process that is about to change a principal announces that, and makes the change when the owner of
//! every lease pauses. A row whose owner does not answer is fenced, and a second after that its
//! owner can no longer rely on an earlier reading. The pause is over when a snapshot shows that the
//! change is not under way any more; what it changed is in the same snapshot.
//!
//! No clock of one machine is compared with that of another, so none has to be right; they have to
//! run at the same speed, and not to stand still with a suspended machine: see
//! [`moment`](super::moment).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::lookup_queue::Inbox;
use super::moment::Moment;

/// How long a reading lets the memory be used. Less than a fence has to stand, by more than clocks
/// differ in speed.
pub(super) const USABLE_FOR: Duration = Duration::from_millis(900);

/// How long the owner of a lease pauses at most for one change: the process that makes it may be
/// killed before it says that it is done.
pub(super) const PAUSE_LIMIT: Duration = Duration::from_millis(5_000);

/// How long a change relies on the pause. Less than [`PAUSE_LIMIT`], as above.
pub(super) const PAUSE_RELIED_ON: Duration = Duration::from_millis(4_500);

/// What the threads of this process share.
pub(super) struct Lease {
    /// The memory may be used before then, by both clocks of a [`Moment`].
    boot_end: AtomicU64,
    wall_end: AtomicU64,
    /// Set by each use, so that the thread can tell whether the lease is wanted.
    used: AtomicBool,
    /// Set when a change of this process waits for the thread.
    called: AtomicBool,
    inbox: Arc<Inbox>,
}

impl Lease {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            boot_end: AtomicU64::new(0),
            wall_end: AtomicU64::new(0),
            used: AtomicBool::new(false),
            called: AtomicBool::new(false),
            inbox,
        }
    }

    /// Whether the memory may be used at this moment.
    pub(super) fn is_live(&self) -> bool {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        Moment::now().is_before(Moment {
            boot: self.boot_end.load(Ordering::SeqCst),
            wall: self.wall_end.load(Ordering::SeqCst),
        })
    }

    /// Whether the memory was wanted since this was last asked.
    pub(super) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Lets the memory be used until then, not at all with `None`.
    pub(super) fn allow(&self, until: Option<Moment>) {
        // A reader that sees one of the two goes by two ends each of which was allowed; 0 is past.
        let until = until.unwrap_or(Moment { boot: 0, wall: 0 });
        self.wall_end.store(until.wall, Ordering::SeqCst);
        self.boot_end.store(until.boot, Ordering::SeqCst);
    }

    /// Makes the thread read the tables at once: a change of this process was just announced there.
    pub(super) fn call(&self) {
        self.called.store(true, Ordering::SeqCst);
        self.inbox.nudge();
    }

    /// Whether that was asked for since this was last asked.
    pub(super) fn was_called(&self) -> bool {
        self.called.swap(false, Ordering::SeqCst)
    }
}
