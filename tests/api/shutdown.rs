//! Graceful shutdown: first not ready, then draining, then stopped in time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Running, ScratchDir, TestApp, on_both_databases};

on_both_databases!(
    readiness_fails_first_while_requests_are_served,
    requests_in_progress_are_finished,
);

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
