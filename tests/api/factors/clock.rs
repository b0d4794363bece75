//! The clock of the machine is wrong, so that no code is right (N46).

use chrono::TimeDelta;

use super::app::{
    access_token, assert_wrong, builder, enrol, mfa_token, password, password_with, recovery_code,
};
use crate::harness::{Backend, on_both_databases};

on_both_databases!(doctor_names_a_clock_that_fits_no_code,);

fn doctor_names_a_clock_that_fits_no_code(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let users = ["ada", "bob", "eve"].map(|name| enrol(&app, &clock, name));
    let report = || {
        // Whatever else it finds.
        let output = app.program(&["doctor"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!report().contains("clock and codes"), "{}", report());
    let minutes = TimeDelta::minutes(7);
    for (tried, user) in (1..).zip(&users) {
        let code = user.app.code(clock.now().and_utc() + minutes);
        assert_wrong(&password_with(&app, &user.person, &[("otp", &code)]));
        let expected = match tried {
            1 => "the last code of a user would fit 420 seconds later".to_owned(),
            _ => format!("the last codes of {tried} users would fit 420 seconds later"),
        };
        assert!(report().contains(&expected), "{}", report());
    }
    // Recovery codes work, and say nothing about the clock.
    let waiting = mfa_token(&password(&app, &users[1].person));
    access_token(&recovery_code(&app, &waiting, &users[1].recovery_codes[0]));
    assert!(report().contains("this machine is slow"), "{}", report());
    // The clock is set right.
    clock.advance(minutes);
    let code = users[0].app.code(clock.now().and_utc());
    access_token(&password_with(&app, &users[0].person, &[("otp", &code)]));
    assert!(!report().contains("clock and codes"), "{}", report());
}
