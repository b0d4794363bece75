//! Short runs of the checks in `reliability/`: races, histories, kills, power cuts and faults.

use std::path::PathBuf;
use std::time::Duration;

use reliability::checker::{Promise, Verdict, check};
use reliability::crashes::Crashes;
use reliability::driver::Run;
use reliability::durability::{IoErrors, Kills, PowerCut};
use reliability::faults::Faults;
use reliability::races::{Kind, Races};

use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(
    revoked_credentials_fail_once_acknowledged,
    responses_of_several_processes_are_linearizable,
    state_and_trail_agree_after_every_kill,
);

const ROUNDS: usize = 20;

/// A credential is dead as soon as its revocation is acknowledged, for requests in progress and for
/// those about to obtain it. `reliability races` runs this at length.
fn revoked_credentials_fail_once_acknowledged(backend: Backend) {
    let app = TestApp::start(backend);
    let races = Races {
        binary: binary(),
        database_url: app.database().url(),
        rounds: ROUNDS,
    };
    let mut tallies = Vec::new();
    races
        .execute(&Kind::ALL, |tally| tallies.push(tally.clone()))
        .unwrap();
    assert_eq!(tallies.len(), Kind::ALL.len());
    for tally in tallies {
        assert_eq!((tally.rounds, tally.stale), (ROUNDS, 0), "{tally}");
        // Whether a client obtains a credential in time is chance.
        assert!(tally.after > 0, "no credential was used: {tally}");
    }
}

/// `reliability` also proves that the checker detects violations.
fn responses_of_several_processes_are_linearizable(backend: Backend) {
    let app = TestApp::start(backend);
    let run = Run {
        users: 4,
        clients: 8,
        duration: Duration::from_secs(8),
        kills: true,
        pauses: true,
        ..Run::new(binary(), app.database().url())
    };
    let history = run.execute().unwrap();
    assert!(history.unexpected.is_empty(), "{:?}", history.unexpected);
    assert!(history.operations.len() > 100, "too few operations");
    match check(&history, Promise::Linearizable, Duration::from_secs(60)) {
        Verdict::Linearizable => {}
        Verdict::Violation(violation) => panic!("{violation}"),
        Verdict::Undecided(users) => panic!("search not finished: {users:?}"),
    }
}

fn binary() -> PathBuf {
    env!("CARGO_BIN_EXE_tokenhouse").into()
}

fn kills(postgres: bool, rounds: usize) {
    let kills = Kills {
        binary: binary(),
        postgres,
        rounds,
        clients: 4,
        seed: 1,
    };
    let report = kills.execute(|_| {}).unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn server_kills_lose_nothing() {
    kills(false, 5);
}

#[test]
fn postgres_restarts_lose_nothing() {
    kills(true, 3);
}

fn power_cut() -> PowerCut {
    PowerCut {
        binary: binary(),
        changes: 60,
        cut_points: 25,
        subsets: 1,
        clients: 4,
        seed: 1,
        normal: false,
        ignore_syncs: false,
    }
}

#[test]
fn power_cuts_lose_nothing() {
    let report = power_cut().execute().unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn power_cut_without_syncs_is_detected() {
    let normal = PowerCut {
        normal: true,
        ..power_cut()
    };
    assert!(normal.execute().unwrap().lost > 0);
}

#[test]
fn disk_errors_lose_nothing() {
    let errors = IoErrors {
        binary: binary(),
        calls: 2,
        checkpoint_calls: 0,
        seed: 1,
    };
    let report = errors.execute().unwrap();
    assert!(report.is_good(), "{report:?}");
}

#[test]
fn postgres_faults_never_count_as_answers() {
    let faults = Faults {
        binary: binary(),
        rounds: 1,
        cuts: false,
        clients: 2,
        seed: 1,
    };
    let report = faults.execute().unwrap();
    assert!(report.is_good(), "{report:?}");
}

/// After any kill there is no change without its event and no event without its change.
/// `reliability audit` runs this at length.
fn state_and_trail_agree_after_every_kill(backend: Backend) {
    let app = TestApp::start(backend);
    let kills = match backend {
        Backend::Sqlite => 50,
        // The first change after each waits a second for the lease of the process that is gone.
        Backend::Postgres => 15,
    };
    let crashes = Crashes {
        binary: binary(),
        database_url: app.database().url(),
        kills,
    };
    let tally = crashes.execute().unwrap();
    assert_eq!(tally.differences, [""; 0]);
    assert_eq!(tally.kills, kills);
    assert!(tally.events > kills, "too few events: {tally:?}");
    assert!(tally.interrupted > 0, "no kill interrupted a change");
    assert_eq!(crate::audit::Auditor::new(&app, None).problems(), [""; 0]);
}
