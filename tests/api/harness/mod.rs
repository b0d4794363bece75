//! What every test stands on: a server, its database, and a client.

mod account;
mod answer;
mod client;
mod credentials;
mod database;
mod guardian;
mod log;
mod packages;
mod people;
mod postgres;
mod postgres_programs;
mod process;
pub mod proxy;
mod recorder;
mod server;
mod tests;

pub use answer::Answer;
pub use client::{Client, Connection, Request};
pub use credentials::{OWN_SCOPES, text};
pub use database::{OF_THE_TESTS, TestDatabase};
pub use guardian::{free_port, scratch_folder};
pub use log::Log;
pub use people::Person;
pub use process::Running;
pub use proxy::{Proxy, RunningProxy};
pub use recorder::{Recorded, Recorder};
pub use server::{SETTINGS, STATIC_KEY, TestApp, TestAppBuilder};

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

/// How large a test is: a number from the environment, or the usual one.
pub fn size(name: &str, usual: usize) -> usize {
    std::env::var(name).map_or(usual, |number| number.parse().expect(name))
}

/// Does something so many times, by as many threads, which begin together.
pub fn at_once<T: Send>(threads: usize, times: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
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
