//! Executes operations over HTTP, and compares the responses with the [`Model`].

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::operation::{Administration, Corruption, Keep, Operation, PASSWORDS, Presented, Scopes};
use super::rules::{Created, Expected};
use super::{Credential, LIFETIME, Model, User};
use crate::harness::{Client, Connection, Person, Request, Response, STATIC_KEY, text};

/// The administrator outside the sequences, who signs in again when the token has expired.
pub struct Root {
    person: Person,
    token: String,
    signed_in_at: i64,
}

impl Root {
    pub fn new(person: Person, clock: &Clock) -> Self {
        let token = person.sign_in();
        Self {
            person,
            token,
            signed_in_at: seconds(clock),
        }
    }

    fn token(&mut self, clock: &Clock) -> &str {
        if seconds(clock) >= self.signed_in_at + LIFETIME {
            self.token = self.person.sign_in();
            self.signed_in_at = seconds(clock);
        }
        &self.token
    }
}

/// One sequence, with accounts that no other sequence uses.
pub struct Driver<'a> {
    client: Client,
    connection: Connection,
    clock: &'a Clock,
    root: &'a mut Root,
    sequence: u32,
    model: Model,
    /// The secrets of the model's credentials.
    secrets: Vec<String>,
    /// The statuses received.
    pub statuses: BTreeSet<u16>,
}

impl<'a> Driver<'a> {
    pub fn new(client: Client, clock: &'a Clock, root: &'a mut Root, sequence: u32) -> Self {
        Self {
            client,
            connection: client.connect().expect("the server listens"),
            clock,
            root,
            sequence,
            model: Model::new(seconds(clock)),
            secrets: Vec::new(),
            statuses: BTreeSet::new(),
        }
    }

    /// Executes an operation; an error if the response does not match the model.
    pub fn step(&mut self, operation: Operation) -> Result<(), TestCaseError> {
        if let Operation::Wait(seconds) = operation {
            self.clock.advance(TimeDelta::seconds(seconds));
            self.model.expect(operation);
            return Ok(());
        }
        let request = self.request(operation);
        let response = self
            .connection
            .send(&request)
            .map_err(|error| TestCaseError::fail(format!("{operation:?}: no response: {error}")))?;
        // A body rejected before it was read makes the connection unusable.
        if response.header("connection").as_deref() == Some("close") {
            self.connection = self.client.connect().expect("the server listens");
        }
        let expected = self.model.expect(operation);
        let prediction = prediction(operation, &response);
        if response.status != expected.status
            || (expected.prediction.is_some() && prediction != expected.prediction)
        {
            return Err(TestCaseError::fail(format!(
                "{operation:?}: the model says {} {:?}, the service {response:?}",
                expected.status, expected.prediction
            )));
        }
        self.statuses.insert(response.status);
        self.record(operation, &expected, &response)
    }

    /// Introspects every credential, including those that no operation has used. Returns their
    /// number.
    pub fn check_all_credentials(&mut self) -> Result<usize, TestCaseError> {
        for back in 0..self.secrets.len() {
            let (by, of) = (Presented::StaticKey, Presented::Issued(back));
            self.step(Operation::Introspect { by, of })?;
        }
        Ok(self.secrets.len())
    }

    /// Adds the user or credential in the response to the model.
    fn record(
        &mut self,
        operation: Operation,
        expected: &Expected,
        response: &Response,
    ) -> Result<(), TestCaseError> {
        let Some(created) = expected.created else {
            return Ok(());
        };
        let body = response.json();
        match created {
            Created::User { slot, password } => {
                self.record_user(operation, slot, password, &body)?
            }
            Created::Token { owner, scopes } => {
                self.model.issue_token(owner, scopes);
                self.secrets.push(text(&body["access_token"]));
            }
            Created::Key {
                owner,
                scopes,
                days,
            } => {
                let id = body["id"].as_i64().expect("an id is a number");
                self.model.issue_key(owner, id, scopes, days);
                self.secrets.push(text(&body["key"]));
            }
        }
        if let Some(Credential { key, scopes, .. }) = self.model.credentials.last()
            && !matches!(created, Created::User { .. })
        {
            let name = if key.is_some() { "scopes" } else { "scope" };
            if ordered(&body[name]) != scopes.text() {
                let message = format!("{operation:?}: {} was requested: {body}", scopes.text());
                return Err(TestCaseError::fail(message));
            }
        }
        Ok(())
    }

