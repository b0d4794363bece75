//! Many clients race with codes over several processes: a code counts once, and a sign-in takes five.
//!
//! `FACTOR_ROUNDS` is the number of rounds, of 64 clients each.

use chrono::{TimeDelta, Utc};

use super::app::{builder, enrol, mfa_token, password, second_step};
use crate::harness::{Backend, concurrently, on_both_databases, size};

on_both_databases!(tries_of_a_sign_in_hold_among_processes,);

const GRANT: &str = "urn:tokenhouse:grant-type:mfa-otp";
const PROCESSES: usize = 4;
const CLIENTS: usize = 64;

/// The waiting sign-ins of a round: each takes five codes.
const TRIES: usize = 5;

#[test]
fn code_counts_once_among_processes() {
    let (builder, clock) = builder(Backend::Postgres);
    let app = builder.setting("TOKENHOUSE_LIMITS", "off").start();
    let ada = enrol(&app, &clock, "ada");
    let processes = [(); PROCESSES].map(|()| app.spawn_server());
    for round in 0..size("FACTOR_ROUNDS", 3) {
        // The processes go by the time of the machine, in which the same code counts for a while: a round
        // begins as if it had not been used.
        app.database()
            .execute("UPDATE factors SET last_step = 0; DELETE FROM login_failures");
        let waiting: Vec<String> = (0..CLIENTS.div_ceil(TRIES))
            .map(|_| mfa_token(&password(&app, &ada.person)))
            .collect();
        let code = ada.app.code(Utc::now());
        let statuses = concurrently(CLIENTS, CLIENTS, |n| {
            let (_, client) = &processes[n % PROCESSES];
            second_step(client, GRANT, &waiting[n / TRIES], ("otp", &code)).status
        });
        let won = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(won, 1, "round {round}: {statuses:?}");
    }
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
