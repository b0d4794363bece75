//! The program from an operator's view: settings, exit codes, output, and graceful shutdown: first
//! not ready, then draining, then stopped in time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{
    Backend, Client, Running, ScratchDir, TestApp, on_both_databases, run_with_input,
};

on_both_databases!(
    readiness_fails_first_while_requests_are_served,
    requests_in_progress_are_finished,
);

/// A scratch folder that is removed after the test.
struct Folder(ScratchDir);

impl Folder {
    fn new(name: &str) -> Self {
        Self(ScratchDir::new(name))
    }

    /// The program in this folder with an empty environment.
    fn tokenhouse(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tokenhouse"));
        command.args(arguments).current_dir(&self.0).env_clear();
        command
    }
}

#[test]
fn server_starts_without_setup_and_protects_its_files() {
    let folder = Folder::new("serve");
    let mut server = Running::start(folder.tokenhouse(&[]).env("TOKENHOUSE_BIND", "127.0.0.1:0"));
    let first = server.line();
    let address = first.rsplit_once("http://").unwrap().1.to_owned();
    let rest = [server.line(), server.line()];
    assert!(
        rest[1].ends_with(&format!("http://{address}/docs")),
        "{rest:?}"
    );

    let client = Client::new(address.parse().unwrap());
    client.register("alice").sign_in();
    for file in ["tokenhouse.db", "tokenhouse.db-wal", "tokenhouse.db-shm"] {
        let mode = std::fs::metadata(folder.0.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let healthy = folder
        .tokenhouse(&["healthcheck"])
        .env("TOKENHOUSE_BIND", &address)
        .status();
    assert_eq!(healthy.unwrap().code(), Some(0));
    drop(server);
    let stopped = folder
        .tokenhouse(&["healthcheck"])
        .env("TOKENHOUSE_BIND", &address)
        .status();
    assert_eq!(stopped.unwrap().code(), Some(1));
}

#[test]
fn invalid_setting_prevents_the_start_and_hides_the_value() {
    let folder = Folder::new("settings");
    for (name, value) in [
        ("DATABASE_URL", "mysql://hush"),
        ("TOKENHOUSE_BIND", "hush"),
        ("TOKENHOUSE_BCRYPT_COST", "hush"),
        ("TOKENHOUSE_NO_SUCH", "hush"),
        ("API_KEY_TOKEN_FILE", "/nowhere/hush"),
    ] {
        let output = folder
            .tokenhouse(&["serve"])
            .env(name, value)
            .output()
            .unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{name}");
        assert!(line.starts_with(&format!("tokenhouse: {name}: ")), "{line}");
        assert!(
            line.lines().count() == 1 && !line.contains("hush"),
            "{line}"
        );
    }
    let mut command = folder.tokenhouse(&["serve"]);
    let two = command
        .env("TOKENHOUSE_WORKERS", "hush")
        .env("TOKENHOUSE_CORS_ORIGINS", "https://app.example,*");
    let lines = String::from_utf8(two.output().unwrap().stderr).unwrap();
    assert!(
        !lines.contains("hush") && lines.lines().count() == 2,
        "{lines}"
    );
    for name in ["TOKENHOUSE_WORKERS", "TOKENHOUSE_CORS_ORIGINS"] {
        assert!(lines.contains(&format!("tokenhouse: {name}: ")), "{lines}");
    }
}

#[test]
fn unreachable_database_prevents_the_start_and_hides_the_url() {
    let folder = Folder::new("unreachable");
    for url in [
        "postgres://user:hush@127.0.0.1:1/hush",
        "sqlite:///nowhere/at/all.db",
    ] {
        let output = folder
            .tokenhouse(&["serve"])
            .env("DATABASE_URL", url)
            .output()
            .unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert!(
            line.contains("the database is unavailable") && !line.contains("hush"),
            "{line}"
        );
    }
}

#[cfg(not(feature = "postgres-tls"))]
#[test]
fn build_without_tls_rejects_a_url_that_requires_it() {
    let folder = Folder::new("tls");
    let url = "postgres://user:hush@127.0.0.1:1/hush?sslmode=verify-full";
    let mut command = folder.tokenhouse(&["migrate"]);
    let output = command.env("DATABASE_URL", url).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(line.contains("SSL support is not compiled in"), "{line}");
    assert!(!line.contains("hush"), "{line}");
}

#[cfg(not(feature = "postgres-tls"))]
#[test]
fn unencrypted_remote_database_requires_sslmode_disable_and_is_reported() {
    let folder = Folder::new("unencrypted");
    let run = |command: &str, url: &str| {
        let mut command = folder.tokenhouse(&[command]);
        let output = command.env("DATABASE_URL", url).output().unwrap();
        let printed = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), printed.concat())
    };
    for (url, message) in [
        ("postgres://user:hush@db.invalid/n", "?sslmode=disable"),
        (
            "postgres://user:hush@db.invalid/n?sslmode=prefer",
            "?sslmode=disable",
        ),
        (
            "postgres://user:hush@127.0.0.1/n?pgbouncer=hush",
            "no parameter pgbouncer",
        ),
    ] {
        let (status, line) = run("serve", url);
        assert_eq!(status, Some(2), "{line}");
        assert!(line.starts_with("tokenhouse: DATABASE_URL: "), "{line}");
        assert!(line.contains(message) && !line.contains("hush"), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    let (_status, report) = run(
        "doctor",
        "postgres://user:hush@db.invalid/n?sslmode=disable",
    );
    let warning = "warning\tdatabase connection\tDATABASE_URL: with sslmode=disable an attacker";
    assert!(
        report.contains(warning) && !report.contains("hush"),
        "{report}"
    );
}

#[test]
fn migrations_are_run_once() {
    let folder = Folder::new("migrate");
    let migrate = || {
        let output = folder.tokenhouse(&["migrate"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(migrate().starts_with("ran "));
    assert_eq!(migrate(), "up to date\n");
}

#[test]
fn passwords_are_hashed_and_verified_byte_for_byte() {
    let folder = Folder::new("password");
    let password = b"  caf\xc3\xa9 \xff\r\n";
    let hashed = run_with_input(&mut folder.tokenhouse(&["hash", "--cost", "4"]), password);
    let hash = String::from_utf8(hashed.stdout).unwrap();
    assert!(
        hash.starts_with("$2b$04$") && hash.trim_end().len() == 60,
        "{hash}"
    );
    let long = "x".repeat(4_097);
    for (hash, password, line, code) in [
        (hash.trim_end(), &password[..], "true\n", 0),
        (hash.trim_end(), b"caf\xc3\xa9", "false\n", 1),
        ("$1$x", b"x", "error: unknown-hash\n", 2),
        ("$2b$04$x", b"x", "error: malformed-hash\n", 2),
        (
            hash.trim_end(),
            long.as_bytes(),
            "error: password-size\n",
            2,
        ),
        (hash.trim_end(), b"a\0b", "error: password-nul\n", 2),
        (hash.trim_end(), b"a\xed\xa0\x80", "error: not-utf8\n", 2),
    ] {
        let output = run_with_input(&mut folder.tokenhouse(&["verify", hash]), password);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), line);
        assert_eq!(output.status.code(), Some(code), "{line}");
    }
    let refused = folder.tokenhouse(&["hash", "--cost", "3"]).output();
    assert_eq!(refused.unwrap().status.code(), Some(2));
}

/// Waits until the service reports that it is not ready.
fn wait_until_not_ready(client: &Client) {
    let signalled = Instant::now();
    while client.get("/readyz").send().status != 503 {
        assert!(signalled.elapsed() < Duration::from_secs(1), "still ready");
    }
}

/// Waits for the process to exit, at most 8 s after the signal.
fn assert_exits_in_time(process: Running, signalled: Instant) -> Duration {
    process.wait();
    let took = signalled.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    took
}

fn readiness_fails_first_while_requests_are_served(backend: Backend) {
    let app = TestApp::start(backend);
    let (process, second) = app.spawn_server_with(&[("TOKENHOUSE_DRAIN_MS", "2000")]);
    let token = app.register("alice").sign_in();
    let request = |client: &Client| client.get("/users/me").bearer(&token);
    let mut connection = second.connect().unwrap();
    let before = connection.send(&request(&second)).unwrap();
    assert_eq!((before.status, before.header("connection")), (200, None));
    assert_eq!(second.get("/health/ready").send().status, 200);

    process.signal("TERM");
    let signalled = Instant::now();
    wait_until_not_ready(&second);
    assert_eq!(second.get("/health/ready").send().status, 503);
    assert_eq!(second.get("/livez").send().status, 200);
    assert_eq!(request(&second).send().status, 200);
    // A client with a kept-alive connection is asked to reconnect, which reaches another process.
    let last = connection.send(&request(&second)).unwrap();
    let closes = last.header("connection");
    assert_eq!((last.status, closes.as_deref()), (200, Some("close")));

    let took = assert_exits_in_time(process, signalled);
    assert!(took > Duration::from_millis(1_900), "{took:?}");
    assert!(request(&second).try_send().is_err());
    assert_eq!(request(&app).send().status, 200);
}

fn requests_in_progress_are_finished(backend: Backend) {
    let app = TestApp::start(backend);
    let (process, second) = app.spawn_server_with(&[("TOKENHOUSE_DRAIN_MS", "0")]);
    let alice = app.register("alice");
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("username", &alice.email), ("password", &alice.password)])
        .finish();
    let mut stream = TcpStream::connect(second.address()).unwrap();
    let length = form.len();
    write!(
        stream,
        "POST /token HTTP/1.1\r\nHost: here\r\nContent-Length: {length}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n\r\n{}",
        &form[..20]
    )
    .unwrap();
    thread::sleep(Duration::from_millis(200));

    process.signal("TERM");
    let signalled = Instant::now();
    while TcpStream::connect(second.address()).is_ok() {
        assert!(
            signalled.elapsed() < Duration::from_secs(2),
            "still listens"
        );
    }
    // Longer than actix-web's interval for checking whether requests are in progress.
    thread::sleep(Duration::from_millis(1_500));
    stream.write_all(&form.as_bytes()[20..]).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.contains("access_token"), "{response}");
    assert_exits_in_time(process, signalled);
}

