//! Clients that hold connections and do not get on: they are cut, and nobody else notices.
//!
//! The same at length, with thousands of connections: `reliability hostile`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use reliability::hostile::{Kind, READER_BUFFER, has_ended};
use socket2::{Domain, Socket, Type};

use crate::harness::{Backend, Client, Running, TestApp};

/// Of each kind.
const CONNECTIONS: usize = 40;

/// By then all of them are cut.
const CUT_WITHIN: Duration = Duration::from_secs(10);

/// Longer than a connection of anybody else than a proxy may be idle.
const PROXIES_IDLE: Duration = Duration::from_secs(12);

fn open(kind: Kind, server: &Client) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if kind == Kind::SlowReader {
        socket.set_recv_buffer_size(READER_BUFFER).unwrap();
    }
    socket.connect(&server.address().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(kind.first().as_bytes()).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

/// The next byte. Who has been cut goes on all the same.
fn go_on(kind: Kind, stream: &mut TcpStream) {
    let _cut_or_not = match kind {
        Kind::Idle => Ok(0),
        Kind::SlowReader => stream.read(&mut [0]),
        Kind::SlowHead | Kind::SlowSecondHead | Kind::SlowBody => stream.write(b"a"),
    };
}

/// Asks on one connection until it is told to stop, and returns how long each answer took.
fn good_traffic(client: &Client, token: &str, stop: &AtomicBool) -> Vec<Duration> {
    let mut connection = client.connect().unwrap();
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let answer = connection.send(&client.get("/users/me").bearer(token));
        assert_eq!(answer.unwrap().status, 200);
        took.push(begun.elapsed());
        thread::sleep(Duration::from_millis(5));
    }
    took
}

/// Lets clients of all kinds in, and waits until the server has let go of them.
fn hold_connections(server: &Running, client: &Client) {
    let files = server.files();
    let begun = Instant::now();
    let mut held_open: Vec<_> = Kind::ALL
        .iter()
        .flat_map(|kind| (0..CONNECTIONS).map(|_| (*kind, open(*kind, client))))
        .collect();
    thread::sleep(Duration::from_secs(1));
    let held = server.files() - files;
    assert!(
        held >= Kind::ALL.len() * CONNECTIONS,
        "they hold {held} files"
    );
    while server.files() > files {
        assert!(
            begun.elapsed() < CUT_WITHIN,
            "the server still holds {} files more; not cut: {:?}",
            server.files() - files,
            held_open
                .iter_mut()
                .filter_map(|(kind, stream)| (!has_ended(stream)).then_some(*kind))
                .collect::<Vec<_>>()
        );
        for (kind, stream) in &mut held_open {
            go_on(*kind, stream);
        }
        thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn who_does_not_get_on_is_cut_and_nobody_else_notices() {
    let app = TestApp::start(Backend::Sqlite);
    let (server, client) = app.spawn_server();
    let token = app.register("alice").sign_in();
    let stop = AtomicBool::new(false);
    let mut took = thread::scope(|scope| {
        let good = scope.spawn(|| good_traffic(&client, &token, &stop));
        // So that its connection is among those that were there before.
        thread::sleep(Duration::from_millis(200));
        let proxies = scope.spawn(|| connections_of_proxies_stay(&app));
        hold_connections(&server, &client);
        stop.store(true, Ordering::Relaxed);
        proxies.join().unwrap();
        good.join().unwrap()
    });
    // The machine may be busy with other tests; the last per cent is for the command.
    took.sort_unstable();
    assert!(took.len() > 100, "{} answers", took.len());
    let middle = took[took.len() / 2];
    assert!(middle < Duration::from_millis(50), "{middle:?}");
    assert!(server.memory() < 128 << 20, "{} bytes", server.memory());
}

/// A proxy keeps a connection for the next request, and must not find it closed under it.
fn connections_of_proxies_stay(app: &TestApp) {
    let trusting = [("TOKENHOUSE_TRUSTED_PROXIES", "127.0.0.1")];
    let (_server, client) = app.spawn_server_with(&trusting);
    let livez = client.get("/livez");
    let mut open: Vec<_> = (0..CONNECTIONS)
        .map(|_| client.connect().unwrap())
        .collect();
    for connection in &mut open {
        assert_eq!(connection.send(&livez).unwrap().status, 200);
    }
    thread::sleep(PROXIES_IDLE);
    for connection in &mut open {
        assert_eq!(connection.send(&livez).unwrap().status, 200);
    }
}

/// The same program with fewer files.
fn with_files(program: &Command, most: usize) -> Command {
    let mut limited = Command::new("/bin/sh");
    limited
        .args(["-c", &format!(r#"ulimit -n {most} && exec "$0" "$@""#)])
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    limited
}

#[test]
fn a_flood_of_connections_leaves_those_that_stand_and_is_soon_forgotten() {
    const FILES: usize = 1_024;
    let app = TestApp::start(Backend::Sqlite);
    let token = app.register("alice").sign_in();
    let (server, client) = Running::serve(&mut with_files(&app.program(&["serve"]), FILES));
    let me = client.get("/users/me").bearer(&token);
    let mut standing = client.connect().unwrap();
    assert_eq!(standing.send(&me).unwrap().status, 200);

    let connect = |_| TcpStream::connect(client.address());
    let flood: Vec<_> = (0..FILES + 1_000).map(connect).collect();
    assert!(flood.iter().all(Result::is_ok), "the backlog takes them");
    for _ in 0..40 {
        assert_eq!(standing.send(&me).unwrap().status, 200);
        assert!(server.files() < FILES, "no file is left for the database");
        thread::sleep(Duration::from_millis(25));
    }
    drop(flood);
    let begun = Instant::now();
    assert_eq!(client.get("/users/me").bearer(&token).send().status, 200);
    let took = begun.elapsed();
    println!("served {took:?} after the flood");
    // A second, and what a busy machine adds.
    assert!(took < Duration::from_secs(3), "{took:?}");
}