    fn record_user(
        &mut self,
        operation: Operation,
        slot: usize,
        password: usize,
        body: &Value,
    ) -> Result<(), TestCaseError> {
        let id = body["id"].as_i64().expect("an id is a number");
        if self.model.users.iter().any(|user| user.id == id) {
            let message = format!("{operation:?}: the id {id} was already used");
            return Err(TestCaseError::fail(message));
        }
        self.model.users.push(User {
            id,
            slot,
            name: text(&body["name"]),
            email: text(&body["email"]),
            password,
            scopes: Scopes::NONE,
            disabled: false,
            deleted: false,
        });
        Ok(())
    }

    fn request(&mut self, operation: Operation) -> Request {
        let client = self.client;
        match operation {
            Operation::Register {
                slot,
                password,
                shouting,
            } => client.post("/register").json(&json!({
                "name": format!("Person {slot}"),
                "surname": "Example",
                "email": self.address(slot, shouting),
                "website": "",
                "password": PASSWORDS[password],
            })),
            Operation::SignIn {
                slot,
                password,
                shouting,
                scopes,
            } => client.post("/token").form(&[
                ("username", self.address(slot, shouting).as_str()),
                ("password", PASSWORDS[password]),
                ("scope", &scopes.text()),
            ]),
            Operation::ReadMe(by) => self.present(by, client.get("/users/me")),
            Operation::Verify(by, scopes) => {
                let requested = scopes.text().replace(' ', "+");
                let path = match requested.as_str() {
                    "" => "/verify".to_owned(),
                    requested => format!("/verify?scope={requested}"),
                };
                self.present(by, client.get(&path))
            }
            Operation::Introspect { by, of } => {
                let secret = self.secret(of);
                self.present(
                    by,
                    client
                        .post("/introspect")
                        .form(&[("token", secret.as_str())]),
                )
            }
            Operation::Revoke { by, of } => {
                let secret = self.secret(of);
                self.present(
                    by,
                    client.post("/revoke").form(&[("token", secret.as_str())]),
                )
            }
            Operation::Logout(by) => self.present(by, client.post("/logout")),
            Operation::CreateKey {
                by,
                scopes,
                days,
                current,
            } => {
                let mut form = json!({ "name": "a key", "scopes": scopes.text() });
                if let Some(current) = current {
                    form["current_password"] = PASSWORDS[current].into();
                }
                if let Some(days) = days {
                    form["expires_in_days"] = days.into();
                }
                self.present(by, client.post("/users/me/keys").json(&form))
            }
            Operation::ListKeys(by) => self.present(by, client.get("/users/me/keys")),
            Operation::RevokeKey { by, key } => {
                let id = self.key_id(key).unwrap_or_default();
                self.present(by, client.request("DELETE", format!("/users/me/keys/{id}")))
            }
            Operation::ReadEvents(by) => self.present(by, client.get("/users/me/events")),
            Operation::ChangeProfile(by) => {
                let change = json!({ "surname": "Example" });
                self.present(by, client.request("PATCH", "/users/me").json(&change))
            }
            Operation::ChangePassword {
                by,
                current,
                new,
                keep,
            } => {
                let kept = match keep {
                    Keep::None => json!([]),
                    Keep::All => json!(true),
                    Keep::One(back) => json!(self.key_id(back).into_iter().collect::<Vec<_>>()),
                };
                let form = json!({
                    "current_password": PASSWORDS[current],
                    "new_password": PASSWORDS[new],
                    "keep_keys": kept,
                });
                self.present(by, client.post("/users/me/password").json(&form))
            }
            Operation::DeleteAccount { by, current } => {
                let form = json!({ "current_password": PASSWORDS[current] });
                self.present(by, client.request("DELETE", "/users/me").json(&form))
            }
            Operation::Administer { by, slot, action } => {
                let request = self.administration(slot, action);
                self.present(by, request)
            }
            Operation::Wait(_) => unreachable!("it sends no request"),
        }
    }

