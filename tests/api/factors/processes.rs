//! Many clients race with codes over several processes: a code counts once, and a sign-in takes five.
//!
//! `FACTOR_ROUNDS` is the number of rounds, and `FACTOR_USERS` the number of users whose codes are raced for in each.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{TimeDelta, Utc};

use super::app::{Enrolled, builder, enrol, mfa_token, password, second_step};
use crate::harness::{Backend, concurrently, on_both_databases, size};

on_both_databases!(
    code_counts_once_among_processes,
    tries_of_a_sign_in_hold_among_processes,
);

const GRANT: &str = "urn:tokenhouse:grant-type:mfa-otp";
const PROCESSES: usize = 4;
const CLIENTS: usize = 64;

/// The sign-ins that race for a code: as many as an account has tries without a wait.
const RACERS: usize = 10;

/// How many codes a waiting sign-in takes.
const TRIES: usize = 5;

/// Each attempt is a sign-in of its own that waits, and none is one too many for the account, so that nothing but the
/// code decides.
fn code_counts_once_among_processes(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.setting("TOKENHOUSE_LIMITS", "off").start();
    let (users, rounds) = (size("FACTOR_USERS", 6), size("FACTOR_ROUNDS", 3));
    let users: Vec<Enrolled> = (0..users)
        .map(|user| enrol(&app, &clock, &format!("ada{user}")))
        .collect();
    let waiting = concurrently(4, users.len() * RACERS, |n| {
        (n, mfa_token(&password(&app, &users[n / RACERS].person)))
    });
    let waiting: BTreeMap<usize, String> = waiting.into_iter().collect();
    let processes = [(); PROCESSES].map(|()| app.spawn_server());
    app.database().execute(
        "UPDATE challenges SET expires_at = '2999-01-01 00:00:00';
         CREATE TABLE saved_challenges AS SELECT * FROM challenges",
    );
    let (start, mut races) = (Instant::now(), 0);
    for round in 0..rounds {
        // The processes go by the time of the machine, in which the same code counts for a while: a round
        // begins as if nothing had been used.
        app.database().execute(
            "DELETE FROM challenges; INSERT INTO challenges SELECT * FROM saved_challenges;
             UPDATE factors SET last_step = 0; DELETE FROM login_failures; DELETE FROM sessions",
        );
        let codes: Vec<String> = users.iter().map(|user| user.app.code(Utc::now())).collect();
        let statuses = concurrently(CLIENTS, users.len() * RACERS, |n| {
            let (user, (_, client)) = (n / RACERS, &processes[n % PROCESSES]);
            let answer = second_step(client, GRANT, &waiting[&n], ("otp", &codes[user]));
            (user, answer.status)
        });
        for user in 0..users.len() {
            let of_user = statuses.iter().filter(|(of, _)| *of == user);
            let mut of_user: Vec<u16> = of_user.map(|(_, status)| *status).collect();
            of_user.sort_unstable();
            let (won, lost) = (of_user[0], &of_user[1..]);
            // On a busy machine, the database may not answer in time: that is no try.
            let is_right = won == 200 && lost.iter().all(|status| [403, 503].contains(status));
            assert!(is_right, "round {round}: {of_user:?}");
            races += lost.iter().filter(|status| **status == 403).count();
        }
    }
    println!(
        "{backend:?}: {} codes counted once, {races} attempts with them did not, in {:.0?}",
        rounds * users.len(),
        start.elapsed()
    );
    assert!(races > 0);
}

fn tries_of_a_sign_in_hold_among_processes(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let ada = enrol(&app, &clock, "ada");
    let processes = [(); 2].map(|()| app.spawn_server());
    for round in 0..size("FACTOR_ROUNDS", 3) {
        app.database().execute("DELETE FROM login_failures");
        let waiting = mfa_token(&password(&app, &ada.person));
        let wrong = ada.app.code(Utc::now() + TimeDelta::minutes(10));
        let statuses = concurrently(CLIENTS, CLIENTS, |n| {
            let (_, client) = &processes[n % processes.len()];
            second_step(client, GRANT, &waiting, ("otp", &wrong)).status
        });
        let compared = statuses.iter().filter(|status| **status == 403).count();
        assert_eq!(compared, TRIES, "round {round}: {statuses:?}");
        let right = ada.app.code(Utc::now());
        let (_, client) = &processes[round % processes.len()];
        let over = second_step(client, GRANT, &waiting, ("otp", &right));
        assert_eq!(over.status, 400, "{over:?}");
    }
}
