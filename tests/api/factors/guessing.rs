//! Guessing: concurrent uses of one code, and budgets.

use chrono::TimeDelta;

use super::app::{
    access_token, assert_wrong, builder, enrol, mfa_token, otp, password, with_settings,
};
use crate::harness::{Backend, concurrently, on_both_databases, size};

on_both_databases!(
    code_counts_once_among_concurrent_sign_ins,
    waiting_sign_in_takes_five_codes,
    budget_of_an_account_covers_all_sign_ins,
);

fn code_counts_once_among_concurrent_sign_ins(backend: Backend) {
    let (builder, clock) = builder(backend);
    let first = builder.setting("TOKENHOUSE_LIMITS", "off").start();
    let second = with_settings(first.sibling())
        .setting("TOKENHOUSE_LIMITS", "off")
        .clock(clock.clone())
        .start();
    let apps = [&first, &second];
    let ada = enrol(&first, &clock, "ada");
    let code = ada.app.code(clock.now().and_utc());
    // One sign-in that waits, and its five tries at once.
    let waiting = mfa_token(&password(&first, &ada.person));
    let statuses = concurrently(5, 5, |n| otp(apps[n % 2], &waiting, &code).status);
    let won = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(won, 1, "{statuses:?}");

    // Many that wait.
    let tries = size("FACTOR_RACES", 9);
    clock.advance(TimeDelta::seconds(60));
    let code = ada.app.code(clock.now().and_utc());
    let waiting: Vec<String> = (0..tries)
        .map(|_| mfa_token(&password(&first, &ada.person)))
        .collect();
    let statuses = concurrently(9, tries, |n| otp(apps[n % 2], &waiting[n], &code).status);
    let won = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!(won, 1, "{statuses:?}");
}

fn waiting_sign_in_takes_five_codes(backend: Backend) {
    let (builder, clock) = builder(backend);
    let first = builder.start();
    let second = with_settings(first.sibling()).clock(clock.clone()).start();
    let ada = enrol(&first, &clock, "ada");
    let waiting = mfa_token(&password(&first, &ada.person));
    let wrong = ada
        .app
        .code(clock.now().and_utc() + TimeDelta::seconds(600));
    let apps = [&first, &second];
    let statuses = concurrently(8, 8, |n| otp(apps[n % 2], &waiting, &wrong).status);
    let compared = statuses.iter().filter(|status| **status == 403).count();
    assert_eq!(compared, 5, "{statuses:?}");
    let code = ada.app.code(clock.now().and_utc());
    assert_eq!(otp(&first, &waiting, &code).status, 400);
    // The next one is right, and forgets the wrong ones.
    let waiting = mfa_token(&password(&second, &ada.person));
    access_token(&otp(&second, &waiting, &code));
}

fn budget_of_an_account_covers_all_sign_ins(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.setting("TOKENHOUSE_LIMIT_ACCOUNT", "100").start();
    let ada = enrol(&app, &clock, "ada");
    let wrong = || {
        ada.app
            .code(clock.now().and_utc() + TimeDelta::seconds(600))
    };
    for _ in 0..2 {
        let waiting = mfa_token(&password(&app, &ada.person));
        for _ in 0..5 {
            assert_wrong(&otp(&app, &waiting, &wrong()));
        }
    }
    // Also the right code has to wait, and costs the sign-in no try.
    let waiting = mfa_token(&password(&app, &ada.person));
    let code = ada.app.code(clock.now().and_utc());
    for _ in 0..6 {
        let refused = otp(&app, &waiting, &code);
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!(refused.header("Retry-After").is_some());
    }
    clock.advance(TimeDelta::seconds(30));
    assert_wrong(&otp(&app, &waiting, &wrong()));
    clock.advance(TimeDelta::seconds(30));
    assert_eq!(otp(&app, &waiting, &code).status, 429);
    // After a hundred, waiting does not help.
    app.database()
        .execute("UPDATE login_failures SET failures = 100 WHERE failures BETWEEN 11 AND 99");
    clock.advance(TimeDelta::days(400));
    let waiting = mfa_token(&password(&app, &ada.person));
    let code = ada.app.code(clock.now().and_utc());
    assert_eq!(otp(&app, &waiting, &code).status, 429);
    let unlocked = app
        .program(&["user", "unlock", &ada.person.email])
        .output()
        .unwrap();
    assert!(unlocked.status.success(), "{unlocked:?}");
    access_token(&otp(&app, &waiting, &code));
}
