//! The judge: is there, for each user, an order of the operations that a correct service could have
//! followed, in which each operation happened between its call and its answer?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::explain::explain;
use crate::history::{History, Operation};
use crate::items::Items;
use crate::model::State;
use crate::search::{Found, search};
use crate::violation::Violation;

/// What the service is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Promise {
    /// Every operation happens at one moment, for all processes at once.
    #[default]
    Linearizable,
    /// As above, except that a refusal while a change of that user's sessions is under way proves
    /// nothing: one process may refuse a token already, while another still accepts it, until the
    /// change is acknowledged. From then on both promises are the same. A change with an unknown
    /// outcome is under way for ever.
    Acknowledged,
}

/// What the judge found.
#[derive(Debug)]
pub enum Verdict {
    /// There is such an order for every user.
    Linearizable,
    /// For this user there is none.
    Violation(Box<Violation>),
    /// For these users the time or the memory did not suffice; for all others there is one.
    Undecided(Vec<u32>),
}

/// Judges a history, within about `limit`. Passwords are taken to have been right always, a token
/// to be used only after the sign-in that gave it was answered, and every user to be enabled and
/// without a token at the start.
pub fn check(history: &History, promise: Promise, limit: Duration) -> Verdict {
    check_users(&history.by_user(), promise, limit)
}

fn check_users(
    users: &BTreeMap<u32, Vec<Operation>>,
    promise: Promise,
    limit: Duration,
) -> Verdict {
    let deadline = Instant::now() + limit;
    let mut undecided = Vec::new();
    for (user, operations) in users {
        let items = Items::of(operations, promise);
        match search(&items.items, &items.doubts, &[State::NEW], deadline) {
            Found::Order => {}
            Found::Undecided => undecided.push(*user),
            Found::Stuck(item) => {
                let violation = explain(operations, &items, items.items[item].operation);
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
