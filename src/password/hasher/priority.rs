//! How the hash threads are scheduled.

use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};

/// What the hash threads give way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Priority {
    /// To everything else on the machine: they get the time that the cores have left. A flood of
    /// sign-ins is felt by nobody, and on a machine that is kept busy by others sign-ins wait.
    Last,
    /// To nothing: they have a share of the cores like any thread.
    Normal,
}

impl Priority {
    /// Gives it to the thread that calls.
    pub(super) fn apply(self) {
        match self {
            Self::Last => step_back(),
            Self::Normal => {}
        }
    }
}

/// Lets everyone else on the machine go first: hashing gets the time that the cores have left. A
/// system that does not know how to runs the threads like others.
fn step_back() {
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).is_err() {
        log::debug!("the hash threads cannot be scheduled behind the others");
    }
}
