//! Histories of simulated services: correct ones, which must pass, and broken ones, which must not.
use std::time::Duration;

use crate::shorthand::{accepted, judge, revoke};
use crate::simulation::{Service, Simulation};
use reliability::checker::{Promise, Verdict, check};
use reliability::history::History;

const SEEDS: u64 = 40;

fn is_good(history: &History, promise: Promise) -> bool {
    match judge(&history.operations, promise) {
        Verdict::Linearizable => true,
        Verdict::Violation(_) => false,
        Verdict::Undecided(_) => panic!("undecided"),
    }
}

#[test]
fn a_service_that_does_each_thing_at_one_moment_is_good() {
    for seed in 0..SEEDS {
        let history = Simulation::of(Service::Atomic, seed).run();
        assert!(is_good(&history, Promise::Linearizable), "seed {seed}");
        assert!(is_good(&history, Promise::Acknowledged), "seed {seed}");
    }
}

#[test]
fn a_stale_cache_is_found_out() {
    for seed in 0..SEEDS {
        let history = Simulation::of(Service::StaleCache, seed).run();
        assert!(!is_good(&history, Promise::Linearizable), "seed {seed}");
        assert!(!is_good(&history, Promise::Acknowledged), "seed {seed}");
    }
}

#[test]
fn caches_that_are_emptied_before_the_acknowledgement_keep_the_weaker_promise_only() {
    for seed in 0..SEEDS {
        let history = Simulation::of(Service::EmptiesCaches, seed).run();
        assert!(!is_good(&history, Promise::Linearizable), "seed {seed}");
        assert!(is_good(&history, Promise::Acknowledged), "seed {seed}");
    }
}

#[test]
fn a_long_history_of_one_user_with_many_clients_is_judged_soon() {
    let simulation = Simulation {
        clients: 16,
        operations: 10_000,
        ..Simulation::of(Service::Atomic, 1)
    };
    let mut history = simulation.run();
    let limit = Duration::from_secs(30);
    let verdict = check(&history, Promise::Linearizable, limit);
    assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");

    // A violation at the end takes no longer: there are no other ways to be tried first.
    let end = history.operations.iter().map(|last| last.returned).max();
    let end = end.unwrap_or(0) + 1;
    let late = [revoke(end..end + 1), accepted(end + 2..end + 3, 0)];
    history.operations.extend(late);
    let verdict = check(&history, Promise::Linearizable, limit);
    let Verdict::Violation(violation) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(violation.operations, late);
}

#[test]
fn a_search_without_time_is_undecided() {
    let history = Simulation::of(Service::Atomic, 1).run();
    let verdict = check(&history, Promise::Linearizable, Duration::ZERO);
    assert!(matches!(verdict, Verdict::Undecided(users) if users == [0]));
}
