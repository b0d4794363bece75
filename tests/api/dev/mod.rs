//! `tokenhouse dev` as the tests of an app use it: as a program that they start, control and end.

mod containers;
mod control;
mod in_process;
mod lifetime;
mod mail;
mod postgres;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Log, Response, ScratchDir, text};

/// A running `tokenhouse dev`. Dropping it closes its standard input and waits until it has ended.
pub struct Dev {
    process: Child,
    output: BufReader<ChildStdout>,
    /// The first line.
    line: Value,
    pub client: Client,
    log: Log,
}

impl Dev {
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(program().args(arguments))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut log = Log::new();
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.stderr(log.writer()).spawn().expect("it starts");
        let mut output = BufReader::new(process.stdout.take().expect("piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it prints text");
        let parsed = serde_json::from_str(&line);
        let line: Value = parsed.unwrap_or_else(|_error| {
            let log = String::from_utf8_lossy(&log.bytes()).into_owned();
            panic!("{line:?} is not JSON; the log: {log}")
        });
        Self {
            client: client_of(&line),
            process,
            output,
            line,
            log,
        }
    }

    pub fn text(&self, member: &str) -> String {
        text(&self.line[member])
    }

    /// The folder of its database.
    fn folder(&self) -> PathBuf {
        let url = self.text("database");
        let file = Path::new(url.strip_prefix("sqlite://").expect("SQLite"));
        file.parent().expect("a file in a folder").to_owned()
    }

    /// Sends a control request.
    fn control(&self, path: &str, body: &Value) -> Response {
        let request = self.client.post(path).bearer(&self.text("control_key"));
        request.json(body).send()
    }

    /// The same for a request that succeeds.
    fn command(&self, path: &str, body: &Value) -> Value {
        let response = self.control(path, body);
        assert!(response.status < 300, "{path} {body}: {response:?}");
        match response.text() {
            "" => Value::Null,
            _ => response.json(),
        }
    }

    fn create(&self, email: &str) {
        self.command("/_dev/users", &json!({ "email": email }));
    }

    /// Returns a token of an existing user.
    fn sign_in(&self, email: &str) -> String {
        text(&self.command("/_dev/sign-in", &json!({ "email": email }))["access_token"])
    }

    /// The status of a request with this token.
    fn status(&self, token: &str) -> u16 {
        self.client.get("/users/me").bearer(token).send().status
    }

    /// Closes standard input, and returns what else was printed and how long the end took.
    fn end(mut self) -> (String, Duration) {
        let start = Instant::now();
        drop(self.process.stdin.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("text");
        assert!(self.process.wait().expect("it is our child").success());
        (rest, start.elapsed())
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}

/// The program with an empty environment, except for the folder of temporary files.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
    command
        .arg("dev")
        .env_clear()
        .env("TMPDIR", std::env::temp_dir())
        .current_dir(std::env::temp_dir());
    command
}

fn client_of(line: &Value) -> Client {
    let url = text(&line["url"]);
    let address = url.strip_prefix("http://").expect("a URL");
    Client::new(address.parse().expect("an address without a name"))
}

/// The exit code and the error of a start that fails. It prints nothing on standard output.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = program();
    // An input that ends at once: a server that starts by mistake ends too.
    let output = command.args(arguments).stdin(Stdio::piped()).output();
    let output = output.expect("it starts");
    assert!(output.stdout.is_empty(), "{output:?}");
    let error = String::from_utf8(output.stderr).expect("text");
    (output.status.code(), error)
}

fn is_running(pid: &Value) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    // A process that nobody has waited for yet has ended too.
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// A file with the users of a test.
fn seed_file(folder: &ScratchDir, seed: &Value) -> PathBuf {
    let file = folder.join("seed.json");
    fs::write(&file, seed.to_string()).expect("the folder is ours");
    file
}
