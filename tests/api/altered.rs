//! What is not a credential to the letter opens nothing, wherever it is shown and whatever stands
//! around it.
//!
//! `TOKENHOUSE_TEST_ALTERED` says how many requests each test makes, 10,000 unless it is set.

use std::cell::{Cell, RefCell};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::json;

use crate::harness::{
    Backend, Client, Connection, Request, Response, TestApp, on_both_databases, size,
};

on_both_databases!(
    an_altered_credential_opens_nothing,
    no_headers_and_no_target_get_past_verify_without_a_credential,
);

/// What is put between, before or after the characters of a credential. No line breaks: a client may
/// write another header, and this one is whole then.
const ADDED: [&[u8]; 22] = [
    b"\0",
    b" ",
    b"\t",
    b"=",
    b"==",
    b".",
    b",",
    b"%00",
    b"%20",
    b"+",
    b"/",
    b"-",
    b"_",
    b"A",
    b"0",
    b"\x7f",
    b"\xff",
    b"\xc0\x80",
    "\u{a0}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{feff}".as_bytes(),
    "\u{301}".as_bytes(),
];

/// Characters that look like another, or are the same in another alphabet of base64.
const LOOK_ALIKES: [(char, &str); 14] = [
    ('a', "\u{430}"),
    ('e', "\u{435}"),
    ('o', "\u{43e}"),
    ('c', "\u{441}"),
    ('k', "\u{212a}"),
    ('s', "\u{17f}"),
    ('t', "\u{ff54}"),
    ('O', "0"),
    ('0', "O"),
    ('l', "I"),
    ('I', "l"),
    ('1', "l"),
    ('-', "+"),
    ('_', "/"),
];

#[derive(Clone, Debug)]
enum Alteration {
    Truncate(Index),
    Behead(Index),
    Add(Index, Vec<u8>),
    AddAtEnd(Vec<u8>),
    Recase(Index),
    RecaseAll(bool),
    Change(Index, u8),
    LookAlikes,
    Swap(Index),
    Double,
    Lengthen(usize),
}

impl Alteration {
    fn apply(&self, secret: &mut Vec<u8>) {
        let place = |index: &Index, secret: &[u8]| index.index(secret.len().max(1));
        match self {
            Self::Truncate(index) => secret.truncate(place(index, secret)),
            Self::Behead(index) => drop(secret.drain(..place(index, secret).min(secret.len()))),
            Self::Add(index, bytes) => {
                let at = place(index, secret).min(secret.len());
                secret.splice(at..at, bytes.iter().copied());
            }
            Self::AddAtEnd(bytes) => secret.extend_from_slice(bytes),
            Self::Recase(index) => {
                if let Some(byte) = secret.get_mut(index.index(256) % 53) {
                    *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
                }
            }
            Self::RecaseAll(true) => secret.make_ascii_uppercase(),
            Self::RecaseAll(false) => secret.make_ascii_lowercase(),
            Self::Change(index, other) => {
                let at = place(index, secret);
                if let Some(byte) = secret.get_mut(at) {
                    *byte = *other;
                }
            }
            Self::LookAlikes => *secret = look_alike(secret),
            Self::Swap(index) => {
                let at = place(index, secret);
                if at + 1 < secret.len() {
                    secret.swap(at, at + 1);
                }
            }
            Self::Double => secret.extend_from_within(..),
            Self::Lengthen(count) => secret.resize(secret.len() + count, b'A'),
        }
    }
}

fn look_alike(secret: &[u8]) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(secret).into_owned();
    for (character, other) in LOOK_ALIKES {
        text = text.replacen(character, other, 1);
    }
    text.into_bytes()
}

