//! Request smuggling: requests that servers could parse differently are never answered twice.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::{Backend, Client, TestApp};

/// A request that gets a 200 if the server takes it for one.
const SMUGGLED: &str = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection that is still open by then is kept for the next request.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Heads with a repeated or invalid Content-Length.
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

/// Heads with a repeated or unsupported Transfer-Encoding, or one next to a Content-Length.
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

/// Heads with ambiguous lines.
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

/// Complete heads, including the request line.
const HEADS: [&str; 11] = [
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

/// Invalid chunked bodies.
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

/// What was received on a connection.
struct Received {
    statuses: Vec<u16>,
    closed: bool,
    text: String,
}

fn send(client: &Client, bytes: &[u8]) -> Received {
    let mut stream = TcpStream::connect(client.address()).unwrap();
    stream.set_read_timeout(Some(READ_TIMEOUT)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut received = Vec::new();
    let mut part = [0; 4_096];
    let closed = loop {
        match stream.read(&mut part) {
            Ok(0) => break true,
            Ok(length) => received.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break true,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(error) => panic!("{error}"),
        }
    };
    let text = String::from_utf8_lossy(&received).into_owned();
    let statuses = text.match_indices("HTTP/1.1 ");
    let statuses = statuses.map(|(at, _)| text[at + 9..at + 12].parse().unwrap());
    Received {
        statuses: statuses.collect(),
        closed,
        text,
    }
}

/// Adds a body that is complete in either reading, and the smuggled request.
fn with_body(head: &str) -> String {
    let body = match head.contains("chunked") {
        true => "0\r\n\r\n",
        false => "hello",
    };
    format!("{head}{body}{SMUGGLED}")
}

#[track_caller]
fn assert_rejected(app: &Client, request: &str) {
    let received = send(app, request.as_bytes());
    let what = request.escape_debug();
    assert!(received.closed, "left open: {what}");
    assert!(
        received.statuses == [400],
        "{what} was answered\n{}",
        received.text
    );
}

#[test]
fn ambiguous_heads_are_rejected() {
    let app = TestApp::start(Backend::Sqlite);
    for field in LENGTHS.iter().chain(&CODINGS).chain(&LINES) {
        let head = format!("POST /token HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
        assert_rejected(&app, &with_body(&head));
    }
    for head in HEADS {
        assert_rejected(&app, &with_body(head));
    }
}

#[test]
fn ambiguous_chunks_are_rejected() {
    let app = TestApp::start(Backend::Sqlite);
    for chunks in CHUNKS {
        let head = "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_rejected(&app, &format!("{head}{chunks}{SMUGGLED}"));
    }
}

/// These requests are answered before the body is read; what follows must not be parsed as a request.
#[test]
fn unread_body_smuggles_no_request() {
    let app = TestApp::start(Backend::Sqlite);
    for line in ["GET /page", "POST /logout", "POST /nope", "TRACE /livez"] {
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for chunks in CHUNKS {
            let received = send(&app, format!("{head}{chunks}{SMUGGLED}").as_bytes());
            assert!(received.closed, "{line}: left open after {chunks:?}");
            assert!(
                !received.statuses.contains(&200),
                "{line}: {}",
                received.text
            );
        }
        let length = SMUGGLED.len();
        let head = format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let received = send(&app, format!("{head}{SMUGGLED}").as_bytes());
        assert_eq!(received.statuses.len(), 1, "{line}: {}", received.text);
        assert_ne!(received.statuses, [200], "{line}: {}", received.text);
    }
}

/// The last chunk is followed by trailers (RFC 9112 section 7.1.2), which are ignored.
#[test]
fn trailers_end_at_an_empty_line() {
    let app = TestApp::start(Backend::Sqlite);
    let head = "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for end in ["0\r\n\n", "0\r\n \r\n", "0\r\nContent-Length: 5\r\n"] {
        let received = send(
            &app,
            format!("{head}5\r\nhello\r\n{end}{SMUGGLED}").as_bytes(),
        );
        assert_eq!(received.statuses, [422], "{end:?}: {}", received.text);
    }
}

/// A lone LF ends a line (RFC 9112 section 2.2 permits it): each request still gets one response,
/// and inside a header value it is nothing but that end.
#[test]
fn lone_line_feed_ends_a_line_and_hides_nothing() {
    let app = TestApp::start(Backend::Sqlite);
    let folded = "POST /token HTTP/1.1\r\nHost: a\r\nX: y\n Content-Length: 5\r\n\r\nhello";
    assert_rejected(&app, &format!("{folded}{SMUGGLED}"));
    let twice = "POST /token HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 5\r\n\
                 Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_rejected(&app, &format!("{twice}{SMUGGLED}"));
    let hosts = "GET /page HTTP/1.1\r\nHost: a\r\nX: y\nHost: b\r\n\r\n";
    assert_rejected(&app, &format!("{hosts}{SMUGGLED}"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = TestApp::start(Backend::Sqlite);
    let received = send(&app, SMUGGLED.repeat(3).as_bytes());
    assert_eq!(received.statuses, [200, 200, 200]);
    let chunked = "POST /token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n\
                   5;a=b\r\nhello\r\n0\r\n\r\n";
    let received = send(&app, format!("{chunked}{SMUGGLED}").as_bytes());
    assert_eq!(received.statuses, [422, 200], "{}", received.text);
}

#[test]
fn trace_and_connect_are_rejected_without_an_echo() {
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
        let received = send(&app, request.as_bytes());
        assert_eq!(received.statuses, [status], "{line}: {}", received.text);
        assert!(
            !received.text.contains("this-must"),
            "{line}: {}",
            received.text
        );
    }
    // A request sent through the tunnel is not answered.
    let tunnel = format!("CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n{SMUGGLED}");
    let received = send(&app, tunnel.as_bytes());
    assert_eq!(received.statuses, [404], "{}", received.text);
}
