//! The lease under which a process may use what it remembers of a Postgres database, and the wait
//! of those who revoke.
//!
//! A process that remembers sessions has a row in `session_leases` and asks again and again
//! whether it is still there and not fenced. Each yes lets it use its memory for
//! [`USABLE_FOR`], counted from before it asked. Who changes a session sends a notification that
//! arrives after those of the change itself, and once the change is committed waits until every
//! row's owner has answered it. A row whose owner does not answer is fenced, and a second
//! after that its owner cannot have had a yes that is still good.
//!
//! No clock is compared with another one, so none has to be right; they only have to run at the
//! same speed. A machine that is suspended whole, its monotonic clock too, may use its memory for
//! the moment that it takes to read what it was sent meanwhile.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;

use super::inbox::Inbox;

/// How long a yes is good for. Less than a fence has to stand, by more than clocks
/// differ in speed.
pub(super) const USABLE_FOR: Duration = Duration::from_millis(900);

/// The channel of what has changed, on which the revokers' calls come too.
pub(super) const CHANNEL: &str = "tokenhouse_sessions";

/// What the threads of this process share: until when the memory may be used, and which calls of
/// its revokers were answered by whom.
pub(super) struct Lease {
    /// Identifies the process to others, and names the channel that answers come on.
    process: String,
    /// Nanoseconds from `start`; the memory may be used before then.
    usable_until: AtomicU64,
    start: Instant,
    /// Set by each use, so that the thread can tell whether the lease is wanted.
    used: AtomicBool,
    calls: Mutex<HashMap<String, HashSet<i64>>>,
    answered: Condvar,
    inbox: Arc<Inbox>,
}

impl Lease {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            process: format!("{:016x}", rand::random::<u64>()),
            usable_until: AtomicU64::new(0),
            start: Instant::now(),
            used: AtomicBool::new(false),
            calls: Mutex::default(),
            answered: Condvar::new(),
            inbox,
        }
    }

    /// The channel that answers to this process's calls come on.
    pub(super) fn reply_channel(&self) -> String {
        reply_channel(&self.process)
    }

    /// Whether the memory may be used at this moment.
    pub(super) fn is_live(&self) -> bool {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        nanos(self.start.elapsed()) < self.usable_until.load(Ordering::SeqCst)
    }

    /// Whether the memory was wanted since this was last asked.
    pub(super) fn was_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Lets the memory be used, after a yes to a question that was asked at `asked`.
    pub(super) fn extend(&self, asked: Instant) {
        let until = asked.duration_since(self.start) + USABLE_FOR;
        self.usable_until.store(nanos(until), Ordering::SeqCst);
    }

    /// Ends the use of the memory.
    pub(super) fn end(&self) {
        self.usable_until.store(0, Ordering::SeqCst);
    }

    /// Whether a revoker of this process waits for answers.
    pub(super) fn has_callers(&self) -> bool {
        !self.calls().is_empty()
    }

    /// Notes the answer of a lease's owner to a call of this process.
    pub(super) fn note_answer(&self, call: &str, lease: i64) {
        if let Some(answers) = self.calls().get_mut(call) {
            answers.insert(lease);
            self.answered.notify_all();
        }
    }

    /// Begins a call to the owners of leases, and returns how it reads.
    pub(super) fn begin_call(&self, call: &str) -> String {
        self.calls().insert(call.to_owned(), HashSet::new());
        format!("call {} {call}", self.process)
    }

    /// Waits until the owners of all these leases have answered, and returns those that have not
    /// in time.
    pub(super) fn wait_for_answers(
        &self,
        call: &str,
        leases: &HashSet<i64>,
        longest: Duration,
    ) -> HashSet<i64> {
        // The thread listens harder while somebody waits.
        self.inbox.nudge();
        let none = HashSet::new();
        let (calls, _) = self
            .answered
            .wait_timeout_while(self.calls(), longest, |calls| {
                let answers = calls.get(call).unwrap_or(&none);
                !leases.is_subset(answers)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let answers = calls.get(call).unwrap_or(&none);
        leases.difference(answers).copied().collect()
    }

    /// Forgets a call.
    pub(super) fn end_call(&self, call: &str) {
        self.calls().remove(call);
    }

    fn calls(&self) -> MutexGuard<'_, HashMap<String, HashSet<i64>>> {
        // Whole between any two statements, so a panic elsewhere does not spoil it.
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A revoker's call, as it is sent: from which process, and which of its calls.
pub(super) struct Call<'a> {
    process: &'a str,
    call: &'a str,
}

impl<'a> Call<'a> {
    /// Reads a notification; `None` when it is no call.
    pub(super) fn parse(payload: &'a str) -> Option<Self> {
        let (process, call) = payload.strip_prefix("call ")?.split_once(' ')?;
        Some(Self { process, call })
    }

    /// Answers for the owner of `lease`: to a revoker of this process directly.
    pub(super) fn answer(
        &self,
        conn: &mut PgConnection,
        own: &Lease,
        lease: i64,
    ) -> QueryResult<()> {
        if self.process == own.process {
            own.note_answer(self.call, lease);
            return Ok(());
        }
        let payload = format!("{} {lease}", self.call);
        notify(conn, &reply_channel(self.process), &payload)
    }
}

/// Reads an answer to one of our calls.
pub(super) fn parse_answer(payload: &str) -> Option<(&str, i64)> {
    let (call, lease) = payload.split_once(' ')?;
    Some((call, lease.parse().ok()?))
}

fn reply_channel(process: &str) -> String {
    format!("tokenhouse_{process}")
}

pub(super) fn notify(conn: &mut PgConnection, channel: &str, payload: &str) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_notify($1, $2)")
        .bind::<Text, _>(channel)
        .bind::<Text, _>(payload)
        .execute(conn)
        .map(drop)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
