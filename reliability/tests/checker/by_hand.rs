//! Histories by hand: what is allowed, and what is not.
use crate::shorthand::*;
use reliability::checker::{Promise, Verdict};
use reliability::history::Operation;

fn assert_good(operations: &[Operation]) {
    let verdict = judge(operations, Promise::Linearizable);
    assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
}

/// Asserts that it is a violation, and that the window is those operations of it, by number.
fn assert_bad(operations: &[Operation], window: &[usize]) {
    let Verdict::Violation(violation) = judge(operations, Promise::Linearizable) else {
        panic!("not found");
    };
    let expected: Vec<Operation> = window.iter().map(|at| operations[*at]).collect();
    assert_eq!(violation.operations, expected, "{violation}");
}

#[test]
fn a_life_in_order_is_good() {
    assert_good(&[
        login(0..1, 1),
        accepted(2..3, 1),
        login(4..5, 2),
        refused(6..7, 1),
        accepted(8..9, 2),
        disable(10..11),
        refused(12..13, 2),
        login_refused(14..15),
        logout_refused(16..17, 2),
        enable(18..19),
        refused(20..21, 2),
        login(22..23, 3),
        accepted(24..25, 3),
        logout(26..27, 3),
        refused(28..29, 3),
        logout_refused(30..31, 3),
        login(32..33, 4),
        revoke(34..35),
        refused(36..37, 4),
    ]);
}

#[test]
fn nothing_at_all_is_good() {
    assert_good(&[]);
}

#[test]
fn a_use_after_an_acknowledged_end_is_bad() {
    let ends: [fn(std::ops::Range<u64>) -> Operation; 4] = [
        |time| logout(time, 1),
        |time| login(time, 2),
        revoke,
        disable,
    ];
    for end in ends {
        let history = [
            login(0..1, 1),
            accepted(2..3, 1),
            end(4..5),
            accepted(6..7, 1),
        ];
        assert_bad(&history, &[2, 3]);
        // While the end is under way it may be.
        assert_good(&[login(0..1, 1), end(4..7), accepted(6..8, 1)]);
    }
}

#[test]
fn a_refusal_after_an_acknowledged_sign_in_is_bad() {
    assert_bad(&[login(0..1, 1), refused(2..3, 1)], &[0, 1]);
    assert_bad(&[login(0..1, 1), logout_refused(2..3, 1)], &[0, 1]);
    assert_bad(
        &[
            disable(0..1),
            enable(2..3),
            login(4..5, 1),
            refused(6..7, 1),
        ],
        &[2, 3],
    );
}

#[test]
fn an_enable_does_not_bring_back_what_a_disable_has_ended() {
    let history = [login(0..1, 1), disable(2..3), enable(4..5)];
    let with = |more: &[Operation]| [&history[..], more].concat();
    assert_good(&with(&[
        refused(6..7, 1),
        login(8..9, 2),
        accepted(10..11, 2),
    ]));
    assert_bad(&with(&[accepted(6..7, 1)]), &[1, 3]);
}

#[test]
fn a_sign_in_that_is_refused_needs_a_disabled_user() {
    assert_bad(&[login_refused(0..1)], &[0]);
    assert_bad(&[disable(0..1), enable(2..3), login_refused(4..5)], &[1, 2]);
    assert_bad(&[disable(0..1), login(2..3, 1)], &[0, 1]);
    assert_good(&[disable(0..5), login(2..3, 1), login_refused(4..6)]);
}

#[test]
fn what_one_process_has_refused_no_other_accepts() {
    let seen_both_ways = [
        login(0..1, 1),
        logout(2..10, 1),
        refused(3..4, 1),
        accepted(5..6, 1),
    ];
    assert_bad(&seen_both_ways, &[2, 3]);
    // Unless the promise is about acknowledged ends only.
    let verdict = judge(&seen_both_ways, Promise::Acknowledged);
    assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
}

#[test]
fn the_weaker_promise_excuses_neither_late_uses_nor_idle_refusals() {
    for bad in [
        vec![
            login(0..1, 1),
            logout(2..10, 1),
            refused(3..4, 1),
            accepted(11..12, 1),
        ],
        vec![login(0..1, 1), refused(2..3, 1), accepted(4..5, 1)],
        vec![
            login(0..1, 1),
            disable(2..3),
            enable(4..5),
            accepted(6..7, 1),
        ],
        vec![login_refused(2..3)],
    ] {
        let verdict = judge(&bad, Promise::Acknowledged);
        assert!(matches!(verdict, Verdict::Violation(_)), "{bad:?}");
    }
}

#[test]
fn operations_that_overlap_may_have_any_order() {
    assert_good(&[
        login(0..9, 1),
        login(1..8, 2),
        accepted(10..11, 1),
        refused(12..13, 2),
    ]);
    assert_good(&[
        login(0..9, 1),
        login(1..8, 2),
        accepted(10..11, 2),
        refused(12..13, 1),
    ]);
    assert_bad(
        &[
            login(0..9, 1),
            login(1..8, 2),
            accepted(10..11, 1),
            accepted(12..13, 2),
        ],
        &[2, 3],
    );
    // What only touches overlaps.
    assert_good(&[login(0..1, 1), logout(2..3, 1), accepted(3..4, 1)]);
}

