//! What ends a credential has ended it once it is answered, for those in the middle of using it and
//! those about to get it. In small; `reliability races` does it in large.

use std::path::PathBuf;

use reliability::races::{Kind, Races};

use crate::harness::{Backend, TestApp, on_both_databases};

on_both_databases!(nothing_works_after_its_end_was_acknowledged);

const ROUNDS: usize = 20;

fn nothing_works_after_its_end_was_acknowledged(backend: Backend) {
    let app = TestApp::start(backend);
    let races = Races {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_tokenhouse")),
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
        // How many of those about to get a credential get one in time, is chance.
        assert!(tally.after > 0, "nothing was used: {tally}");
    }
}
