//! How the hash threads are scheduled.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// What the hash threads give way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priority {
    /// To everything else on the machine, but for a tenth of a core each. A flood of sign-ins hardly
    /// slows anything else down, and where others keep the cores busy sign-ins take longer.
    Last,
    /// To nothing: they have a share of the cores like any thread.
    Normal,
}

/// Niceness 10, as the crate counts from 0 to 99. The scheduler gives such a thread a tenth of what one
/// of niceness 0 gets beside it; with 19, or `SCHED_IDLE`, next to nothing, and a program that keeps the cores
/// busy by cheap requests would keep others from signing in.
const NICENESS_10: u8 = 22;

impl Priority {
    /// Gives it to the thread that calls.
    pub(super) fn apply(self) {
        match self {
            Self::Last => step_back(),
            Self::Normal => {}
        }
    }
}

/// Lets others go first. A system that does not know how to runs the threads like others.
fn step_back() {
    let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
    let is_set = ThreadPriorityValue::try_from(NICENESS_10).is_ok_and(|priority| {
        let priority = ThreadPriority::Crossplatform(priority);
        set_thread_priority_and_policy(thread_native_id(), priority, policy).is_ok()
    });
    if !is_set {
        log::debug!("the hash threads cannot be scheduled behind the others");
    }
}
