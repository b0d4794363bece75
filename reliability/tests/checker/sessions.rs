//! Histories written by hand in which a user has several sessions and refresh tokens.

use reliability::checker::{Guarantee, Verdict};
use reliability::history::Operation;

use crate::{is_linearizable, judge, parse};

/// The number of sessions that a user may have.
const LIMIT: usize = 3;

/// Histories that a correct service can have.
const GOOD: [&str; 17] = [
    // An additional sign-in ends nothing, and each session ends alone.
    "login 1 @0-1; login 2 @2-3; accepted 1 @4-5; accepted 2 @6-7; logout 1 @8-9; refused 1 @10-11; \
     accepted 2 @12-13",
    "login 1 @0-1; login 2 @2-3; end 1 2 @4-5; refused 2 @6-7; accepted 1 @8-9; end? 1 2 @10-11; \
     end? 2 1 @12-13; accepted 1 @14-15",
    "login 1 @0-1; login 2 @2-3; login 3 @4-5; others 2 @6-7; refused 1 @8-9; accepted 2 @10-11; \
     refused 3 @12-13; others? 3 @14-15; accepted 2 @16-17",
    "login 1 @0-1; login 2 @2-3; revoke @4-5; refused 1 @6-7; refused 2 @8-9; login 3 @10-11",
    // One of three others makes room, whichever.
    "login 1 @0-1; login 2 @2-3; login 3 @4-5; login 4 @6-7; accepted 1 @8-9; refused 2 @10-11; \
     accepted 3 @12-13; accepted 4 @14-15",
    // A sign-in without a response may have taken room, and makes room as well.
    "login 1 @0-1; ~login 9 @2-3; login 2 @4-5; login 3 @6-7; refused 1 @8-9; accepted 2 @10-11",
    "login 1 @0-1; login 2 @2-3; login 3 @4-5; ~login 9 @6-7; accepted 1 @8-9; refused 2 @10-11",
    // The login token before the current one stays good until the next refresh.
    "login 1 @0-1; refresh 1 2 @2-3; accepted 1 @4-5; accepted 2 @6-7; refresh 2 3 @8-9; \
     refused 1 @10-11; accepted 2 @12-13; accepted 3 @14-15",
    // A repeated refresh gives the same token, whatever was lost.
    "login 1 @0-1; refresh 1 2 @2-3; refresh 1 2 @4-5; accepted 1 @6-7; accepted 2 @8-9",
    "login 1 @0-1; ~refresh 1 @2-3; refresh 1 2 @4-5; accepted 1 @6-7; refresh 2 3 @8-9",
    "login 1 @0-1; refresh 1 2 @2-3; ~refresh 2 @4-5; refused 1 @6-7; accepted 2 @8-9; \
     refresh 2 3 @10-11",
    // An older refresh token ends the session, and no other one.
    "login 1 @0-1; login 9 @2-3; refresh 1 2 @4-5; refresh 2 3 @6-7; refresh? 1 @8-9; refused 3 @10-11; \
     refresh? 3 @12-13; accepted 9 @14-15",
    "login 1 @0-1; refresh 1 2 @2-3; refresh 2 3 @4-5; ~refresh 1 @6-7; refused 3 @8-9",
    "login 1 @0-1; refresh 1 2 @2-3; ~refresh 2 @4-5; refresh? 1 @6-7; refused 2 @8-9",
    // A sign-out of a replaced token may be acknowledged while the session lives.
    "login 1 @0-1; refresh 1 2 @2-3; logout 1 @4-9; refresh 2 3 @5-8; accepted 3 @10-11",
    "login 1 @0-1; refresh 1 2 @2-3; ~refresh 2 @4-5; logout 1 @4-9; refresh 2 3 @10-11",
    // What is unknown came before a session that it would have ended.
    "login 1 @0-1; ~others 1 @2-3; ~revoke @4-5; login 2 @6-7; refused 1 @8-9; accepted 2 @10-11",
];

/// Violations, and the window that explains each: the operations with these numbers.
#[rustfmt::skip]
const BAD: [(&str, &[usize]); 19] = [
    // A session outlives its end.
    ("login 1 @0-1; login 2 @2-3; end 1 2 @4-5; accepted 2 @6-7", &[2, 3]),
    ("login 1 @0-1; login 2 @2-3; others 1 @4-5; accepted 2 @6-7", &[2, 3]),
    ("login 1 @0-1; login 2 @2-3; revoke @4-5; accepted 2 @6-7", &[2, 3]),
    ("login 1 @0-1; login 2 @2-3; disable @4-5; accepted 1 @6-7", &[2, 3]),
    // Another session ends than the one that was meant.
    ("login 1 @0-1; login 2 @2-3; logout 1 @4-5; accepted 2 @6-7; refused 2 @8-9", &[3, 4]),
    ("login 1 @0-1; login 2 @2-3; others 1 @4-5; refused 1 @6-7", &[2, 3]),
    ("login 1 @0-1; login 2 @2-3; end? 1 2 @4-5", &[0, 1, 2]),
    // An additional sign-in ends another session.
    ("login 1 @0-1; accepted 1 @2-3; login 2 @4-5; refused 1 @6-7", &[1, 3]),
    // Nothing made room, or two sessions did.
    ("login 1 @0-1; login 2 @2-3; login 3 @4-5; login 4 @6-7; accepted 1 @8-9; accepted 2 @10-11; \
      accepted 3 @12-13; accepted 4 @14-15", &[3, 4, 5, 6]),
    ("login 1 @0-1; login 2 @2-3; login 3 @4-5; login 4 @6-7; refused 1 @8-9; refused 2 @10-11", &[0, 4, 5]),
    // Refreshes.
    ("login 1 @0-1; refresh 1 2 @2-3; refused 1 @4-5", &[1, 2]),
    ("login 1 @0-1; refresh 1 2 @2-3; refresh 1 3 @4-5", &[1, 2]),
    ("login 1 @0-1; refresh 1 2 @2-3; refresh? 1 @4-5", &[1, 2]),
    ("login 1 @0-1; refresh 1 2 @2-3; refresh 2 3 @4-5; accepted 1 @6-7", &[2, 3]),
    ("login 1 @0-1; refresh 1 2 @2-3; refresh 2 3 @4-5; refresh 1 2 @6-7", &[2, 3]),
    ("login 1 @0-1; refresh 1 2 @2-3; refresh 2 3 @4-5; refresh? 1 @6-7; accepted 3 @8-9", &[3, 4]),
    ("login 1 @0-1; revoke @2-3; refresh 1 2 @4-5", &[1, 2]),
    ("login 1 @0-1; ~refresh 1 @2-3; refused 1 @4-5", &[0, 2]),
    // An unknown change takes effect once.
    ("login 1 @0-1; ~revoke @2-3; refused 1 @4-5; login 2 @6-7; refused 2 @8-9", &[0, 2, 3, 4]),
];

#[test]
fn correct_histories_of_several_sessions_are_accepted() {
    for history in GOOD {
        let operations = parse(history);
        for guarantee in [Guarantee::Linearizable, Guarantee::Acknowledged] {
            assert!(is_linearizable(&operations, LIMIT, guarantee), "{history}");
        }
    }
}

#[test]
fn violations_of_several_sessions_are_explained() {
    for (history, window) in BAD {
        let operations = parse(history);
        let Verdict::Violation(violation) = judge(&operations, LIMIT, Guarantee::Linearizable)
        else {
            panic!("not found: {history}");
        };
        let expected: Vec<Operation> = window.iter().map(|index| operations[*index]).collect();
        assert_eq!(violation.operations, expected, "{history}\n{violation}");
    }
}
