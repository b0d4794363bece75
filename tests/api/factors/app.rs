//! An authenticator app, and a user who has one.

use chrono::{DateTime, TimeDelta, Utc};
use ring::hmac;
use serde_json::{Value, json};
use tokenhouse::Clock;

use crate::harness::{Backend, Client, Person, Response, TestApp, TestAppBuilder, text};

/// The key of the test servers.
pub const SECRET_KEY: &str = "a key that seals, of 32 characters or more";

/// The time of the machine, by which commands go, at the beginning of a step.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(Utc::now().timestamp() / 30 * 30, 0).unwrap()
}

/// A clock that stands there.
pub fn clock() -> Clock {
    Clock::manual(start())
}

/// The builder of a server with second factors, and its clock.
pub fn builder(backend: Backend) -> (TestAppBuilder, Clock) {
    let clock = clock();
    let builder = with_settings(TestApp::builder(backend)).clock(clock.clone());
    (builder, clock)
}

/// The settings of every such server.
pub fn with_settings(builder: TestAppBuilder) -> TestAppBuilder {
    builder
        .setting("TOKENHOUSE_SECRET_KEY", SECRET_KEY)
        .setting("TOKENHOUSE_SESSIONS_PER_USER", "20")
        .setting("TOKENHOUSE_LIMIT_SIGN_INS", "1000")
        .setting("TOKENHOUSE_LIMIT_CHANGES", "1000")
}

/// An authenticator app, written from RFC 6238 and not from the service.
#[derive(Clone)]
pub struct Authenticator(Vec<u8>);

impl Authenticator {
    /// The app with the seed of an answer.
    pub fn scan(secret: &str) -> Self {
        let bits: String = secret
            .bytes()
            .map(|c| match c {
                b'A'..=b'Z' => c - b'A',
                b'2'..=b'7' => c - b'2' + 26,
                _ => panic!("no base32: {secret}"),
            })
            .map(|value| format!("{value:05b}"))
            .collect();
        let bytes = bits.as_bytes().chunks_exact(8);
        let byte = |bits| u8::from_str_radix(str::from_utf8(bits).unwrap(), 2).unwrap();
        Self(bytes.map(byte).collect())
    }

    /// The code that the app shows at a time.
    pub fn code(&self, at: DateTime<Utc>) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &(at.timestamp() / 30).to_be_bytes());
        let tag = tag.as_ref();
        let at = usize::from(tag[19] & 15);
        let number = u32::from_be_bytes(tag[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }
}

/// A user with an app, and the session that has added it.
pub struct Enrolled {
    pub person: Person,
    pub token: String,
    pub factor: i64,
    pub app: Authenticator,
    pub recovery_codes: Vec<String>,
}

/// Registers a user with an app, and moves the clock on, so that the next code is a new one.
pub fn enrol(app: &TestApp, clock: &Clock, name: &str) -> Enrolled {
    enrol_as(app, clock, app.register(name))
}

/// The same for a user who is registered.
pub fn enrol_as(app: &TestApp, clock: &Clock, person: Person) -> Enrolled {
    let token = person.sign_in();
    let (factor, authenticator) = begin(app, &token);
    let confirmed = confirm(
        app,
        &token,
        factor,
        &authenticator.code(clock.now().and_utc()),
    );
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.json()["recovery_codes"].clone();
    clock.advance(TimeDelta::seconds(30));
    Enrolled {
        person,
        token,
        factor,
        app: authenticator,
        recovery_codes: codes.as_array().unwrap().iter().map(text).collect(),
    }
}

/// Begins to add an app. Returns the id of the factor.
pub fn begin(app: &TestApp, token: &str) -> (i64, Authenticator) {
    let begun = app.post("/users/me/factors").bearer(token);
    let begun = begun
        .json(&json!({ "kind": "totp", "name": "Phone" }))
        .send();
    assert_eq!(begun.status, 201, "{begun:?}");
    let begun = begun.json();
    let id = begun["id"].as_i64().unwrap();
    (id, Authenticator::scan(begun["secret"].as_str().unwrap()))
}

/// Confirms an app.
pub fn confirm(app: &TestApp, token: &str, id: i64, code: &str) -> Response {
    let path = format!("/users/me/factors/{id}/confirm");
    let request = app.post(&path).bearer(token);
    request.json(&json!({ "otp": code })).send()
}

/// The first step of a sign-in.
pub fn password(app: &TestApp, person: &Person) -> Response {
    password_with(app, person, &[])
}

/// The same with more fields.
pub fn password_with(app: &TestApp, person: &Person, more: &[(&str, &str)]) -> Response {
    let mut form = vec![
        ("username", person.email.as_str()),
        ("password", person.password.as_str()),
    ];
    form.extend_from_slice(more);
    app.post("/token").form(&form).send()
}

/// The token of a sign-in that waits.
pub fn mfa_token(response: &Response) -> String {
    assert_eq!(response.status, 403, "{response:?}");
    let body = response.json();
    assert_eq!(body["error"], "mfa_required", "{body}");
    text(&body["mfa_token"])
}

/// The second step with a code.
pub fn otp(app: &TestApp, mfa_token: &str, code: &str) -> Response {
    second_step(
        app,
        "urn:tokenhouse:grant-type:mfa-otp",
        mfa_token,
        ("otp", code),
    )
}

/// The second step with a recovery code.
pub fn recovery_code(app: &TestApp, mfa_token: &str, code: &str) -> Response {
    let grant = "urn:tokenhouse:grant-type:mfa-recovery-code";
    second_step(app, grant, mfa_token, ("recovery_code", code))
}

/// The second step by a grant, with a field.
pub fn second_step(app: &Client, grant: &str, mfa_token: &str, field: (&str, &str)) -> Response {
    let form = [("grant_type", grant), ("mfa_token", mfa_token), field];
    app.post("/token").form(&form).send()
}

/// The token of a user who is signed in now.
pub fn access_token(response: &Response) -> String {
    assert_eq!(response.status, 200, "{response:?}");
    text(&response.json()["access_token"])
}

/// Checks that a code was refused as wrong. Returns the answer.
#[track_caller]
pub fn assert_wrong(response: &Response) -> Value {
    let body = response.json();
    assert_eq!(
        (response.status, &body["error"]),
        (403, &json!("invalid_otp")),
        "{body}"
    );
    body
}