#[test]
fn two_logouts_at_once_may_both_be_acknowledged_but_not_one_after_the_other() {
    assert_good(&[login(0..1, 1), logout(2..5, 1), logout(3..6, 1)]);
    assert_bad(&[login(0..1, 1), logout(2..3, 1), logout(4..5, 1)], &[1, 2]);
    assert_good(&[
        login(0..1, 1),
        logout(2..5, 1),
        revoke(3..4),
        refused(5..6, 1),
    ]);
}

#[test]
fn an_unknown_operation_may_have_taken_effect_at_any_time_or_never() {
    let ends: [fn(std::ops::Range<u64>) -> Operation; 4] = [
        |time| logout(time, 1),
        |time| login(time, 2),
        revoke,
        disable,
    ];
    for end in ends {
        let end = unknown(end(4..5));
        assert_good(&[login(0..1, 1), end, accepted(6..7, 1)]);
        assert_good(&[login(0..1, 1), end, refused(6..7, 1)]);
        assert_good(&[login(0..1, 1), end, accepted(6..7, 1), refused(60..70, 1)]);
        // Not before it was asked for, and only once.
        assert_bad(&[login(0..1, 1), refused(2..3, 1), end], &[0, 1]);
        let back = [login(0..1, 1), end, refused(6..7, 1), accepted(8..9, 1)];
        assert_bad(&back, &[2, 3]);
    }
}

#[test]
fn an_unknown_logout_ends_its_own_token_only() {
    let end = unknown(logout(2..3, 1));
    assert_good(&[login(0..1, 1), end, login(4..5, 2), accepted(6..7, 2)]);
    assert_bad(
        &[login(0..1, 1), end, login(4..5, 2), refused(6..7, 2)],
        &[2, 3],
    );
}

#[test]
fn an_unknown_enable_and_disable_explain_what_needs_them() {
    let history = [login(0..1, 1), disable(2..3), unknown(enable(4..5))];
    let with = |more: &[Operation]| [&history[..], more].concat();
    assert_good(&with(&[refused(6..7, 1), login(8..9, 2)]));
    assert_good(&with(&[login_refused(6..7), login(8..9, 2)]));
    assert_bad(&with(&[login(6..7, 2), login_refused(8..9)]), &[3, 4]);
    assert_bad(&with(&[accepted(6..7, 1)]), &[1, 3]);
    let between = [
        login(0..1, 1),
        unknown(disable(2..3)),
        accepted(4..5, 1),
        enable(6..7),
    ];
    let then = |more: &[Operation]| [&between[..], more].concat();
    assert_good(&then(&[accepted(8..9, 1), login(10..11, 2)]));
    // Done right before the enable, it has ended the token, and the user comes in.
    assert_good(&then(&[refused(8..9, 1), login(10..11, 2)]));
    assert_bad(&then(&[refused(8..9, 1), accepted(10..11, 1)]), &[4, 5]);
    assert_good(&then(&[refused(8..9, 1), login_refused(10..11)]));
    // But not when it was asked for after the enable.
    let late = [login(0..1, 1), enable(2..3), unknown(disable(4..5))];
    let late = [&late[..], &[refused(6..7, 1), login(8..9, 2)]].concat();
    assert_bad(&late, &[0, 1, 3, 4]);
    assert_good(&[unknown(disable(0..1)), login(2..3, 1), login_refused(4..5)]);
    assert_bad(
        &[unknown(disable(0..1)), login_refused(2..3), login(4..5, 1)],
        &[1, 2],
    );
}

#[test]
fn an_unknown_use_proves_nothing() {
    assert_good(&[login(0..1, 1), logout(2..3, 1), unknown(accepted(4..5, 1))]);
}

#[test]
fn users_do_not_influence_each_other() {
    let of = |user, operation| Operation { user, ..operation };
    let good = [
        of(1, login(0..1, 1)),
        of(2, login(2..3, 2)),
        of(1, accepted(4..5, 1)),
    ];
    assert_good(&good);
    let bad = [
        &good[..],
        &[of(2, logout(6..7, 2)), of(2, accepted(8..9, 2))],
    ]
    .concat();
    assert_bad(&bad, &[3, 4]);
}

#[test]
fn a_violation_is_printed_with_what_contradicts_it() {
    let history = [
        login(0..1_000_000, 1),
        accepted(2_000_000..3_000_000, 1),
        Operation {
            client: 3,
            process: Some(2),
            ..logout(4_000_000..5_500_000, 1)
        },
        unknown(disable(4_000_000..5_000_000)),
        Operation {
            client: 12,
            ..accepted(6_000_000..7_000_250, 1)
        },
    ];
    let Verdict::Violation(violation) = judge(&history, Promise::Linearizable) else {
        panic!("not found");
    };
    let expected = "\
user 0: no order of these operations explains the answers, whatever was before them
(1 more, unknown or not needed, do not explain them either)
    called ms   answered ms  client  asked      operation
        4.000         5.500  c3      process 2  logout t1 -> ok
        6.000         7.000  c12     process 0  use t1 -> accepted   <-- has no place
the last changes that were acknowledged before these:
        0.000         1.000  c0      process 0  login -> t1
";
    assert_eq!(violation.to_string(), expected);
}
