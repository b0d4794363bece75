//! How the service ends: not ready first, still there, and then gone in time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Running, ScratchDir, TestApp, on_both_databases};

on_both_databases!(
    readiness_ends_first_and_service_goes_on_for_a_while,
    requests_under_way_are_finished,
);

/// Waits until the service says that it is not ready.
fn wait_for_red(client: &Client) {
    let told = Instant::now();
    while client.get("/readyz").send().status != 503 {
        assert!(told.elapsed() < Duration::from_secs(1), "still ready");
    }
}

/// Waits until the process has ended, which takes no longer than 8 s after a moment.
fn ends_in_time(process: Running, told: Instant) -> Duration {
    process.wait();
    let took = told.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    took
}

fn readiness_ends_first_and_service_goes_on_for_a_while(backend: Backend) {
    let app = TestApp::start(backend);
    let (process, beside) = app.spawn_server_with(&[("TOKENHOUSE_DRAIN_MS", "2000")]);
    let token = app.register("alice").sign_in();
    let request = |client: &Client| client.get("/users/me").bearer(&token);
    let mut kept = beside.connect().unwrap();
    let before = kept.send(&request(&beside)).unwrap();
    assert_eq!((before.status, before.header("connection")), (200, None));
    assert_eq!(beside.get("/health/ready").send().status, 200);

    process.signal("TERM");
    let told = Instant::now();
    wait_for_red(&beside);
    assert_eq!(beside.get("/health/ready").send().status, 503);
    assert_eq!(beside.get("/livez").send().status, 200);
    assert_eq!(request(&beside).send().status, 200);
    // Whoever keeps a connection is asked to come on another one, which ends up elsewhere.
    let last = kept.send(&request(&beside)).unwrap();
    let closes = last.header("connection");
    assert_eq!((last.status, closes.as_deref()), (200, Some("close")));

    let took = ends_in_time(process, told);
    assert!(took > Duration::from_millis(1_900), "{took:?}");
    assert!(request(&beside).try_send().is_err());
    assert_eq!(request(&app).send().status, 200);
}

fn requests_under_way_are_finished(backend: Backend) {
    let app = TestApp::start(backend);
    let (process, beside) = app.spawn_server_with(&[("TOKENHOUSE_DRAIN_MS", "0")]);
    let alice = app.register("alice");
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("username", &alice.email), ("password", &alice.password)])
        .finish();
    let mut stream = TcpStream::connect(beside.address()).unwrap();
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
    let told = Instant::now();
    while TcpStream::connect(beside.address()).is_ok() {
        assert!(told.elapsed() < Duration::from_secs(2), "still listens");
    }
    // Longer than actix-web takes to look whether anything is under way.
    thread::sleep(Duration::from_millis(1_500));
    stream.write_all(&form.as_bytes()[20..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("access_token"), "{answer}");
    ends_in_time(process, told);
}

#[test]
fn a_request_that_takes_too_long_does_not_hold_it_up() {
    let app = TestApp::start(Backend::Sqlite);
    // A hash of that cost takes longer than there is time.
    let (process, beside) = app.spawn_server_with(&[
        ("TOKENHOUSE_BCRYPT_COST", "19"),
        ("TOKENHOUSE_BCRYPT_MAX_COST", "19"),
        ("TOKENHOUSE_HASH_QUEUE_MS", "600000"),
    ]);
    let waits = thread::spawn(move || {
        let form = [("username", "nobody@example.com"), ("password", "x")];
        beside.post("/token").form(&form).try_send()
    });
    thread::sleep(Duration::from_millis(500));
    process.signal("TERM");
    let took = ends_in_time(process, Instant::now());
    assert!(took > Duration::from_secs(5), "{took:?}");
    assert!(waits.join().unwrap().is_err());
}

#[test]
fn an_interrupt_is_no_reason_to_wait() {
    let app = TestApp::start(Backend::Sqlite);
    let (process, beside) = app.spawn_server_with(&[("TOKENHOUSE_DRAIN_MS", "5000")]);
    assert_eq!(beside.get("/readyz").send().status, 200);
    process.signal("INT");
    let took = ends_in_time(process, Instant::now());
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn systemd_is_told_when_it_serves_and_when_it_stops() {
    let app = TestApp::start(Backend::Sqlite);
    let folder = ScratchDir::new("notify");
    let path = folder.join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let heard = || {
        let mut bytes = [0; 100];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let address = path.to_str().unwrap();
    let settings = [("NOTIFY_SOCKET", address), ("TOKENHOUSE_DRAIN_MS", "1000")];
    let (process, beside) = app.spawn_server_with(&settings);
    assert_eq!(heard().trim_end(), "READY=1");
    assert_eq!(beside.get("/readyz").send().status, 200);
    process.signal("TERM");
    assert_eq!(heard().trim_end(), "STOPPING=1");
    assert_eq!(beside.get("/readyz").send().status, 503);
    process.wait();
}

#[test]
fn the_metrics_are_there_to_the_end() {
    let app = TestApp::start(Backend::Sqlite);
    let port = crate::harness::free_port();
    let bind = format!("127.0.0.1:{port}");
    let (process, beside) = app.spawn_server_with(&[
        ("TOKENHOUSE_METRICS_BIND", &bind),
        ("TOKENHOUSE_DRAIN_MS", "1000"),
    ]);
    let metrics = Client::new(bind.parse().unwrap());
    assert_eq!(metrics.get("/metrics").send().status, 200);
    process.signal("TERM");
    wait_for_red(&beside);
    assert_eq!(metrics.get("/metrics").send().status, 200);
    ends_in_time(process, Instant::now());
}
