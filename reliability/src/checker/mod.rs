//! Decides whether a history is linearizable: whether each user's operations have an order that a
//! correct service can follow, in which every operation takes effect between its call and its
//! response.

mod explain;
mod model;
mod search;
mod starts;
mod state;
mod timeline;

use std::time::{Duration, Instant};

pub use explain::Violation;
pub use timeline::Guarantee;

use crate::history::History;
use explain::explain;
use search::{Outcome, search};
use state::State;
use timeline::{Context, Timeline};

/// The result of a check.
#[derive(Debug)]
pub enum Verdict {
    /// Every user's operations have such an order.
    Linearizable,
    /// This user's operations have none.
    Violation(Box<Violation>),
    /// Time or memory ran out for these users; all others have an order.
    Undecided(Vec<u32>),
}

/// Checks a history, within about `limit`. It assumes that every password is correct, that a token is
/// used only after the response that brought it, that refreshes are repeated without end, and that every
/// user starts enabled and without a session.
pub fn check(history: &History, guarantee: Guarantee, limit: Duration) -> Verdict {
    let deadline = Instant::now() + limit;
    let mut undecided = Vec::new();
    for (user, operations) in history.by_user() {
        let context = Context::new(&operations, history.sessions_per_user);
        let operations = guarantee.relevant(operations);
        let timeline = Timeline::new(&operations, &context);
        match search(&timeline, &[State::NEW], deadline) {
            Outcome::Ordered => {}
            Outcome::Undecided => undecided.push(user),
            Outcome::Stuck(step) => {
                let culprit = timeline.steps[step].operation;
                let violation = explain(&operations, culprit, &context);
                return Verdict::Violation(Box::new(violation));
            }
        }
    }
    if undecided.is_empty() {
        Verdict::Linearizable
    } else {
        Verdict::Undecided(undecided)
    }
}
