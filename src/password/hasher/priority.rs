//! The scheduling priority of the hash threads.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// The scheduling priority of the hash threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priority {
    /// Niceness 10: a tenth of the weight of other threads. A flood of sign-ins hardly slows down
    /// anything else, and sign-ins take longer where other programs keep the cores busy.
    Low,
    /// The same priority as other threads.
    Normal,
}

/// Niceness 10 on the crate's scale from 0 to 99. The scheduler gives such a thread a tenth of the time
/// of a thread of niceness 0. With niceness 19 or `SCHED_IDLE` it would get next to nothing, and a client
/// that keeps the cores busy with cheap requests could keep others from signing in.
const NICENESS_10: u8 = 22;

impl Priority {
    /// Applies the priority to the calling thread.
    pub(super) fn apply(self) {
        match self {
            Self::Low => lower_priority(),
            Self::Normal => {}
        }
    }
}

/// Lowers the priority of the calling thread. Where the system does not support it, the thread keeps
/// its priority.
fn lower_priority() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let is_set = ThreadPriorityValue::try_from(NICENESS_10).is_ok_and(|priority| {
        let priority = ThreadPriority::Crossplatform(priority);
        set_thread_priority_and_policy(thread_native_id(), priority, policy).is_ok()
    });
    if !is_set {
        log::debug!("the priority of the hash threads cannot be lowered");
    }
}
