//! What was acknowledged stays, and what ended stays ended: in small what `reliability` shows with
//! a thousand kills, cuts and faults.

use std::path::PathBuf;

use reliability::durability::{IoErrors, Kills, PowerCut};
use reliability::faults::Faults;

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
fn kills_of_the_server_lose_nothing() {
    kills(false, 5);
}

#[test]
fn stops_of_postgres_lose_nothing() {
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
fn a_power_cut_without_syncs_is_found_out() {
    let normal = PowerCut {
        normal: true,
        ..power_cut()
    };
    assert!(normal.execute().unwrap().lost > 0);
}

#[test]
fn a_failing_disk_loses_nothing() {
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
fn a_failing_postgres_is_never_taken_for_an_answer() {
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
