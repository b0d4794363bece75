//! Tests of the checker: histories written by hand, and the checker against other decisions.
#![expect(clippy::panic, clippy::unwrap_used, reason = "test code")]

mod brute_force;
mod sessions;
mod simulation;
mod user;

use std::ops::Range;
use std::time::Duration;

use reliability::checker::{Guarantee, Verdict, check};
use reliability::history::{Action, History, Operation, Outcome, Token};

fn judge(operations: &[Operation], limit: usize, guarantee: Guarantee) -> Verdict {
    let history = History {
        sessions_per_user: limit,
        operations: operations.to_vec(),
        unexpected: Vec::new(),
    };
    check(&history, guarantee, Duration::from_secs(60))
}

fn operation(time: Range<u64>, action: Action, outcome: Outcome) -> Operation {
    Operation {
        user: 0,
        client: 0,
        process: Some(0),
        action,
        outcome,
        invoked: time.start,
        returned: time.end,
    }
}

fn accepted(time: Range<u64>, token: Token) -> Operation {
    operation(time, Action::Use(token), Outcome::Ok)
}

fn revoke(time: Range<u64>) -> Operation {
    operation(time, Action::Revoke, Outcome::Ok)
}

/// Parses a history: `login 1 @0-5` was called at 0 and returned token 1 at 5. `refused` is a use
/// without success, `login? @0-1` and `logout? 1 @0-1` are refused, `refresh 1 2` gives token 2 for 1,
/// `end 1 2` ends the session of token 2 by token 1, `others 1` ends all sessions but that of token 1, and
/// `~` before an operation makes its outcome unknown.
fn parse(history: &str) -> Vec<Operation> {
    history.split(';').map(parse_operation).collect()
}

fn parse_operation(text: &str) -> Operation {
    let (words, time) = text.split_once('@').unwrap();
    let (call, returned) = time.trim().split_once('-').unwrap();
    let time = call.parse().unwrap()..returned.parse().unwrap();
    let words = words.trim();
    let (words, is_unknown) = match words.strip_prefix('~') {
        Some(words) => (words, true),
        None => (words, false),
    };
    let words: Vec<&str> = words.split(' ').collect();
    let tokens: Vec<Token> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let (word, outcome) = match words[0].strip_suffix('?') {
        Some(word) => (word, Outcome::Refused),
        None => (words[0], Outcome::Ok),
    };
    let (action, outcome) = match (word, &tokens[..]) {
        ("login", [_]) if is_unknown => (Action::Login(None), outcome),
        ("login", &[token]) => (Action::Login(Some(token)), outcome),
        ("login", []) => (Action::Login(None), outcome),
        ("accepted", &[token]) => (Action::Use(token), outcome),
        ("refused", &[token]) => (Action::Use(token), Outcome::Refused),
        ("refresh", &[token, next]) => (Action::Refresh(token, Some(next)), outcome),
        ("refresh", &[token]) => (Action::Refresh(token, None), outcome),
        ("logout", &[token]) => (Action::Logout(token), outcome),
        ("end", &[by, token]) => (Action::End(by, token), outcome),
        ("others", &[by]) => (Action::EndOthers(by), outcome),
        ("revoke", []) => (Action::Revoke, outcome),
        ("disable", []) => (Action::Disable, outcome),
        ("enable", []) => (Action::Enable, outcome),
        _ => panic!("no operation: {text}"),
    };
    match is_unknown {
        true => operation(time, action, Outcome::Unknown),
        false => operation(time, action, outcome),
    }
}

