//! Short runs of the checks in `reliability/`: races, histories, kills, power cuts and faults.

use std::path::Path;
use std::time::Duration;

use reliability::checker::{Guarantee, Verdict, check};
use reliability::durability::{Audit, Control, IoErrors, Kills, PowerCut};
use reliability::faults::Faults;
use reliability::history::Run;
use reliability::races::{Kind, Races};
use reliability::{Report, parse_options};

use crate::harness::{Backend, on_both_databases};

on_both_databases!(
    revoked_credentials_fail_once_acknowledged,
    responses_of_several_processes_are_linearizable,
    state_and_trail_agree_after_every_kill,
);

const ROUNDS: usize = 20;

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tokenhouse"))
}

/// A credential is dead as soon as its revocation is acknowledged, for requests in progress and for
/// those about to obtain it. `reliability races` runs this at length.
fn revoked_credentials_fail_once_acknowledged(backend: Backend) {
    let options = format!("--database {} --rounds {ROUNDS}", backend.name());
    let races: Races = parse_options(&options).unwrap();
    let mut tallies = Vec::new();
    races
        .execute(binary(), |tally| tallies.push(tally.clone()))
        .unwrap();
    assert_eq!(tallies.len(), Kind::all().len());
    for tally in tallies {
        assert_eq!((tally.rounds, tally.sum.stale), (ROUNDS, 0), "{tally}");
        // Whether a client obtains a credential in time is chance.
        assert!(tally.sum.after > 0, "no credential was used: {tally}");
    }
}

/// `reliability` also proves that the checker detects violations.
fn responses_of_several_processes_are_linearizable(backend: Backend) {
    let database = backend.name();
    let options =
        format!("--database {database} --users 4 --clients 8 --seconds 8 --kills --pauses");
    let run: Run = parse_options(&options).unwrap();
    let history = run.execute(binary()).unwrap();
    assert!(history.unexpected.is_empty(), "{:?}", history.unexpected);
    assert!(history.operations.len() > 100, "too few operations");
    let limit = Duration::from_secs(60);
    match check(&history, Guarantee::Linearizable, limit) {
        Verdict::Linearizable => {}
        Verdict::Violation(violation) => panic!("{violation}"),
        Verdict::Undecided(users) => panic!("search not finished: {users:?}"),
    }
}

/// After any kill there is no change without its event and no event without its change.
/// `reliability audit` runs this at length.
fn state_and_trail_agree_after_every_kill(backend: Backend) {
    let kills = match backend {
        Backend::Sqlite => 50,
        // The first change after each waits a second for the lease of the killed process.
        Backend::Postgres => 15,
    };
    let options = format!("--database {} --kills {kills}", backend.name());
    let audit: Audit = parse_options(&options).unwrap();
    let report = audit.execute(binary()).unwrap();
    assert!(report.is_good, "{report}");
    assert!(report.acknowledged > kills, "too few changes: {report}");
    assert!(report.unacknowledged > 0, "no kill interrupted a change");
}

fn assert_good(report: Result<Report, String>) {
    let report = report.unwrap();
    assert!(report.is_good, "{report}");
}

fn kill(options: &str) {
    let kills: Kills = parse_options(options).unwrap();
    assert_good(kills.execute(binary()));
}

#[test]
fn server_kills_lose_nothing() {
    kill("--database sqlite --rounds 5 --clients 4");
}

#[test]
fn postgres_restarts_lose_nothing() {
    kill("--database postgres --rounds 3 --clients 4");
}

fn power_cut() -> PowerCut {
    let options = "--changes 60 --cut-points 25 --subsets 1 --clients 4";
    parse_options(options).unwrap()
}

#[test]
fn power_cuts_lose_nothing() {
    assert_good(power_cut().execute(binary()));
}

#[test]
fn power_cut_without_syncs_is_detected() {
    let control = PowerCut {
        control: Some(Control::Normal),
        ..power_cut()
    };
    assert!(control.execute(binary()).unwrap().findings.lost > 0);
}

#[test]
fn disk_errors_lose_nothing() {
    let errors: IoErrors = parse_options("--calls 2 --checkpoint-calls 0").unwrap();
    assert_good(errors.execute(binary()));
}

#[test]
fn postgres_faults_never_count_as_answers() {
    let faults: Faults = parse_options("--rounds 1 --without-cuts --clients 2").unwrap();
    assert_good(faults.execute(binary()));
}
