//! The answers of several processes under faults fit one order of the operations. In small;
//! `reliability/` does it in large, and shows that it finds out what is wrong.

use std::path::PathBuf;
use std::time::Duration;

use reliability::checker::{Promise, Verdict, check};
use reliability::driver::Run;

use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(answers_of_several_processes_fit_one_order);

fn answers_of_several_processes_fit_one_order(backend: Backend) {
    let app = TestApp::start(backend);
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_tokenhouse"));
    let run = Run {
        users: 4,
        clients: 8,
        duration: Duration::from_secs(8),
        kills: true,
        pauses: true,
        ..Run::new(binary, app.database().url())
    };
    let history = run.execute().unwrap();
    assert!(history.unexpected.is_empty(), "{:?}", history.unexpected);
    assert!(history.operations.len() > 100, "hardly anything was done");
    match check(&history, Promise::Linearizable, Duration::from_secs(60)) {
        Verdict::Linearizable => {}
        Verdict::Violation(violation) => panic!("{violation}"),
        Verdict::Undecided(users) => panic!("not searched to the end: {users:?}"),
    }
}
