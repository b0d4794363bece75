//! Beyond one machine: several processes over one Postgres behind nginx, stopped and killed one by
//! one under load.

mod cluster;
mod load;

use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use cluster::Cluster;
use load::Load;

use crate::harness::{Backend, Person, TestDatabase, size};

/// `TOKENHOUSE_TEST_ROLLING` says how often each is replaced.
#[test]
fn processes_are_replaced_under_load_and_nobody_notices() {
    let cluster = Cluster::start();
    let rounds = size("TOKENHOUSE_TEST_ROLLING", 1);
    let tally = Load::of(cluster.nginx()).during(|| {
        for _ in 0..rounds {
            for member in cluster.members() {
                thread::sleep(Duration::from_millis(300));
                cluster.restart(member, "TERM");
            }
        }
    });
    let repeated = tally.repeated.load(Ordering::Relaxed);
    let once = tally.sent_once.load(Ordering::Relaxed);
    let revocations = tally.revocations.load(Ordering::Relaxed);
    let failures = tally.failures.into_inner().unwrap();
    let failures_of_once = tally.failures_of_once.into_inner().unwrap();
    println!(
        "{rounds} x 3 SIGTERMs: {repeated} requests that nginx may repeat, {} failed; {once} that it may \
         not, {} failed; {revocations} sign-outs held everywhere",
        failures.len(),
        failures_of_once.len(),
    );
    assert!(repeated > 300 && once > 10 && revocations > 5);
    assert_eq!((failures, failures_of_once), (Vec::new(), Vec::new()));
    assert_trail_is_whole(&cluster);
}

#[test]
fn a_process_is_killed_under_load_and_only_what_it_was_doing_fails() {
    let cluster = Cluster::start();
    let tally = Load::of(cluster.nginx()).during(|| {
        for member in cluster.members() {
            // Who writes waits up to a second for a process that is gone.
            thread::sleep(Duration::from_millis(1_200));
            cluster.restart(member, "KILL");
        }
    });
    let repeated = tally.repeated.load(Ordering::Relaxed);
    let once = tally.sent_once.load(Ordering::Relaxed);
    let failures = tally.failures.into_inner().unwrap();
    let failures_of_once = tally.failures_of_once.into_inner().unwrap();
    println!(
        "3 x SIGKILL: {repeated} requests that nginx may repeat, {} failed; {once} that it may \
         not, {} failed",
        failures.len(),
        failures_of_once.len(),
    );
    assert_eq!(failures, Vec::<String>::new());
    assert!(repeated > 300 && once > 3);
    // One client sends such requests, so each kill can meet one of them.
    assert!(failures_of_once.len() <= 3, "{failures_of_once:#?}");
    assert_trail_is_whole(&cluster);
}

fn assert_trail_is_whole(cluster: &Cluster) {
    let verified = cluster.program(&["audit", "verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn what_one_process_ends_has_ended_on_all() {
    let cluster = Cluster::start();
    let clients = cluster.clients();
    let statuses = |token: &str| clients.map(|client| client.status("/users/me", token));
    for (number, client) in clients.iter().enumerate() {
        let person = client.register(&format!("person{number}"));
        for other in &clients {
            let token = person.sign_in();
            assert_eq!(statuses(&token), [200; 3]);
            let ended = other.post("/logout").bearer(&token).send();
            assert_eq!((ended.status, statuses(&token)), (204, [401; 3]));
        }
    }
}

#[test]
fn guesses_are_counted_together() {
    let cluster = Cluster::start();
    let clients = cluster.clients();
    let alice = clients[0].register("alice");
    let on = |number: usize| Person {
        client: clients[number % 3],
        email: alice.email.clone(),
        password: alice.password.clone(),
    };
    // As many as an account has, a third of them on each.
    for number in 0..10 {
        assert_eq!(on(number).try_sign_in("a wrong guess", "").status, 401);
    }
    for number in 0..3 {
        let refused = on(number).try_sign_in(&alice.password, "");
        assert_eq!(refused.status, 401, "{number}");
    }
    let throttled = "audit_events WHERE detail LIKE '%throttled%'";
    assert_eq!(cluster.database().count(throttled), 3);
}

#[test]
fn processes_that_start_together_migrate_once() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        for _ in 0..3 {
            let database = TestDatabase::empty(backend);
            let migrate = || {
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
                command.arg("migrate").env_clear();
                command.env("DATABASE_URL", database.url());
                command.stdout(std::process::Stdio::piped());
                command.spawn().unwrap()
            };
            let running = [(); 4].map(|()| migrate());
            let outputs = running.map(|process| process.wait_with_output().unwrap());
            let succeeded = outputs.iter().all(|output| output.status.success());
            assert!(succeeded, "{backend:?}: {outputs:?}");
            let ran = outputs
                .iter()
                .filter(|output| output.stdout.starts_with(b"ran "));
            assert_eq!(ran.count(), 1, "{backend:?}: {outputs:?}");
            let applied = database.count("__diesel_schema_migrations");
            assert_eq!(applied, migrations_of(backend), "{backend:?}");
        }
    }
}

fn migrations_of(backend: Backend) -> i64 {
    let folder = match backend {
        Backend::Sqlite => "migrations/sqlite",
        Backend::Postgres => "migrations/postgres",
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    fs::read_dir(folder).unwrap().count().try_into().unwrap()
}
