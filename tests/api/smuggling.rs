//! Requests that one server reads as one and another as two: none is answered twice.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Backend, Client, TestApp};

/// What would be answered with a 200 if it were taken for a request.
const SMUGGLED: &str = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";

/// Whoever has not closed by then keeps the connection for another request.
const PATIENCE: Duration = Duration::from_secs(1);

/// Heads with a length that is told twice, or in no way that RFC 9112 knows.
const LENGTHS: [&str; 19] = [
    "Content-Length: 5\r\nContent-Length: 5",
    "Content-Length: 5\r\nContent-Length: 0",
    "Content-Length: 0\r\nContent-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: 5,0",
    "Content-Length: +5",
    "Content-Length: -5",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length: 5;a=b",
    "Content-Length:",
    "Content-Length: five",
    "Content-Length: 5.0",
    "Content-Length: 5e0",
    "Content-Length: \"5\"",
    "Content-Length: 1_0",
    "Content-Length: \u{665}",
    "Content-Length: 18446744073709551621",
    "Content-Length: 5\u{b}",
];

/// Heads with a coding that is told twice, beside a length, or is none that we have.
const CODINGS: [&str; 20] = [
    "Content-Length: 5\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 5",
    "Content-Length: 0\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: identity\r\nContent-Length: 5",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunkedx",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: chunked\0",
    "Transfer-Encoding: \u{17f}chunked",
];

/// Heads whose lines are not clear.
const LINES: [&str; 19] = [
    "X: y\r\n Transfer-Encoding: chunked",
    "X: y\r\n\tTransfer-Encoding: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Content-Length:\r\n 5",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    "Content-Length : 5",
    "Content-Length\t: 5",
    "Host : b",
    "Host: a",
    "Host: b",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\r\rTransfer-Encoding: chunked",
    "X\0: y",
    "X: y\0",
    "no colon",
    ": no name",
    "(X): y",
    "\u{a0}Content-Length: 5",
];

/// Whole beginnings, in place of the usual request line and `Host`.
const BEGINNINGS: [&str; 11] = [
    "POST /token HTTP/1.1\r\nContent-Length: 5\r\n\r\n",
    "POST /token HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "POST /token HTTP/1.0\r\nHost: a\r\n\r\n",
    "POST /token HTTP/1.2\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST /token HTTP/2.0\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST /token HTTP/1.1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST  /token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST\t/token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST /token\r\n\r\n",
    " POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    "POST /token HTTP/1.1\r\n Host: a\r\nContent-Length: 5\r\n\r\n",
];

/// Bodies that are no chunks.
const CHUNKS: [&str; 16] = [
    "-5\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "g\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    ";a\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "5;a\nhello\r\n0\r\n\r\n",
    "5;a\rb\r\nhello\r\n0\r\n\r\n",
    "5;\0\r\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhello0\r\n\r\n",
    "5\r\nhello!\r\n0\r\n\r\n",
    "5 5\r\nhello\r\n0\r\n\r\n",
    "10000000000000005\r\nhello\r\n0\r\n\r\n",
];

/// What came back on a connection.
struct Seen {
    statuses: Vec<u16>,
    closed: bool,
    text: String,
}