#[test]
fn slow_request_does_not_delay_shutdown() {
    let app = TestApp::start(Backend::Sqlite);
    // A hash of this cost takes longer than the shutdown timeout.
    let (process, second) = app.spawn_server_with(&[
        ("TOKENHOUSE_BCRYPT_COST", "19"),
        ("TOKENHOUSE_BCRYPT_MAX_COST", "19"),
        ("TOKENHOUSE_HASH_QUEUE_MS", "600000"),
    ]);
    let slow_request = thread::spawn(move || {
        let form = [("username", "nobody@example.com"), ("password", "x")];
        second.post("/token").form(&form).try_send()
    });
    thread::sleep(Duration::from_millis(500));
    process.signal("TERM");
    let took = assert_exits_in_time(process, Instant::now());
    assert!(took > Duration::from_secs(5), "{took:?}");
    assert!(slow_request.join().unwrap().is_err());
}

#[test]
fn interrupt_skips_the_drain() {
    let app = TestApp::start(Backend::Sqlite);
    let (process, second) = app.spawn_server_with(&[("TOKENHOUSE_DRAIN_MS", "5000")]);
    assert_eq!(second.get("/readyz").send().status, 200);
    process.signal("INT");
    let took = assert_exits_in_time(process, Instant::now());
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn systemd_is_notified_of_ready_and_stopping() {
    let app = TestApp::start(Backend::Sqlite);
    let folder = ScratchDir::new("notify");
    let path = folder.join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let receive = || {
        let mut bytes = [0; 100];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let address = path.to_str().unwrap();
    let settings = [("NOTIFY_SOCKET", address), ("TOKENHOUSE_DRAIN_MS", "1000")];
    let (process, second) = app.spawn_server_with(&settings);
    assert_eq!(receive().trim_end(), "READY=1");
    assert_eq!(second.get("/readyz").send().status, 200);
    process.signal("TERM");
    assert_eq!(receive().trim_end(), "STOPPING=1");
    assert_eq!(second.get("/readyz").send().status, 503);
    process.wait();
}

#[test]
fn metrics_are_served_until_the_end() {
    let app = TestApp::start(Backend::Sqlite);
    let port = crate::harness::free_port();
    let bind = format!("127.0.0.1:{port}");
    let (process, second) = app.spawn_server_with(&[
        ("TOKENHOUSE_METRICS_BIND", &bind),
        ("TOKENHOUSE_DRAIN_MS", "1000"),
    ]);
    let metrics = Client::new(bind.parse().unwrap());
    assert_eq!(metrics.get("/metrics").send().status, 200);
    process.signal("TERM");
    wait_until_not_ready(&second);
    assert_eq!(metrics.get("/metrics").send().status, 200);
    assert_exits_in_time(process, Instant::now());
}
