//! Throttling: limits on password guesses, and who stays able to sign in.
//!
//! The environment variables read by [`size`] make the runs longer.

mod accounts;
mod addresses;
mod changes;
mod owners;
mod processes;
mod responses;
mod static_key;

use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use crate::harness::{Backend, Client, Response, TestApp, TestAppBuilder};

/// Consecutive wrong passwords before an account must wait.
const LIMIT: usize = 10;

/// A server that limits by account, and practically not by address.
fn throttled(backend: Backend) -> TestAppBuilder {
    TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", &LIMIT.to_string())
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1000000")
}

/// A clock that stands still, so that waits do not pass during the test.
fn fixed_clock() -> Clock {
    Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

/// A distinct client address for each number.
fn source(number: usize) -> [u8; 4] {
    let [.., high, middle, low] = number.to_be_bytes();
    [127, 100 + high, middle, low]
}

fn sign_in(client: &Client, name: &str, password: &str) -> Response {
    client
        .post("/token")
        .form(&[("username", name), ("password", password)])
        .send()
}

/// The status of a sign-in. Retries when the database is busy.
fn guess(client: &Client, name: &str, password: &str) -> u16 {
    for _ in 0..100 {
        let status = sign_in(client, name, password).status;
        if status != 503 {
            return status;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the server stays busy");
}

/// How many accounts have this many failures, not counting those at known addresses.
fn accounts_with(app: &TestApp, failures: usize) -> i64 {
    app.database().count(&format!(
        "login_failures WHERE account = subject AND failures = {failures}"
    ))
}

/// How many accounts have counters.
fn accounts(app: &TestApp) -> i64 {
    app.database()
        .count("login_failures WHERE account = subject")
}
