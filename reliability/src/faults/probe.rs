//! Requests that are repeated while Postgres fails. No response may ever be wrong.

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

/// The time between two requests of a probe.
const REQUEST_INTERVAL: Duration = Duration::from_millis(15);

/// Longer than a response may take, to measure the late ones.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(15);

/// The time limit for a good response after a fault.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// The number of wrong responses that are reported.
const MAX_REPORTED: usize = 5;

/// A request and its correct response.
pub(super) struct Probe {
    pub(super) name: &'static str,
    request: Request,
    status: u16,
    /// A part of the body.
    body: &'static str,
    tally: Mutex<Tally>,
}

#[derive(Default)]
pub(super) struct Tally {
    pub(super) good: usize,
    pub(super) unavailable: usize,
    pub(super) wrong: Vec<String>,
    pub(super) slowest: Duration,
    /// The time of the first good response since the last fault.
    first_good: Option<Instant>,
}

impl Probe {
    fn new(name: &'static str, request: Request, status: u16, body: &'static str) -> Self {
        Self {
            name,
            request,
            status,
            body,
            tally: Mutex::default(),
        }
    }

    /// Sends the request until `stop` is set.
    pub(super) fn run(&self, address: SocketAddr, stop: &AtomicBool) {
        let mut connection = PooledConnection::new(RESPONSE_TIMEOUT);
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let response = connection.send(address, &self.request);
            self.judge(response, begun);
            thread::sleep(REQUEST_INTERVAL);
        }
    }

    fn judge(&self, response: io::Result<Response>, begun: Instant) {
        let mut tally = self.tally();
        tally.slowest = tally.slowest.max(begun.elapsed());
        let wrong = match response {
            Ok(response) => {
                let body = String::from_utf8_lossy(&response.body).into_owned();
                if response.status == self.status && body.contains(self.body) {
                    tally.good += 1;
                    tally.first_good.get_or_insert_with(Instant::now);
                    return;
                }
                if response.status == 503 && self.name != "liveness" {
                    tally.unavailable += 1;
                    return;
                }
                format!("{}: {} {body}", self.name, response.status)
            }
            Err(error) => format!("{}: no response, {error}", self.name),
        };
        if tally.wrong.len() < MAX_REPORTED {
            tally.wrong.push(wrong);
        }
    }

    /// Whether the response needs a password hash, which takes as long as the cores are busy.
    pub(super) fn needs_hash(&self) -> bool {
        self.name == "a wrong password"
    }

    /// Starts to wait for the next good response.
    pub(super) fn reset_recovery(&self) {
        self.tally().first_good = None;
    }

    /// The time from `back` to the first good response.
    pub(super) fn wait_for_recovery(&self, back: Instant) -> Duration {
        while back.elapsed() < RECOVERY_TIMEOUT {
            if let Some(first) = self.tally().first_good {
                return first.duration_since(back);
            }
            thread::sleep(Duration::from_millis(2));
        }
        RECOVERY_TIMEOUT
    }

    /// The tally since the last call.
    pub(super) fn take_tally(&self) -> Tally {
        std::mem::take(&mut *self.tally())
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        Probe::new("a live token", get("/users/me", &live), 200, EMAIL),
        Probe::new("an ended token", get("/users/me", &ended), 401, ""),
        Probe::new("a scope that is not held", scope, 403, ""),
        Probe::new("introspection", introspection, 200, r#""active":true"#),
        Probe::new("a wrong password", user.sign_in_request(), 401, ""),
        Probe::new("a write", write, 200, EMAIL),
        Probe::new("liveness", get("/health/live", &live), 200, ""),
    ])
}
