//! Random sequences of requests, each answered as a model of the service on a page says, on SQLite
//! and on Postgres alike. When an answer differs, the sequence is cut down to what it takes, and
//! printed with the seed that makes it again.
//!
//! `TOKENHOUSE_TEST_MODEL_OPERATIONS` says how many operations on each database, 1,500 unless it is set;
//! `TOKENHOUSE_TEST_MODEL_SEED` which.

mod driver;
mod operation;
mod page;
mod rules;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use chrono::DateTime;
use proptest::collection::vec;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokenhouse::Clock;

use self::driver::{Driver, Root};
use self::operation::{Operation, operation};
use crate::harness::{Backend, OWN_SCOPES, TestApp, on_both_databases, size};

on_both_databases!(every_answer_is_that_of_the_model);

/// Operations of the longest sequence.
const LONGEST: usize = 200;

fn every_answer_is_that_of_the_model(backend: Backend) {
    let operations = size("TOKENHOUSE_TEST_MODEL_OPERATIONS", 1_500);
    let seed = size("TOKENHOUSE_TEST_MODEL_SEED", 1);
    let clock = Clock::manual(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
    let app = TestApp::builder(backend).clock(clock.clone()).start();
    let scopes = format!("{OWN_SCOPES} orders orders:read");
    let root = RefCell::new(Root::new(app.register_with("root", &scopes), &clock));
    let (sequences, done) = (Cell::new(0), Cell::new(0));
    let statuses = RefCell::new(BTreeSet::new());

    let run = |sequence: Vec<Operation>| -> Result<(), TestCaseError> {
        sequences.set(sequences.get() + 1);
        let mut root = root.borrow_mut();
        let mut driver = Driver::new(*app, &clock, &mut root, sequences.get());
        for operation in &sequence {
            driver.step(*operation)?;
        }
        done.set(done.get() + sequence.len() + driver.take_stock()?);
        statuses.borrow_mut().append(&mut driver.statuses);
        Ok(())
    };
    let config = Config {
        // They are half as long as the longest, on average.
        cases: u32::try_from((2 * operations).div_ceil(LONGEST)).unwrap(),
        rng_seed: RngSeed::Fixed(seed as u64),
        failure_persistence: None,
        max_shrink_iters: 5_000,
        ..Config::default()
    };
    match TestRunner::new(config).run(&vec(operation(), 1..=LONGEST), run) {
        Ok(()) => {}
        Err(TestError::Fail(divergence, sequence)) => panic!(
            "{backend:?}, TOKENHOUSE_TEST_MODEL_SEED={seed}: {divergence}\nafter {}",
            sequence
                .iter()
                .map(|operation| format!("\n    {operation:?}"))
                .collect::<String>()
        ),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
    let done = done.get();
    assert!(done >= operations, "only {done}");
    let every_status = [200, 201, 204, 400, 401, 403, 404, 409, 422];
    assert_eq!(statuses.take(), every_status.into());
    println!("{backend:?}: {done} operations with seed {seed}, no divergence");
}