fn alteration() -> impl Strategy<Value = Alteration> {
    let index = any::<Index>;
    let added = || select(&ADDED[..]).prop_map(<[u8]>::to_vec);
    let plain = select(&b"ABCXYZabcxyz0189-_"[..]);
    prop_oneof![
        3 => index().prop_map(Alteration::Truncate),
        2 => index().prop_map(Alteration::Behead),
        6 => (index(), added()).prop_map(|(at, bytes)| Alteration::Add(at, bytes)),
        4 => added().prop_map(Alteration::AddAtEnd),
        6 => index().prop_map(Alteration::Recase),
        1 => any::<bool>().prop_map(Alteration::RecaseAll),
        6 => (index(), plain).prop_map(|(at, other)| Alteration::Change(at, other)),
        2 => Just(Alteration::LookAlikes),
        3 => index().prop_map(Alteration::Swap),
        1 => Just(Alteration::Double),
        1 => (1..7_000_usize).prop_map(Alteration::Lengthen),
    ]
}

/// Where a credential is shown.
#[derive(Clone, Copy, Debug)]
enum Place {
    Bearer,
    TokenScheme,
    TokenHeader,
    Introspect,
    Revoke,
}

impl Place {
    const ALL: [Self; 5] = [
        Self::Bearer,
        Self::TokenScheme,
        Self::TokenHeader,
        Self::Introspect,
        Self::Revoke,
    ];

    /// White space around the value of a header is none of the value's.
    fn strips(self) -> bool {
        !matches!(self, Self::Introspect | Self::Revoke)
    }

    fn request(self, app: &TestApp, secret: &[u8]) -> Request {
        let form: String = form_urlencoded::byte_serialize(secret).collect();
        let post = |path: &str| {
            let request = app
                .post(path)
                .header("Content-Type", "application/x-www-form-urlencoded");
            request.body(format!("token={form}"))
        };
        match self {
            Self::Bearer => app
                .get("/verify")
                .header("Authorization", [b"Bearer ", secret].concat()),
            Self::TokenScheme => app
                .get("/users/me")
                .header("Authorization", [b"Token ", secret].concat()),
            Self::TokenHeader => app.get("/verify").header("Token", secret),
            Self::Introspect => post("/introspect").bearer(crate::harness::STATIC_KEY),
            Self::Revoke => post("/revoke"),
        }
    }

    /// Whether nothing was opened.
    fn is_refused(self, answer: &Response) -> bool {
        match self {
            Self::Introspect if answer.status == 200 => answer.json() == json!({"active": false}),
            // Told alike, whatever was shown; what it does not end is looked at afterwards.
            Self::Revoke if answer.status == 200 => true,
            _ => (400..500).contains(&answer.status),
        }
    }
}

/// A connection that is made anew when the server has cut it.
struct Line {
    client: Client,
    connection: RefCell<Connection>,
}

impl Line {
    fn to(client: Client) -> Self {
        let connection = RefCell::new(client.connect().unwrap());
        Self { client, connection }
    }

    fn send(&self, request: &Request) -> std::io::Result<Response> {
        let answer = self.connection.borrow_mut().send(request);
        // A head that is no HTTP never reaches the service: actix-web answers by itself, without the
        // id of the request, and cuts the connection without saying so.
        let goes_on = answer.as_ref().is_ok_and(|answer| {
            answer.header("connection").as_deref() != Some("close")
                && answer.header("x-request-id").is_some()
        });
        if !goes_on {
            self.connection.replace(self.client.connect().unwrap());
        }
        answer
    }
}

fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: u32::try_from(size("TOKENHOUSE_TEST_ALTERED", 10_000)).unwrap(),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..Config::default()
    })
}

fn an_altered_credential_opens_nothing(backend: Backend) {
    let app = TestApp::start(backend);
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    let secrets = [token, key];
    let line = Line::to(*app);
    let altered = (
        select(secrets.to_vec()),
        vec(alteration(), 1..4),
        select(&Place::ALL[..]),
    );
    let opens_nothing = |(secret, alterations, place): (String, Vec<Alteration>, Place)| {
        let mut altered = secret.clone().into_bytes();
        for alteration in &alterations {
            alteration.apply(&mut altered);
        }
        let shown = if place.strips() {
            altered.trim_ascii()
        } else {
            &altered
        };
        prop_assume!(secrets.iter().all(|secret| secret.as_bytes() != shown));
        let answer = line.send(&place.request(&app, &altered));
        let answer = answer.map_err(|error| TestCaseError::fail(format!("no answer: {error}")))?;
        let refused = place.is_refused(&answer);
        prop_assert!(
            refused,
            "{:?}: {answer:?}",
            altered.escape_ascii().to_string()
        );
        Ok(())
    };
    if let Err(error) = runner().run(&altered, opens_nothing) {
        panic!("{error}");
    }
    // What was altered has ended nothing either.
    for secret in &secrets {
        assert_eq!(app.status("/verify", secret), 200);
    }
}