fn send(client: &Client, bytes: &[u8]) -> Seen {
    let mut stream = TcpStream::connect(client.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut seen = Vec::new();
    let mut part = [0; 4_096];
    let closed = loop {
        match stream.read(&mut part) {
            Ok(0) => break true,
            Ok(length) => seen.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(error) => panic!("{error}"),
        }
    };
    let text = String::from_utf8_lossy(&seen).into_owned();
    let statuses = text.match_indices("HTTP/1.1 ");
    let statuses = statuses.map(|(at, _)| text[at + 9..at + 12].parse().unwrap());
    Seen {
        statuses: statuses.collect(),
        closed,
        text,
    }
}

/// A body that ends where each of the two readings has an end.
fn with_body(head: &str) -> String {
    let body = match head.contains("chunked") {
        true => "0\r\n\r\n",
        false => "hello",
    };
    format!("{head}{body}{SMUGGLED}")
}

#[track_caller]
fn assert_refused(app: &Client, request: &str) {
    let seen = send(app, request.as_bytes());
    let what = request.escape_debug();
    assert!(seen.closed, "left open: {what}");
    assert!(seen.statuses == [400], "{what} was answered\n{}", seen.text);
}

#[test]
fn heads_that_can_be_read_in_two_ways_are_refused() {
    let app = TestApp::start(Backend::Sqlite);
    for field in LENGTHS.iter().chain(&CODINGS).chain(&LINES) {
        let head = format!("POST /token HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        assert_refused(&app, &with_body(&head));
    }
    for head in BEGINNINGS {
        assert_refused(&app, &with_body(head));
    }
}

#[test]
fn chunks_that_can_be_read_in_two_ways_are_refused() {
    let app = TestApp::start(Backend::Sqlite);
    for chunks in CHUNKS {
        let head = "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_refused(&app, &format!("{head}{chunks}{SMUGGLED}"));
    }
}

/// These are answered before their body is looked at; what follows must not be taken for a request.
#[test]
fn nothing_is_smuggled_in_a_body_that_is_not_read() {
    let app = TestApp::start(Backend::Sqlite);
    for line in ["GET /page", "POST /logout", "POST /nope", "TRACE /livez"] {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunks in CHUNKS {
            let seen = send(&app, format!("{head}{chunks}{SMUGGLED}").as_bytes());
            assert!(seen.closed, "{line}: left open after {chunks:?}");
            assert!(!seen.statuses.contains(&200), "{line}: {}", seen.text);
        }
        let length = SMUGGLED.len();
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let seen = send(&app, format!("{head}{SMUGGLED}").as_bytes());
        assert_eq!(seen.statuses.len(), 1, "{line}: {}", seen.text);
        assert_ne!(seen.statuses, [200], "{line}: {}", seen.text);
    }
}

/// Behind the last chunk stand trailers (RFC 9112 section 7.1.2), which mean nothing to us.
#[test]
fn what_follows_the_last_chunk_is_a_trailer_up_to_an_empty_line() {
    let app = TestApp::start(Backend::Sqlite);
    let head = "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for end in ["0\r\n\n", "0\r\n \r\n", "0\r\nContent-Length: 5\r\n"] {
        let seen = send(
            &app,
            format!("{head}5\r\nhello\r\n{end}{SMUGGLED}").as_bytes(),
        );
        assert_eq!(seen.statuses, [422], "{end:?}: {}", seen.text);
    }
}

/// A lone LF ends a line (RFC 9112 section 2.2 lets it): of every request in the text there is one
/// answer, and in a value it is nothing else than that end.
#[test]
fn a_lone_line_feed_ends_a_line_and_hides_nothing() {
    let app = TestApp::start(Backend::Sqlite);
    let folded = "POST /token HTTP/1.1\r\nHost: a\r\nX: y\n Content-Length: 5\r\n\r\nhello";
    assert_refused(&app, &format!("{folded}{SMUGGLED}"));
    let twice = "POST /token HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_refused(&app, &format!("{twice}{SMUGGLED}"));
    let hosts = "GET /page HTTP/1.1\r\nHost: a\r\nX: y\nHost: b\r\n\r\n";
    assert_refused(&app, &format!("{hosts}{SMUGGLED}"));
}

#[test]
fn requests_one_after_the_other_are_answered_one_after_the_other() {
    let app = TestApp::start(Backend::Sqlite);
    let seen = send(&app, SMUGGLED.repeat(3).as_bytes());
    assert_eq!(seen.statuses, [200, 200, 200]);
    let chunked = "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                   5;a=b\r\nhello\r\n0\r\n\r\n";
    let seen = send(&app, format!("{chunked}{SMUGGLED}").as_bytes());
    assert_eq!(seen.statuses, [422, 200], "{}", seen.text);
}

#[test]
fn trace_and_connect_are_refused_and_echo_nothing() {
    let app = TestApp::start(Backend::Sqlite);
    let secret = "Authorization: Bearer this-must-not-come-back";
    for (line, status) in [
        ("TRACE / HTTP/1.1", 404),
        ("TRACE /users/me HTTP/1.1", 405),
        ("TRACK /users/me HTTP/1.1", 405),
        ("CONNECT /users/me HTTP/1.1", 405),
        ("CONNECT example.com:443 HTTP/1.1", 404),
    ] {
        let request = format!("{line}\r\nHost: a\r\n{secret}\r\n\r\n");
        let seen = send(&app, request.as_bytes());
        assert_eq!(seen.statuses, [status], "{line}: {}", seen.text);
        assert!(!seen.text.contains("this-must"), "{line}: {}", seen.text);
    }
    // What would come through a tunnel stays unanswered.
    let tunnel = format!("CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n{SMUGGLED}");
    let seen = send(&app, tunnel.as_bytes());
    assert_eq!(seen.statuses, [404], "{}", seen.text);
}
