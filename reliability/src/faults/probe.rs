//! Requests that are repeated while Postgres fails. No response may ever be wrong.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use test_support::{Request, Response, TestUser};

use crate::fixture::{PooledConnection, register, sign_in};

pub(super) const STATIC_KEY: &str = "a-long-static-key-of-the-suite";

/// The probes whose recovery is measured.
pub(super) const READ: &str = "a live token";
pub(super) const WRITE: &str = "a write";

/// The time between two requests of a probe.
const REQUEST_INTERVAL: Duration = Duration::from_millis(15);

/// The time limit for a response: the three seconds of Tokenhouse, and one for the scheduler.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(4_000);

/// Longer than a response may take, to measure the late ones.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(15);

/// The time limit for a good response after a fault.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// The number of wrong responses that are reported.
const MAX_REPORTED: usize = 5;

/// A request and its correct response.
pub(super) struct Probe {
    name: &'static str,
    request: Request,
    status: u16,
    /// A part of the body.
    body: &'static str,
}

/// What all probes have seen during a kind of fault.
#[derive(Default)]
pub(super) struct Tally {
    /// Correct responses.
    pub(super) good: usize,
    /// Responses 503.
    pub(super) unavailable: usize,
    pub(super) wrong: Vec<String>,
    /// The longest time to a response, except those that need a password hash.
    pub(super) slowest: Duration,
    /// The time of the first good response since the last fault, by the name of the probe.
    first_good: BTreeMap<&'static str, Instant>,
}

impl Probe {
    fn new(name: &'static str, request: Request, status: u16, body: &'static str) -> Self {
        Self {
            name,
            request,
            status,
            body,
        }
    }

    /// Sends the request until `stop` is set.
    pub(super) fn run(&self, address: SocketAddr, tally: &Mutex<Tally>, stop: &AtomicBool) {
        let mut connection = PooledConnection::new(CLIENT_TIMEOUT);
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let response = connection.send(address, &self.request);
            self.judge(response, begun.elapsed(), &mut lock(tally));
            thread::sleep(REQUEST_INTERVAL);
        }
    }

    fn judge(&self, response: io::Result<Response>, time: Duration, tally: &mut Tally) {
        let mut wrong = Vec::new();
        // A password hash takes as long as the cores are busy.
        if self.name != "a wrong password" {
            tally.slowest = tally.slowest.max(time);
            if time > RESPONSE_TIMEOUT {
                wrong.push(format!("{} took {} ms", self.name, time.as_millis()));
            }
        }
        match response {
            Ok(response) => {
                let body = String::from_utf8_lossy(&response.body);
                if response.status == self.status && body.contains(self.body) {
                    tally.good += 1;
                    let now = Instant::now();
                    tally.first_good.entry(self.name).or_insert(now);
                } else if response.status == 503 && self.name != "liveness" {
                    tally.unavailable += 1;
                } else {
                    wrong.push(format!("{}: {} {body}", self.name, response.status));
                }
            }
            Err(error) => wrong.push(format!("{}: no response, {error}", self.name)),
        }
        let room = MAX_REPORTED.saturating_sub(tally.wrong.len());
        tally.wrong.extend(wrong.into_iter().take(room));
    }
}

/// Waits for the first good response to a read and to a write, and returns the times that they took.
pub(super) fn measure_recovery(tally: &Mutex<Tally>) -> [Duration; 2] {
    lock(tally).first_good.clear();
    let back = Instant::now();
    [READ, WRITE].map(|name| {
        while back.elapsed() < RECOVERY_TIMEOUT {
            if let Some(first) = lock(tally).first_good.get(name) {
                return first.duration_since(back);
            }
            thread::sleep(Duration::from_millis(2));
        }
        RECOVERY_TIMEOUT
    })
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The probes, about a user with a live token and an ended one.
pub(super) fn probes(address: SocketAddr) -> Result<Vec<Probe>, String> {
    const EMAIL: &str = "probe@example.com";
    let mut user = TestUser::new("probe");
    register(address, &user)?;
    let ended = sign_in(address, &user)?;
    let live = sign_in(address, &user)?;
    let get = |path: &str, token: &str| Request::get(path).bearer(token);
    let introspection = Request::post("/introspect").bearer(STATIC_KEY);
    let introspection = introspection.form(&[("token", live.as_str())]);
    let write = Request::new("PATCH", "/users/me").bearer(&live);
    let write = write.json(&json!({"surname": "L."}));
    let scope = get("/verify?scope=users:write", &live);
    user.password = "another password".to_owned();
    Ok(vec![
        Probe::new(READ, get("/users/me", &live), 200, EMAIL),
        Probe::new("an ended token", get("/users/me", &ended), 401, ""),
        Probe::new("a scope that is not held", scope, 403, ""),
        Probe::new("introspection", introspection, 200, r#""active":true"#),
        Probe::new("a wrong password", user.sign_in_request(), 401, ""),
        Probe::new(WRITE, write, 200, EMAIL),
        Probe::new("liveness", get("/health/live", &live), 200, ""),
    ])
}
