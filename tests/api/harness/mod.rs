//! The test harness: servers, their databases, and the programs around them.

pub mod chromium;
mod database;
pub mod proxy;
mod server;

pub use database::{TEST_QUERY, TestDatabase};
pub use proxy::{Proxy, Recorded, Recorder, RunningProxy};
pub use server::{
    Log, OWN_SCOPES, Running, STATIC_KEY, TestApp, TestAppBuilder, run_with_input, settings,
};
pub use test_support::{Client, Connection, Person, Request, Response, ScratchDir, free_port};

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use serde_json::Value;
use tokenhouse::Clock;

/// The database that a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    /// The name on a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// The size of a test: a number from the environment, or the default.
pub fn size(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |number| number.parse().expect(name))
}

/// A JSON string.
pub fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Sends a JSON body with a credential.
pub fn send(client: &Client, method: &str, path: &str, credential: &str, body: &Value) -> Response {
    let request = client.request(method, path).bearer(credential);
    request.json(body).send()
}

/// A runtime for calls into the library.
pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime starts")
}

/// Much longer than anything takes that a test waits for: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits, after the database became unavailable, until a cached credential is no longer accepted: a
/// process answers from memory for at most one second after the last reply of Postgres.
pub fn wait_for_cache_expiry(mut status: impl FnMut() -> u16) {
    let start = Instant::now();
    while status() == 200 {
        assert!(start.elapsed() < Duration::from_secs(2), "still accepted");
    }
}

/// Sets a flag when dropped, so that the threads of a scope that run until then also end if the test
/// fails: a scope waits for all of its threads.
pub struct StopOnDrop<'a>(pub &'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
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

// Tests of the harness.
on_both_databases!(
    users_register_and_sign_in,
    apps_share_a_database_only_with_siblings,
    server_uses_the_clock_of_the_test,
    connection_serves_several_requests,
);

fn users_register_and_sign_in(backend: Backend) {
    let app = TestApp::start(backend);
    let alice = app.register("alice");
    let response = app.get("/users/me").bearer(&alice.sign_in()).send();
    assert_eq!(
        (response.status, &response.json()["email"]),
        (200, &alice.email.into())
    );
}

fn apps_share_a_database_only_with_siblings(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let status = |app: &TestApp| app.get("/users/me").bearer(&token).send().status;
    assert_eq!(status(&app.sibling().start()), 200);
    assert_eq!(status(&TestApp::start(backend)), 401);
}

fn server_uses_the_clock_of_the_test(backend: Backend) {
    let clock = Clock::manual(DateTime::UNIX_EPOCH);
    let app = TestApp::builder(backend)
        .setting("TOKENHOUSE_TOKEN_LIFETIME", "60")
        .clock(clock.clone())
        .start();
    let token = app.register("alice").sign_in();
    let status = || app.get("/users/me").bearer(&token).send().status;
    assert_eq!(status(), 200);
    clock.advance(TimeDelta::seconds(60));
    assert_eq!(status(), 401);
}

fn connection_serves_several_requests(backend: Backend) {
    let app = TestApp::start(backend);
    let mut connection = app.connect().expect("the server listens");
    for _ in 0..3 {
        let request = app.get("/page").header("Token", STATIC_KEY);
        let response = connection
            .send(&request)
            .expect("the connection stays open");
        assert_eq!(response.status, 200);
    }
}