/// Spellings of the path, and what else a first line may hold.
const PATHS: [&str; 12] = [
    "/verify",
    "/verify/",
    "//verify",
    "/%76erify",
    "/verify%2f",
    "/verify%00",
    "/verify;a=b",
    "/./verify",
    "/x/../verify",
    "/VERIFY",
    "http://example.com/verify",
    "/verify?",
];

const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "OPTIONS", "TRACE", "PURGE", "get", "G-T",
];

const HEADERS: [&str; 16] = [
    "Authorization",
    "authorization",
    "Token",
    "Cookie",
    "X-Forwarded-For",
    "X-Forwarded-Uri",
    "X-Original-URI",
    "X-Original-Method",
    "X-HTTP-Method-Override",
    "X-Auth-User-Id",
    "Forwarded",
    "Connection",
    "Upgrade",
    "Expect",
    "Accept-Encoding",
    "X-Request-Id",
];

const VALUES: [&str; 14] = [
    "",
    "Bearer",
    "Bearer ",
    "bearer null",
    "Token undefined",
    "Basic YTpi",
    "Basic !",
    "Negotiate",
    "token=a; session=b",
    "127.0.0.1",
    "/public",
    "keep-alive, authorization",
    "1",
    "Bearer a, Bearer b",
];

/// A value, perhaps with bytes that break it. No line breaks: the rest would be another header.
fn value() -> impl Strategy<Value = Vec<u8>> {
    // Few that HTTP does not allow: such a request never reaches the service.
    let any_byte = any::<u8>().prop_filter("a line break", |byte| !b"\r\n".contains(byte));
    let bytes = prop_oneof![100 => b' '..=b'~', 10 => 0x80..=0xff_u8, 1 => any_byte];
    (select(&VALUES[..]), vec(bytes, 0..12))
        .prop_map(|(value, bytes)| [value.as_bytes(), &bytes].concat())
}

fn query() -> impl Strategy<Value = String> {
    let written = "[!-~]{0,24}";
    prop_oneof![Just(String::new()), "scope=[a-z+%&=;]{0,16}", written].prop_map(|query| {
        if query.is_empty() {
            query
        } else {
            format!("?{query}")
        }
    })
}

fn no_headers_and_no_target_get_past_verify_without_a_credential(backend: Backend) {
    let app = TestApp::start(backend);
    let line = Line::to(*app);
    let parts = (
        select(&METHODS[..]),
        select(&PATHS[..]),
        query(),
        vec((select(&HEADERS[..]), value()), 0..5),
    );
    let unauthorized = Cell::new(0);
    let is_refused = |(method, path, query, headers): (&str, &str, String, Vec<_>)| {
        let request = app.request(method, format!("{path}{query}"));
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        // Cut off without an answer is refused too.
        if let Ok(answer) = line.send(&request) {
            unauthorized.set(unauthorized.get() + usize::from(answer.status == 401));
            prop_assert!((300..500).contains(&answer.status), "{answer:?}");
        }
        Ok(())
    };
    if let Err(error) = runner().run(&parts, is_refused) {
        panic!("{error}");
    }
    // Not all were turned away for being no HTTP, or for another path.
    let (unauthorized, all) = (unauthorized.get(), size("TOKENHOUSE_TEST_ALTERED", 10_000));
    assert!(unauthorized > all / 4, "only {unauthorized}");
    let token = app.register("alice").sign_in();
    assert_eq!(app.status("/verify", &token), 200);
}
