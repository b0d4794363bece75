//! Passkeys, with an authenticator in software, and in `browser` with that of Chromium.

mod alone;
pub mod authenticator;
mod browser;
mod enrolment;
mod key_pair;
mod mutations;
mod renewal;
mod second;

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokenhouse::Clock;

use crate::factors::app::builder as factor_builder;
use crate::harness::{Backend, Person, Response, TestApp, TestAppBuilder, send, text};
use authenticator::Authenticator;

/// The public URL of the servers.
pub const ORIGIN: &str = "https://auth.example";

/// The domain of their passkeys.
pub const RP_ID: &str = "auth.example";

/// The builder of a server with passkeys in this mode, and its clock.
pub fn builder(backend: Backend, mode: &str) -> (TestAppBuilder, Clock) {
    let (builder, clock) = factor_builder(backend);
    let builder = builder
        .setting("TOKENHOUSE_PASSKEYS", mode)
        .setting("TOKENHOUSE_PUBLIC_URL", ORIGIN);
    (builder, clock)
}

/// A user with a passkey, and the session that has added it.
pub struct Owner {
    pub person: Person,
    pub token: String,
    pub factor: i64,
    pub key: Authenticator,
}

/// Registers a user with a passkey.
pub fn enrol(app: &TestApp, name: &str) -> Owner {
    let person = app.register(name);
    let token = person.sign_in();
    let (factor, options) = begin(app, &token);
    let (key, credential) = Authenticator::make(&options);
    let confirmed = confirm(app, &token, factor, &credential);
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    Owner {
        person,
        token,
        factor,
        key,
    }
}

/// Begins to add a passkey. Returns the id of the factor, and what the browser is asked.
pub fn begin(app: &TestApp, token: &str) -> (i64, Value) {
    let begun = app.post("/users/me/factors").bearer(token);
    let begun = begun.json(&json!({ "kind": "webauthn" })).send();
    assert_eq!(begun.status, 201, "{begun:?}");
    let begun = begun.json();
    (begun["id"].as_i64().unwrap(), begun["publicKey"].clone())
}

/// Confirms a passkey.
pub fn confirm(app: &TestApp, token: &str, id: i64, credential: &Value) -> Response {
    let request = app.post(&format!("/users/me/factors/{id}/confirm"));
    let body = json!({ "credential": credential });
    request.bearer(token).json(&body).send()
}

/// Removes a passkey, confirmed or not: a user has ten at most.
pub fn forget(app: &TestApp, token: &str, id: i64) {
    let remove = app.request("DELETE", format!("/users/me/factors/{id}"));
    let removed = remove.bearer(token).json(&json!({})).send();
    assert_eq!(removed.status, 204, "{removed:?}");
}

/// What the browser is asked, and the id to send back with the signature.
pub fn options(response: &Response) -> (String, Value) {
    assert_eq!(response.status, 200, "{response:?}");
    let body = response.json();
    assert_eq!(body["expires_in"], 300);
    (text(&body["challenge_id"]), body["publicKey"].clone())
}

/// Asks for a passkey that stands alone.
pub fn ask(app: &TestApp) -> (String, Value) {
    options(&app.post("/passkeys/options").json(&json!({})).send())
}

/// Asks for a passkey as the second factor.
pub fn ask_second(app: &TestApp, mfa_token: &str) -> (String, Value) {
    let body = json!({ "mfa_token": mfa_token });
    options(&app.post("/mfa/webauthn/options").json(&body).send())
}

/// Asks a signed-in user for a passkey.
pub fn ask_again(app: &TestApp, token: &str) -> (String, Value) {
    let path = "/users/me/reauthenticate/options";
    options(&send(app, "POST", path, token, &json!({})))
}

/// Renews a session with a passkey.
pub fn renew(app: &TestApp, token: &str, challenge_id: &str, credential: &Value) -> Response {
    let body = json!({ "challenge_id": challenge_id, "credential": credential });
    send(app, "POST", "/users/me/reauthenticate", token, &body)
}

/// Signs in with a passkey alone.
pub fn sign_in(app: &TestApp, challenge_id: &str, credential: &Value) -> Response {
    let credential = credential.to_string();
    let form = [
        ("grant_type", "urn:tokenhouse:grant-type:passkey"),
        ("challenge_id", challenge_id),
        ("credential", &credential),
    ];
    app.post("/token").form(&form).send()
}

/// Continues a sign-in with a passkey.
pub fn second_step(
    app: &TestApp,
    mfa_token: &str,
    challenge_id: &str,
    credential: &Value,
) -> Response {
    let credential = credential.to_string();
    let form = [
        ("grant_type", "urn:tokenhouse:grant-type:mfa-webauthn"),
        ("mfa_token", mfa_token),
        ("challenge_id", challenge_id),
        ("credential", &credential),
    ];
    app.post("/token").form(&form).send()
}

/// Checks that a passkey that stands alone was refused. Returns the answer.
#[track_caller]
pub fn assert_refused(response: &Response) -> Value {
    let body = response.json();
    assert_eq!(
        (response.status, &body["error"]),
        (400, &json!("invalid_grant")),
        "{body}"
    );
    body
}

/// How many events with this action and text in their details there are.
pub fn count_events(app: &TestApp, action: &str, detail: &str) -> i64 {
    let filter = format!("audit_events WHERE action = '{action}' AND detail LIKE '%{detail}%'");
    app.database().count(&filter)
}

/// Lets what a browser was asked expire.
pub fn expire(clock: &Clock) {
    clock.advance(TimeDelta::minutes(5));
}
