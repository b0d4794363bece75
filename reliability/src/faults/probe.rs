//! What is asked all the time while Postgres fails: no answer may ever be wrong.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Connection, Request};
use crate::durability::client::registration;
use crate::durability::field::{ask, sign_in};
use crate::server::Server;

pub(super) const STATIC_KEY: &str = "a-long-static-key-of-the-suite";
const EMAIL: &str = "probe@example.com";
const PASSWORD: &str = "mulberry-Tram-71";

/// Between two requests of a probe.
const PAUSE: Duration = Duration::from_millis(15);

/// Longer than an answer may take, to see when one does.
const PATIENCE: Duration = Duration::from_secs(15);

/// How many wrong answers are told.
const REPORTED: usize = 5;

/// A question, and how its right answer looks.
pub(crate) struct Probe {
    pub(crate) name: &'static str,
    pub(crate) request: Request,
    /// The status of the right answer.
    pub(crate) status: u16,
    /// What is in its body.
    pub(crate) body: &'static str,
    /// Whether 503 is an answer too.
    pub(crate) needs_database: bool,
    seen: Mutex<Seen>,
}

/// What a probe has seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) good: usize,
    pub(crate) unavailable: usize,
    pub(crate) wrong: Vec<String>,
    pub(crate) slowest: Duration,
    /// When the first good answer came since it was last asked for.
    first_good: Option<Instant>,
}

impl Probe {
    pub(crate) fn new(
        name: &'static str,
        request: Request,
        status: u16,
        body: &'static str,
    ) -> Self {
        Self {
            name,
            request,
            status,
            body,
            needs_database: true,
            seen: Mutex::default(),
        }
    }

    /// Asks until `stop` is set.
    pub(crate) fn run(&self, address: SocketAddr, stop: &AtomicBool) {
        let mut connection = None;
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let answer = self.ask(address, &mut connection);
            self.judge(answer, begun);
            thread::sleep(PAUSE);
        }
    }

    fn ask(&self, address: SocketAddr, kept: &mut Option<Connection>) -> std::io::Result<Answer> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open(address, PATIENCE)?,
        };
        let answer = connection.send(&self.request);
        *kept = Some(connection).filter(Connection::is_open);
        answer
    }

    fn judge(&self, answer: std::io::Result<Answer>, begun: Instant) {
        let mut seen = self.seen();
        seen.slowest = seen.slowest.max(begun.elapsed());
        let wrong = match answer {
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                if answer.status == self.status && body.contains(self.body) {
                    seen.good += 1;
                    seen.first_good.get_or_insert_with(Instant::now);
                    return;
                }
                if answer.status == 503 && self.needs_database {
                    seen.unavailable += 1;
                    return;
                }
                format!("{}: {} {body}", self.name, answer.status)
            }
            Err(error) => format!("{}: no answer, {error}", self.name),
        };
        if seen.wrong.len() < REPORTED {
            seen.wrong.push(wrong);
        }
    }

    /// Whether a password is hashed for the answer, which takes as long as the cores are busy.
    pub(super) fn hashes(&self) -> bool {
        self.name == "a wrong password"
    }

    /// From now on, the next good answer is the first.
    pub(crate) fn forget_good(&self) {
        self.seen().first_good = None;
    }

    /// When the first good answer came.
    pub(crate) fn first_good(&self) -> Option<Instant> {
        self.seen().first_good
    }

    /// What was seen since it was taken the last time.
    pub(crate) fn take(&self) -> Seen {
        std::mem::take(&mut *self.seen())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The questions, and what they are about: a user with a live token and one that has ended.
pub(super) fn probes(server: &Server) -> Result<Vec<Probe>, String> {
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    let body = registration(EMAIL, PASSWORD).to_string();
    let registered = ask(server, &Request::with_body("/register", JSON, &body))?;
    if registered.status != 201 {
        return Err(format!("a user cannot register: {}", registered.status));
    }
    let ended = sign_in(server, EMAIL, PASSWORD)?;
    let live = sign_in(server, EMAIL, PASSWORD)?;
    let bearer = format!("Bearer {live}");
    let by = [("Authorization", bearer.as_str())];
    let introspection = Request::with_headers(
        "POST",
        "/introspect",
        &[("Authorization", &format!("Bearer {STATIC_KEY}"))],
        Some((FORM, &format!("token={live}"))),
    );
    let wrong = format!("username={EMAIL}&password=not-{PASSWORD}");
    let write = Request::with_headers(
        "PATCH",
        "/users/me",
        &by,
        Some((JSON, r#"{"surname":"L."}"#)),
    );
    let forbidden = Request::with_headers("GET", "/verify?scope=users:write", &by, None);
    let mut alive = Probe::new("alive", Request::get("/health/live", &live), 200, "");
    alive.needs_database = false;
    Ok(vec![
        Probe::new("a live token", Request::get("/users/me", &live), 200, EMAIL),
        Probe::new("an ended token", Request::get("/users/me", &ended), 401, ""),
        Probe::new("a scope that is not held", forbidden, 403, ""),
        Probe::new("introspection", introspection, 200, r#""active":true"#),
        Probe::new(
            "a wrong password",
            Request::with_body("/token", FORM, &wrong),
            401,
            "",
        ),
        Probe::new("a write", write, 200, EMAIL),
        alive,
    ])
}
