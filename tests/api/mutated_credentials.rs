//! Mutated credentials authenticate nothing, in any location and with any surrounding headers.
//!
//! `TOKENHOUSE_TEST_MUTATIONS` is the number of requests per test; the default is 10,000.

use std::cell::{Cell, RefCell};

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use serde_json::json;

use crate::factors::app::{builder, enrol, mfa_token, otp, password};
use crate::harness::{
    Backend, Client, Connection, Request, Response, TestApp, on_both_databases, size,
};
use crate::matrix::credential::reset_link;
use crate::pages::browser::Browser;

on_both_databases!(
    mutated_credential_is_rejected_everywhere,
    verify_rejects_any_headers_and_target_without_a_credential,
);

/// Bytes inserted between, before or after the characters of a credential. No line breaks: they
/// would start another header and leave this one intact.
const INSERTED: [&[u8]; 22] = [
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

/// Characters that look alike, or encode the same bits in another base64 alphabet.
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
enum Mutation {
    Truncate(Index),
    TruncateFront(Index),
    Insert(Index, Vec<u8>),
    Append(Vec<u8>),
    FlipCase(Index),
    FlipAllCase(bool),
    Replace(Index, u8),
    LookAlikes,
    Swap(Index),
    Duplicate,
    Pad(usize),
}

impl Mutation {
    fn apply(&self, secret: &mut Vec<u8>) {
        let location = |index: &Index, secret: &[u8]| index.index(secret.len().max(1));
        match self {
            Self::Truncate(index) => secret.truncate(location(index, secret)),
            Self::TruncateFront(index) => {
                drop(secret.drain(..location(index, secret).min(secret.len())))
            }
            Self::Insert(index, bytes) => {
                let at = location(index, secret).min(secret.len());
                secret.splice(at..at, bytes.iter().copied());
            }
            Self::Append(bytes) => secret.extend_from_slice(bytes),
            Self::FlipCase(index) => {
                if let Some(byte) = secret.get_mut(index.index(256) % 53) {
                    *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
                }
            }
            Self::FlipAllCase(true) => secret.make_ascii_uppercase(),
            Self::FlipAllCase(false) => secret.make_ascii_lowercase(),
            Self::Replace(index, other) => {
                let at = location(index, secret);
                if let Some(byte) = secret.get_mut(at) {
                    *byte = *other;
                }
            }
            Self::LookAlikes => *secret = look_alike(secret),
            Self::Swap(index) => {
                let at = location(index, secret);
                if at + 1 < secret.len() {
                    secret.swap(at, at + 1);
                }
            }
            Self::Duplicate => secret.extend_from_within(..),
            Self::Pad(count) => secret.resize(secret.len() + count, b'A'),
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

fn mutation() -> impl Strategy<Value = Mutation> {
    let index = any::<Index>;
    let inserted = || select(&INSERTED[..]).prop_map(<[u8]>::to_vec);
    let plain = select(&b"ABCXYZabcxyz0189-_"[..]);
    prop_oneof![
        3 => index().prop_map(Mutation::Truncate),
        2 => index().prop_map(Mutation::TruncateFront),
        6 => (index(), inserted()).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        4 => inserted().prop_map(Mutation::Append),
        6 => index().prop_map(Mutation::FlipCase),
        1 => any::<bool>().prop_map(Mutation::FlipAllCase),
        6 => (index(), plain).prop_map(|(at, other)| Mutation::Replace(at, other)),
        2 => Just(Mutation::LookAlikes),
        3 => index().prop_map(Mutation::Swap),
        1 => Just(Mutation::Duplicate),
        1 => (1..7_000_usize).prop_map(Mutation::Pad),
    ]
}

/// Where a credential is presented.
#[derive(Clone, Copy, Debug)]
enum Location {
    Bearer,
    TokenScheme,
    TokenHeader,
    Introspect,
    Revoke,
    /// In the cookie of the pages.
    Cookie,
    /// As the token of a link.
    Reset,
    /// As the token of a sign-in that waits for a code.
    SecondStep,
}

impl Location {
    const ALL: [Self; 8] = [
        Self::Bearer,
        Self::TokenScheme,
        Self::TokenHeader,
        Self::Introspect,
        Self::Revoke,
        Self::Cookie,
        Self::Reset,
        Self::SecondStep,
    ];

    /// Whether whitespace around the value is removed: HTTP strips it from header values.
    fn strips_whitespace(self) -> bool {
        !matches!(
            self,
            Self::Introspect | Self::Revoke | Self::Reset | Self::SecondStep
        )
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
            Self::Reset => {
                let token = String::from_utf8_lossy(secret);
                let body = json!({ "token": token, "password": "mulberry-Tram-71" });
                app.post("/reset-password").json(&body)
            }
            Self::SecondStep => {
                let request = app
                    .post("/token")
                    .header("Content-Type", "application/x-www-form-urlencoded");
                let grant = "urn:tokenhouse:grant-type:mfa-otp";
                request.body(format!("grant_type={grant}&mfa_token={form}&otp=123456"))
            }
            Self::Cookie => {
                let cookie = [b"tokenhouse=", secret].concat();
                let request = app.get("/account").host("localhost");
                request.header("Cookie", cookie)
            }
        }
    }

    /// Whether the credential was rejected.
    fn is_refused(self, response: &Response) -> bool {
        match self {
            Self::Introspect if response.status == 200 => {
                response.json() == json!({"active": false})
            }
            // The response is the same for any token; the caller checks that nothing was revoked.
            Self::Revoke if response.status == 200 => true,
            // To the sign-in page.
            Self::Cookie if response.status == 303 => true,
            _ => (400..500).contains(&response.status),
        }
    }
}

/// A client that reconnects when the server has closed the connection.
struct ReconnectingClient {
    client: Client,
    connection: RefCell<Connection>,
}

impl ReconnectingClient {
    fn to(client: Client) -> Self {
        let connection = RefCell::new(client.connect().unwrap());
        Self { client, connection }
    }

    fn send(&self, request: &Request) -> std::io::Result<Response> {
        let response = self.connection.borrow_mut().send(request);
        // actix-web answers a malformed request head itself, without a request id, and closes the
        // connection without announcing it.
        let is_reusable = response.as_ref().is_ok_and(|response| {
            response.header("connection").as_deref() != Some("close")
                && response.header("x-request-id").is_some()
        });
        if !is_reusable {
            self.connection.replace(self.client.connect().unwrap());
        }
        response
    }
}

fn runner() -> TestRunner {
    TestRunner::new(Config {
        cases: u32::try_from(size("TOKENHOUSE_TEST_MUTATIONS", 10_000)).unwrap(),
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..Config::default()
    })
}

fn mutated_credential_is_rejected_everywhere(backend: Backend) {
    let (builder, clock) = builder(backend);
    let app = builder.start();
    let token = app.register("alice").sign_in();
    let key = app.create_key(&token, "").secret;
    let eve = enrol(&app, &clock, "eve");
    let waiting = mfa_token(&password(&app, &eve.person));
    let mut browser = Browser::of(&app.register("bob"));
    let link = reset_link(&app, "bob@example.com");
    let secrets = [token, key, browser.secret(), link.clone(), waiting.clone()];
    let line = ReconnectingClient::to(*app);
    let mutated = (
        select(secrets.to_vec()),
        vec(mutation(), 1..4),
        select(&Location::ALL[..]),
    );
    let check = |(secret, mutations, location): (String, Vec<Mutation>, Location)| {
        let mut mutated = secret.clone().into_bytes();
        for mutation in &mutations {
            mutation.apply(&mut mutated);
        }
        let presented = if location.strips_whitespace() {
            mutated.trim_ascii()
        } else {
            &mutated
        };
        prop_assume!(secrets.iter().all(|secret| secret.as_bytes() != presented));
        let response = line.send(&location.request(&app, &mutated));
        let response =
            response.map_err(|error| TestCaseError::fail(format!("no response: {error}")))?;
        let refused = location.is_refused(&response);
        prop_assert!(
            refused,
            "{:?}: {response:?}",
            mutated.escape_ascii().to_string()
        );
        Ok(())
    };
    if let Err(error) = runner().run(&mutated, check) {
        panic!("{error}");
    }
    // The mutated credentials have revoked nothing either.
    for secret in &secrets[..2] {
        assert_eq!(app.status("/verify", secret), 200);
    }
    assert!(browser.is_signed_in());
    // Nor did they cost the sign-in that waits a try.
    let wrong = eve
        .app
        .code(clock.now().and_utc() + TimeDelta::seconds(600));
    let refused = otp(&app, &waiting, &wrong).json();
    assert_eq!(refused["tries_left"], 4, "{refused}");
    let body = json!({ "token": link, "password": "mulberry-Tram-71" });
    let reset = app.post("/reset-password").json(&body).send();
    assert_eq!(reset.status, 200, "{reset:?}");
}

/// Spellings of the path, and other request targets.
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

/// A header value, possibly with invalid bytes. No line breaks: the rest would be another header.
fn value() -> impl Strategy<Value = Vec<u8>> {
    // Few bytes that HTTP forbids: such a request never reaches the service.
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

fn verify_rejects_any_headers_and_target_without_a_credential(backend: Backend) {
    let app = TestApp::start(backend);
    let line = ReconnectingClient::to(*app);
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
        // A connection closed without a response counts as rejected.
        if let Ok(response) = line.send(&request) {
            unauthorized.set(unauthorized.get() + usize::from(response.status == 401));
            prop_assert!((300..500).contains(&response.status), "{response:?}");
        }
        Ok(())
    };
    if let Err(error) = runner().run(&parts, is_refused) {
        panic!("{error}");
    }
    // At least some requests were well-formed and reached the right path.
    let (unauthorized, all) = (
        unauthorized.get(),
        size("TOKENHOUSE_TEST_MUTATIONS", 10_000),
    );
    assert!(unauthorized > all / 4, "only {unauthorized}");
    let token = app.register("alice").sign_in();
    assert_eq!(app.status("/verify", &token), 200);
}
