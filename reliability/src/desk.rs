//! Somebody at work: a connection to each process, and what is asked over it.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Answer, Connection, Request};
use crate::server::Program;

/// The longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that was idle for longer is not used again: the service may be closing it.
const IDLE: Duration = Duration::from_secs(2);

/// How often something is asked that was answered with 503.
const ATTEMPTS: u32 = 5;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// A connection to each process, for somebody who does one thing after the other.
pub(crate) struct Desk(Vec<Line>);

struct Line {
    address: SocketAddr,
    /// With the time of the last answer.
    connection: Option<(Connection, Instant)>,
}

impl Desk {
    /// For these processes; connects when there is something to ask.
    pub(crate) fn to(processes: impl Iterator<Item = SocketAddr>) -> Self {
        let line = |address| Line {
            address,
            connection: None,
        };
        Self(processes.map(line).collect())
    }

    /// Connects to a process, so that the next thing asked of it need not wait for that.
    ///
    /// # Errors
    /// When it takes no connection.
    pub(crate) fn connect(&mut self, process: usize) -> Result<(), String> {
        let line = &mut self.0[process];
        line.connection = Some((open(line.address)?, Instant::now()));
        Ok(())
    }

    /// Sends a request to a process.
    ///
    /// # Errors
    /// When there is no answer.
    pub(crate) fn ask(&mut self, process: usize, request: &Request) -> Result<Answer, String> {
        let line = &mut self.0[process];
        let is_good = |(connection, last): &(Connection, Instant)| {
            connection.is_open() && last.elapsed() < IDLE
        };
        let mut connection = match line.connection.take().filter(is_good) {
            Some((connection, _)) => connection,
            None => open(line.address)?,
        };
        let answer = connection.send(request);
        line.connection = Some((connection, Instant::now()));
        answer.map_err(|error| format!("process {process}: {error}"))
    }

    /// The same until it is not 503, and then one of these statuses.
    ///
    /// # Errors
    /// When it is another one.
    pub(crate) fn insist(
        &mut self,
        process: usize,
        request: &Request,
        statuses: &[u16],
    ) -> Result<Answer, String> {
        for _ in 1..ATTEMPTS {
            let answer = self.ask(process, request)?;
            if answer.status != 503 {
                return expect(answer, statuses);
            }
        }
        expect(self.ask(process, request)?, statuses)
    }

    /// How many of the processes accept a credential.
    pub(crate) fn acceptances(&mut self, credential: &str) -> Result<usize, String> {
        let request = Request::get("/users/me", credential);
        let mut accepted = 0;
        for process in 0..self.0.len() {
            let answer = self.insist(process, &request, &[200, 401])?;
            accepted += usize::from(answer.status == 200);
        }
        Ok(accepted)
    }
}

/// Connects to a process.
pub(crate) fn open(address: SocketAddr) -> Result<Connection, String> {
    Connection::open(address, PATIENCE).map_err(|error| format!("{address}: {error}"))
}

/// The answer, if it has one of these statuses.
pub(crate) fn expect(answer: Answer, statuses: &[u16]) -> Result<Answer, String> {
    if statuses.contains(&answer.status) {
        return Ok(answer);
    }
    let body = String::from_utf8_lossy(&answer.body);
    Err(format!("status {}: {body}", answer.status))
}

/// A request with a body of JSON, or without.
pub(crate) fn json_request(method: &str, path: &str, token: &str, body: Option<&Value>) -> Request {
    let body = body.map(Value::to_string);
    let content = body.as_deref().map(|body| (JSON, body));
    Request::new(method, path, Some(token), content)
}

/// A request with a form and no credential.
pub(crate) fn form_request(path: &str, fields: &str) -> Request {
    Request::new("POST", path, None, Some((FORM, fields)))
}

/// A sign-in.
pub(crate) fn sign_in_request(email: &str, password: &str) -> Request {
    let name = email.replace('@', "%40");
    form_request("/token", &format!("username={name}&password={password}"))
}

/// Signs in; `None` when that is refused.
pub(crate) fn sign_in(
    desk: &mut Desk,
    process: usize,
    email: &str,
    password: &str,
) -> Result<Option<String>, String> {
    let answer = desk.insist(process, &sign_in_request(email, password), &[200, 401])?;
    text_of(&answer, "access_token")
}

/// A member of the body of an answer that is no refusal.
pub(crate) fn text_of(answer: &Answer, name: &str) -> Result<Option<String>, String> {
    if answer.status >= 400 {
        return Ok(None);
    }
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let text = body[name].as_str();
    Ok(Some(text.ok_or_else(|| format!("no {name}"))?.to_owned()))
}

/// Makes an administrator, on the command line.
pub(crate) fn create_administrator(
    program: &Program,
    name: &str,
    password: &str,
) -> Result<(), String> {
    let mut words = vec!["user", "create", name, "--name", "Administrator"];
    for scope in ["users:read", "users:write", "events:read", "orders:read"] {
        words.extend(["--scope", scope]);
    }
    let mut command = program.command(&words);
    let mut create = || -> std::io::Result<bool> {
        let mut child = command.stdin(Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(password.as_bytes())?;
        }
        Ok(child.wait()?.success())
    };
    match create() {
        Ok(true) => Ok(()),
        Ok(false) => Err("tokenhouse user create failed".to_owned()),
        Err(error) => Err(format!("tokenhouse user create: {error}")),
    }
}

/// Registers somebody; returns the id.
pub(crate) fn register(desk: &mut Desk, email: &str, password: &str) -> Result<i64, String> {
    let body = json!({
        "name": "Ada Lovelace",
        "surname": "Lovelace",
        "email": email,
        "website": "https://example.com/ada",
        "password": password,
    });
    let request = Request::with_body("/register", JSON, &body.to_string());
    let answer = desk.insist(0, &request, &[201])?;
    let body: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    body["id"].as_i64().ok_or_else(|| "no id".to_owned())
}