    fn administration(&self, slot: usize, action: Administration) -> Request {
        // For a deleted account, the id of its last user.
        let mut users = self.model.users.iter().rev();
        let id = users
            .find(|user| user.slot == slot)
            .map_or(0, |user| user.id);
        let path = format!("/admin/users/{id}");
        let patch = |change: Value| self.client.request("PATCH", &path).json(&change);
        match action {
            Administration::Disable => patch(json!({ "disabled": true })),
            Administration::Enable => patch(json!({ "disabled": false })),
            Administration::Rename => patch(json!({ "surname": "Example" })),
            Administration::SetScopes(scopes) => {
                patch(json!({ "scopes": scopes.text() })).header("If-Match", "*")
            }
            Administration::ChangeScopes { add, remove } => patch(json!({
                "scopes_add": add.text(), "scopes_remove": remove.text(),
            })),
            Administration::SignOut => self.client.request("DELETE", format!("{path}/tokens")),
            Administration::Delete => self.client.request("DELETE", &path),
        }
    }

    fn address(&self, slot: usize, shouting: bool) -> String {
        let address = format!("person{slot}@sequence{}.example.com", self.sequence);
        if shouting {
            address.to_uppercase()
        } else {
            address
        }
    }

    fn key_id(&self, back: usize) -> Option<i64> {
        let index = self.model.index(back)?;
        self.model.credentials[index].key
    }

    fn present(&mut self, presented: Presented, request: Request) -> Request {
        match presented {
            Presented::Nothing => request,
            presented => {
                let secret = self.secret(presented);
                request.bearer(&secret)
            }
        }
    }

    fn secret(&mut self, presented: Presented) -> String {
        match presented {
            Presented::Nothing => String::new(),
            Presented::Root => self.root.token(self.clock).to_owned(),
            Presented::StaticKey => STATIC_KEY.to_owned(),
            Presented::Issued(back) => self.issued(back),
            Presented::Corrupted(back, how) => corrupt(self.issued(back), how),
        }
    }

    /// A token that was never issued, when nothing was issued yet.
    fn issued(&self, back: usize) -> String {
        match self.model.index(back) {
            Some(index) => self.secrets[index].clone(),
            None => "x".repeat(43),
        }
    }
}

/// Seconds since 1970.
fn seconds(clock: &Clock) -> i64 {
    clock.now().and_utc().timestamp()
}

fn corrupt(mut secret: String, how: Corruption) -> String {
    match how {
        Corruption::FirstRemoved => drop(secret.remove(0)),
        Corruption::LastRemoved => drop(secret.pop()),
        Corruption::Extended => secret.push('A'),
        Corruption::Padded => secret.push('='),
        Corruption::OtherCase => {
            let other = |c: char| match c.is_ascii_lowercase() {
                true => c.to_ascii_uppercase(),
                false => c.to_ascii_lowercase(),
            };
            secret = secret.chars().map(other).collect();
        }
        Corruption::LastChanged => {
            let last = secret.pop();
            secret.push(if last == Some('x') { 'y' } else { 'x' });
        }
    }
    secret
}

/// Scopes in the order of the model, which treats them as sets.
fn ordered(scopes: &Value) -> Value {
    Scopes::parse(scopes.as_str().unwrap_or_default())
        .text()
        .into()
}

/// The parts of a successful response that the model predicts.
fn prediction(operation: Operation, response: &Response) -> Option<Value> {
    if response.status != 200 {
        return None;
    }
    Some(match operation {
        Operation::ReadMe(_) => {
            let body = response.json();
            json!({ "id": body["id"], "name": body["name"], "email": body["email"] })
        }
        Operation::Verify(..) => json!({
            "id": response.header("x-auth-user-id"),
            "scopes": response.header("x-auth-scopes").map(|scopes| Scopes::parse(&scopes).text()),
            "method": response.header("x-auth-method"),
        }),
        Operation::Introspect { .. } => {
            let mut body = response.json();
            if body["active"] == true {
                body["scope"] = ordered(&body["scope"]);
            }
            // The model does not know how many sessions there were.
            let has_session = body["amr"] != Value::Null;
            assert_eq!(body["sid"].is_string(), has_session, "{body}");
            body.as_object_mut()?.remove("sid");
            body
        }
        Operation::ListKeys(_) => {
            let body = response.json();
            let keys = body["keys"].as_array()?.iter();
            keys.map(|key| json!([key["id"], ordered(&key["scopes"])]))
                .collect()
        }
        Operation::Administer { .. } => {
            let body = response.json();
            let is_disabled = !body["disabled_at"].is_null();
            let scopes = ordered(&body["scopes"]);
            json!({ "id": body["id"], "scopes": scopes, "disabled": is_disabled })
        }
        _ => return None,
    })
}