/// Histories that a correct service can have in which a user has one session.
const GOOD: [&str; 29] = [
    // Everything in order.
    "login 1 @0-1; accepted 1 @2-3; login 2 @4-5; refused 1 @6-7; accepted 2 @8-9; disable @10-11; \
     refused 2 @12-13; login? @14-15; logout? 2 @16-17; enable @18-19; refused 2 @20-21; \
     login 3 @22-23; accepted 3 @24-25; logout 3 @26-27; refused 3 @28-29; logout? 3 @30-31; \
     login 4 @32-33; revoke @34-35; refused 4 @36-37",
    // A use during the end of its token.
    "login 1 @0-1; logout 1 @4-7; accepted 1 @6-8",
    "login 1 @0-1; login 2 @4-7; accepted 1 @6-8",
    "login 1 @0-1; revoke @4-7; accepted 1 @6-8",
    "login 1 @0-1; disable @4-7; accepted 1 @6-8",
    // An enabled user signs in again.
    "login 1 @0-1; disable @2-3; enable @4-5; refused 1 @6-7; login 2 @8-9; accepted 2 @10-11",
    "disable @0-5; login 1 @2-3; login? @4-6",
    // Concurrent operations have any order, and those that only touch are concurrent.
    "login 1 @0-9; login 2 @1-8; accepted 1 @10-11; refused 2 @12-13",
    "login 1 @0-9; login 2 @1-8; accepted 2 @10-11; refused 1 @12-13",
    "login 1 @0-1; logout 1 @2-3; accepted 1 @3-4",
    // Two concurrent sign-outs may both be acknowledged.
    "login 1 @0-1; logout 1 @2-5; logout 1 @3-6",
    "login 1 @0-1; logout 1 @2-5; revoke @3-4; refused 1 @5-6",
    // An operation with an unknown outcome takes effect at any time, or never.
    "login 1 @0-1; ~logout 1 @4-5; accepted 1 @6-7; refused 1 @60-70",
    "login 1 @0-1; ~login 2 @4-5; accepted 1 @6-7; refused 1 @60-70",
    "login 1 @0-1; ~revoke @4-5; accepted 1 @6-7; refused 1 @60-70",
    "login 1 @0-1; ~disable @4-5; accepted 1 @6-7; refused 1 @60-70",
    "login 1 @0-1; ~logout 1 @4-5; refused 1 @6-7",
    "login 1 @0-1; ~login 2 @4-5; refused 1 @6-7",
    "login 1 @0-1; ~revoke @4-5; refused 1 @6-7",
    "login 1 @0-1; ~disable @4-5; refused 1 @6-7",
    // An unknown sign-out ends its own token only.
    "login 1 @0-1; ~logout 1 @2-3; login 2 @4-5; accepted 2 @6-7",
    // Unknown enables and disables explain what needs them.
    "login 1 @0-1; disable @2-3; ~enable @4-5; refused 1 @6-7; login 2 @8-9",
    "login 1 @0-1; disable @2-3; ~enable @4-5; login? @6-7; login 2 @8-9",
    "login 1 @0-1; ~disable @2-3; accepted 1 @4-5; enable @6-7; accepted 1 @8-9; login 2 @10-11",
    // The unknown disable came right before the enable and ended the token.
    "login 1 @0-1; ~disable @2-3; accepted 1 @4-5; enable @6-7; refused 1 @8-9; login 2 @10-11",
    "login 1 @0-1; ~disable @2-3; accepted 1 @4-5; enable @6-7; refused 1 @8-9; login? @10-11",
    "~disable @0-1; login 1 @2-3; login? @4-5",
    // An unknown use proves nothing.
    "login 1 @0-1; logout 1 @2-3; ~accepted 1 @4-5",
    "login 1 @0-1; ~enable @2-3; accepted 1 @4-5",
];

/// Violations of such a service, and the window that explains each: the operations with these numbers.
#[rustfmt::skip]
const BAD: [(&str, &[usize]); 25] = [
    // A use after the acknowledged end of its token.
    ("login 1 @0-1; accepted 1 @2-3; logout 1 @4-5; accepted 1 @6-7", &[2, 3]),
    ("login 1 @0-1; accepted 1 @2-3; login 2 @4-5; accepted 1 @6-7", &[2, 3]),
    ("login 1 @0-1; accepted 1 @2-3; revoke @4-5; accepted 1 @6-7", &[2, 3]),
    ("login 1 @0-1; accepted 1 @2-3; disable @4-5; accepted 1 @6-7", &[2, 3]),
    // A refusal after an acknowledged sign-in.
    ("login 1 @0-1; refused 1 @2-3", &[0, 1]),
    ("login 1 @0-1; logout? 1 @2-3", &[0, 1]),
    ("disable @0-1; enable @2-3; login 1 @4-5; refused 1 @6-7", &[2, 3]),
    // An enable does not restore a token.
    ("login 1 @0-1; disable @2-3; enable @4-5; accepted 1 @6-7", &[1, 3]),
    // A refused sign-in needs a disabled user, and the reverse.
    ("login? @0-1", &[0]),
    ("disable @0-1; enable @2-3; login? @4-5", &[1, 2]),
    ("disable @0-1; login 1 @2-3", &[0, 1]),
    // One process has refused what another accepts later.
    ("login 1 @0-1; logout 1 @2-10; refused 1 @3-4; accepted 1 @5-6", &[2, 3]),
    ("login 1 @0-9; login 2 @1-8; accepted 1 @10-11; accepted 2 @12-13", &[2, 3]),
    ("login 1 @0-1; logout 1 @2-3; logout 1 @4-5", &[1, 2]),
    // An operation with an unknown outcome has no effect before its call, and only one.
    ("login 1 @0-1; refused 1 @2-3; ~logout 1 @4-5", &[0, 1]),
    ("login 1 @0-1; refused 1 @2-3; ~disable @4-5", &[0, 1]),
    ("login 1 @0-1; ~logout 1 @4-5; refused 1 @6-7; accepted 1 @8-9", &[2, 3]),
    ("login 1 @0-1; ~login 2 @4-5; refused 1 @6-7; accepted 1 @8-9", &[2, 3]),
    ("login 1 @0-1; ~revoke @4-5; refused 1 @6-7; accepted 1 @8-9", &[2, 3]),
    ("login 1 @0-1; ~logout 1 @2-3; login 2 @4-5; refused 2 @6-7", &[2, 3]),
    ("login 1 @0-1; disable @2-3; ~enable @4-5; login 2 @6-7; login? @8-9", &[3, 4]),
    ("login 1 @0-1; disable @2-3; ~enable @4-5; accepted 1 @6-7", &[1, 3]),
    ("login 1 @0-1; ~disable @2-3; accepted 1 @4-5; enable @6-7; refused 1 @8-9; accepted 1 @10-11", &[4, 5]),
    // The unknown disable was called after the enable.
    ("login 1 @0-1; enable @2-3; ~disable @4-5; refused 1 @6-7; login 2 @8-9", &[0, 1, 3, 4]),
    ("~disable @0-1; login? @2-3; login 1 @4-5", &[1, 2]),
];

