//! The lease under which a process may use what it remembers of a Postgres database.
//!
//! A process that remembers sessions has a row in `session_leases` and asks again and again
//! whether it is still there and not fenced. Each yes lets it use its memory for
//! [`USABLE_FOR`], counted from before it asked. Who is about to change a session calls all
//! processes to pause, and makes the change when every row's owner has answered. A row whose
//! owner does not answer is fenced, and a second after that its owner cannot have had a yes that
//! is still good. The end of the pause is a notification of the change's own transaction, which
//! arrives after those of its triggers.
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
use crate::token::TokenDigest;

/// How long a yes is good for. Less than a fence has to stand, by more than clocks
/// differ in speed.
pub(super) const USABLE_FOR: Duration = Duration::from_millis(900);

/// How long the owner of a lease pauses at most: a revoker may be killed before it ends its call.
pub(super) const PAUSE_OF_OWNER: Duration = Duration::from_millis(5_000);

/// How long a revoker relies on the pause. Less than [`PAUSE_OF_OWNER`], as above.
pub(super) const PAUSE_LASTS: Duration = Duration::from_millis(4_500);

/// The channel of what has changed, on which the revokers' calls come too.
pub(super) const CHANNEL: &str = "tokenhouse_sessions";

/// The advisory lock that revokers share and that taking a lease needs for itself; the number is
/// arbitrary, the same for everyone.
pub(super) const LEASES_LOCK: i64 = 7_161_543_302_184;

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

    /// Lets the memory be used until then, not at all with `None`.
    pub(super) fn allow(&self, until: Option<Instant>) {
        let until = until.map_or(0, |until| nanos(until.duration_since(self.start)));
        self.usable_until.store(until, Ordering::SeqCst);
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

    /// Begins a call to the owners of leases to pause, and returns how it reads.
    pub(super) fn begin_call(&self, call: &str) -> String {
        self.calls().insert(call.to_owned(), HashSet::new());
        format!("pause {} {call}", self.process)
    }

    /// How the end of the pause reads.
    pub(super) fn resumption(&self, call: &str) -> String {
        format!("resume {} {call}", self.process)
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

/// What comes on [`CHANNEL`].
pub(super) enum Message<'a> {
    /// A revoker calls for a pause, and waits for an answer.
    Pause(Call<'a>),
    /// The pause is over.
    Resume(Call<'a>),
    /// A session has changed.
    Changed(TokenDigest),
    /// Every session has, or something that only a newer version understands.
    AllChanged,
}

/// A revoker's call: from which process, and which of its calls.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    process: &'a str,
    pub(super) call: &'a str,
}

impl<'a> Message<'a> {
    pub(super) fn parse(payload: &'a str) -> Self {
        let mut words = payload.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("pause"), Some(process), Some(call)) => Self::Pause(Call { process, call }),
            (Some("resume"), Some(process), Some(call)) => Self::Resume(Call { process, call }),
            _ => TokenDigest::from_hex(payload).map_or(Self::AllChanged, Self::Changed),
        }
    }
}

impl Call<'_> {
    /// Answers for the owner of `lease`: to a revoker of this process directly.
    pub(super) fn answer(
        self,
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
