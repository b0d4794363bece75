//! Throttling: how often a password can be guessed at, and who is not kept out by that.
//!
//! The names in the environment that [`size`] reads make the runs longer.

mod accounts;
mod addresses;
mod answers;
mod known_addresses;
mod lasting;
mod proxies;
mod restarts;
mod together;

use std::thread;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use tokenhouse::Clock;

use crate::harness::{Backend, Client, Response, TestApp, TestAppBuilder};

/// Wrong passwords in a row before an account waits.
const LIMIT: usize = 10;

/// A server that throttles by account, and hardly by address.
fn throttled(backend: Backend) -> TestAppBuilder {
    TestApp::builder(backend)
        .setting("TOKENHOUSE_LIMITS", "on")
        .setting("TOKENHOUSE_LIMIT_ACCOUNT", &LIMIT.to_string())
        .setting("TOKENHOUSE_LIMIT_ADDRESS", "1000000")
}

/// A clock that stands still, so that no wait passes by itself.
fn standing_clock() -> Clock {
    Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::days(20_000))
}

/// An address to call from, another one for each number.
fn source(number: usize) -> [u8; 4] {
    let [.., high, middle, low] = number.to_be_bytes();
    [127, 100 + high, middle, low]
}

fn ask(client: &Client, name: &str, password: &str) -> Response {
    client
        .post("/token")
        .form(&[("username", name), ("password", password)])
        .send()
}

/// The status of a sign-in. One that the busy database did not take is tried again.
fn guess(client: &Client, name: &str, password: &str) -> u16 {
    for _ in 0..100 {
        let status = ask(client, name, password).status;
        if status != 503 {
            return status;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("the server is busy for ever");
}

/// How many accounts have this many failures, apart from those counted for known addresses.
fn accounts_with(app: &TestApp, failures: usize) -> i64 {
    app.database().count(&format!(
        "login_failures WHERE account = subject AND failures = {failures}"
    ))
}

/// How many accounts anything is counted for.
fn accounts(app: &TestApp) -> i64 {
    app.database()
        .count("login_failures WHERE account = subject")
}
