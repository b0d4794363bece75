//! The test harness: servers, their databases, and the programs around them.

mod credentials;
mod database;
mod log;
mod postgres;
mod process;
pub mod proxy;
mod recorder;
mod server;
mod tests;

pub use credentials::{OWN_SCOPES, text};
pub use database::{TEST_QUERY, TestDatabase};
pub use log::Log;
pub use process::Running;
pub use proxy::{Proxy, RunningProxy};
pub use recorder::{Recorded, Recorder};
pub use server::{STATIC_KEY, TestApp, TestAppBuilder, settings};
pub use test_support::{Client, Connection, Person, Request, Response, ScratchDir, free_port};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

/// The database that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// The size of a test: a number from the environment, or the default.
pub fn size(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |number| number.parse().expect(name))
}

/// Calls `work` this many times on this many threads, which start together.
pub fn concurrently<T: Send>(
    threads: usize,
    times: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Vec<T> {
    let (next, begin) = (AtomicUsize::new(0), Barrier::new(threads));
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                begin.wait();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= times {
                        return;
                    }
                    let outcome = work(number);
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

/// Makes two tests of each function that takes a [`Backend`]: `sqlite::name`, `postgres::name`.
macro_rules! on_both_databases {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $test() { super::$test($crate::harness::Backend::Sqlite); })+
        }
        mod postgres {
            $(#[test] fn $test() { super::$test($crate::harness::Backend::Postgres); })+
        }
    };
}
pub(crate) use on_both_databases;
