//! However often the process is killed, there is no change without its event and no event without
//! its change. In small; `reliability audit` does it in large.

use std::path::PathBuf;

use reliability::crashes::Crashes;

use super::Auditor;
use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(state_and_trail_agree_after_every_kill);

fn state_and_trail_agree_after_every_kill(backend: Backend) {
    let app = TestApp::start(backend);
    let kills = match backend {
        Backend::Sqlite => 50,
        // The first change after each waits a second for the lease of the process that is gone.
        Backend::Postgres => 15,
    };
    let crashes = Crashes {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_tokenhouse")),
        database_url: app.database().url(),
        kills,
    };
    let tally = crashes.execute().unwrap();
    assert_eq!(tally.differences, [""; 0]);
    assert_eq!(tally.kills, kills);
    assert!(tally.events > kills, "hardly anything was done: {tally:?}");
    assert!(
        tally.interrupted > 0,
        "no kill came into the middle of a change"
    );
    assert_eq!(Auditor::new(&app, None).problems(), [""; 0]);
}