fn is_linearizable(history: &[Operation], limit: usize, guarantee: Guarantee) -> bool {
    match judge(history, limit, guarantee) {
        Verdict::Linearizable => true,
        Verdict::Violation(_) => false,
        Verdict::Undecided(_) => panic!("undecided"),
    }
}

#[test]
fn correct_histories_are_accepted() {
    assert!(is_linearizable(&[], 1, Guarantee::Linearizable));
    for history in GOOD {
        let operations = parse(history);
        for guarantee in [Guarantee::Linearizable, Guarantee::Acknowledged] {
            assert!(is_linearizable(&operations, 1, guarantee), "{history}");
        }
    }
}

#[test]
fn violations_are_explained_by_the_smallest_window() {
    for (history, window) in BAD {
        let operations = parse(history);
        let Verdict::Violation(violation) = judge(&operations, 1, Guarantee::Linearizable) else {
            panic!("not found: {history}");
        };
        let expected: Vec<Operation> = window.iter().map(|index| operations[*index]).collect();
        assert_eq!(violation.operations, expected, "{history}\n{violation}");
    }
}

#[test]
fn weaker_guarantee_excuses_refusals_during_a_change_only() {
    let is_good = |history| is_linearizable(&parse(history), 1, Guarantee::Acknowledged);
    assert!(is_good(
        "login 1 @0-1; logout 1 @2-10; refused 1 @3-4; accepted 1 @5-6"
    ));
    for history in [
        "login 1 @0-1; logout 1 @2-10; refused 1 @3-4; accepted 1 @11-12",
        "login 1 @0-1; refused 1 @2-3; accepted 1 @4-5",
        "login 1 @0-1; disable @2-3; enable @4-5; accepted 1 @6-7",
        "login? @2-3",
    ] {
        assert!(!is_good(history), "{history}");
    }
}

#[test]
fn users_do_not_influence_each_other() {
    let mut history = parse("login 1 @0-1; login 2 @2-3; accepted 1 @4-5");
    history[1].user = 1;
    assert!(is_linearizable(&history, 1, Guarantee::Linearizable));
    for operation in parse("logout 2 @6-7; accepted 2 @8-9") {
        history.push(Operation {
            user: 1,
            ..operation
        });
    }
    assert!(!is_linearizable(&history, 1, Guarantee::Linearizable));
}

#[test]
fn violation_is_printed_with_the_operations_that_contradict_it() {
    let mut history = parse(
        "login 1 @0-1000000; accepted 1 @2000000-3000000; logout 1 @4000000-5500000; \
         ~disable @4000000-5000000; accepted 1 @6000000-7000250",
    );
    (history[2].client, history[2].process) = (3, Some(2));
    history[4].client = 12;
    let Verdict::Violation(violation) = judge(&history, 1, Guarantee::Linearizable) else {
        panic!("not found");
    };
    let expected = "\
user 0: no order of these operations explains the responses, whatever was before them
(1 more, unknown or not needed, do not explain them either)
    called ms   returned ms  client  process    operation
        4.000         5.500  c3      process 2  logout t1 -> ok
        6.000         7.000  c12     process 0  use t1 -> accepted   <-- has no place
the last acknowledged changes before these:
        0.000         1.000  c0      process 0  login -> t1
";
    assert_eq!(violation.to_string(), expected);
}
