//! Carries operations out over HTTP, and compares what is answered with the [`Page`].

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};
use tokenhouse::Clock;

use super::operation::{Administration, Keep, Operation, PASSWORDS, Scopes, Shown, Spoilt};
use super::page::{Credential, LIFETIME, Page, User};
use super::rules::{Expected, Made};
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

/// One sequence, with accounts that no other sequence has.
pub struct Driver<'a> {
    client: Client,
    connection: Connection,
    clock: &'a Clock,
    root: &'a mut Root,
    sequence: u32,
    page: Page,
    /// Those on the page, in the clear.
    secrets: Vec<String>,
    /// The statuses that were answered.
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
            page: Page::new(seconds(clock)),
            secrets: Vec::new(),
            statuses: BTreeSet::new(),
        }
    }

    /// Carries the operation out; an error when the answer is not what the page says.
    pub fn step(&mut self, operation: Operation) -> Result<(), TestCaseError> {
        if let Operation::Wait(seconds) = operation {
            self.clock.advance(TimeDelta::seconds(seconds));
            self.page.expect(operation);
            return Ok(());
        }
        let request = self.request(operation);
        let answer = self
            .connection
            .send(&request)
            .map_err(|error| TestCaseError::fail(format!("{operation:?}: no answer: {error}")))?;
        // A body that was refused unread leaves the connection of no more use.
        if answer.header("connection").as_deref() == Some("close") {
            self.connection = self.client.connect().expect("the server listens");
        }
        let expected = self.page.expect(operation);
        let told = told(operation, &answer);
        if answer.status != expected.status || (expected.told.is_some() && told != expected.told) {
            return Err(TestCaseError::fail(format!(
                "{operation:?}: the model says {} {:?}, the service {answer:?}",
                expected.status, expected.told
            )));
        }
        self.statuses.insert(answer.status);
        self.note(operation, &expected, &answer)
    }

    /// Asks what has become of every credential; there may be one that nobody has asked about.
    /// Returns how many there were.
    pub fn take_stock(&mut self) -> Result<usize, TestCaseError> {
        for back in 0..self.secrets.len() {
            let (by, of) = (Shown::StaticKey, Shown::Issued(back));
            self.step(Operation::Introspect { by, of })?;
        }
        Ok(self.secrets.len())
    }

    /// Puts on the page what the answer tells of something new.
    fn note(
        &mut self,
        operation: Operation,
        expected: &Expected,
        answer: &Response,
    ) -> Result<(), TestCaseError> {
        let Some(made) = expected.made else {
            return Ok(());
        };
        let body = answer.json();
        match made {
            Made::User { slot, password } => self.note_user(operation, slot, password, &body)?,
            Made::Token { owner, scopes } => {
                self.page.issue_token(owner, scopes);
                self.secrets.push(text(&body["access_token"]));
            }
            Made::Key {
                owner,
                scopes,
                days,
            } => {
                let id = body["id"].as_i64().expect("an id is a number");
                self.page.issue_key(owner, id, scopes, days);
                self.secrets.push(text(&body["key"]));
            }
        }
        if let Some(Credential { key, scopes, .. }) = self.page.credentials.last()
            && !matches!(made, Made::User { .. })
        {
            let name = if key.is_some() { "scopes" } else { "scope" };
            if ordered(&body[name]) != scopes.text() {
                let told = format!("{operation:?}: {} was wanted: {body}", scopes.text());
                return Err(TestCaseError::fail(told));
            }
        }
        Ok(())
    }

    fn note_user(
        &mut self,
        operation: Operation,
        slot: usize,
        password: usize,
        body: &Value,
    ) -> Result<(), TestCaseError> {
        let id = body["id"].as_i64().expect("an id is a number");
        if self.page.users.iter().any(|user| user.id == id) {
            let told = format!("{operation:?}: the id {id} was somebody else's");
            return Err(TestCaseError::fail(told));
        }
        self.page.users.push(User {
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
            Operation::ReadMe(by) => self.show(by, client.get("/users/me")),
            Operation::Verify(by, scopes) => {
                let wanted = scopes.text().replace(' ', "+");
                let path = match wanted.as_str() {
                    "" => "/verify".to_owned(),
                    wanted => format!("/verify?scope={wanted}"),
                };
                self.show(by, client.get(&path))
            }
            Operation::Introspect { by, of } => {
                let secret = self.secret(of);
                self.show(
                    by,
                    client
                        .post("/introspect")
                        .form(&[("token", secret.as_str())]),
                )
            }
            Operation::Revoke { by, of } => {
                let secret = self.secret(of);
                self.show(
                    by,
                    client.post("/revoke").form(&[("token", secret.as_str())]),
                )
            }
            Operation::Logout(by) => self.show(by, client.post("/logout")),
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
                self.show(by, client.post("/users/me/keys").json(&form))
            }
            Operation::ListKeys(by) => self.show(by, client.get("/users/me/keys")),
            Operation::RevokeKey { by, key } => {
                let id = self.key_id(key).unwrap_or_default();
                self.show(by, client.request("DELETE", format!("/users/me/keys/{id}")))
            }
            Operation::ReadEvents(by) => self.show(by, client.get("/users/me/events")),
            Operation::ChangeProfile(by) => {
                let change = json!({ "surname": "Example" });
                self.show(by, client.request("PATCH", "/users/me").json(&change))
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
                self.show(by, client.post("/users/me/password").json(&form))
            }
            Operation::DeleteAccount { by, current } => {
                let form = json!({ "current_password": PASSWORDS[current] });
                self.show(by, client.request("DELETE", "/users/me").json(&form))
            }
            Operation::Administer { by, slot, what } => {
                let request = self.administration(slot, what);
                self.show(by, request)
            }
            Operation::Wait(_) => unreachable!("it asks for nothing"),
        }
    }

    fn administration(&self, slot: usize, what: Administration) -> Request {
        // Of an account that is no more: of the last one that was.
        let mut users = self.page.users.iter().rev();
        let id = users
            .find(|user| user.slot == slot)
            .map_or(0, |user| user.id);
        let path = format!("/admin/users/{id}");
        let patch = |change: Value| self.client.request("PATCH", &path).json(&change);
        match what {
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
        let place = self.page.place(back)?;
        self.page.credentials[place].key
    }

    fn show(&mut self, shown: Shown, request: Request) -> Request {
        match shown {
            Shown::Nothing => request,
            shown => {
                let secret = self.secret(shown);
                request.bearer(&secret)
            }
        }
    }

    fn secret(&mut self, shown: Shown) -> String {
        match shown {
            Shown::Nothing => String::new(),
            Shown::Root => self.root.token(self.clock).to_owned(),
            Shown::StaticKey => STATIC_KEY.to_owned(),
            Shown::Issued(back) => self.issued(back),
            Shown::Altered(back, how) => spoil(self.issued(back), how),
        }
    }

    /// Something that was never issued, when nothing was yet.
    fn issued(&self, back: usize) -> String {
        match self.page.place(back) {
            Some(place) => self.secrets[place].clone(),
            None => "x".repeat(43),
        }
    }
}

/// Seconds since 1970.
fn seconds(clock: &Clock) -> i64 {
    clock.now().and_utc().timestamp()
}

fn spoil(mut secret: String, how: Spoilt) -> String {
    match how {
        Spoilt::FirstLeftOut => drop(secret.remove(0)),
        Spoilt::LastLeftOut => drop(secret.pop()),
        Spoilt::Longer => secret.push('A'),
        Spoilt::Padded => secret.push('='),
        Spoilt::OtherCase => {
            let other = |c: char| match c.is_ascii_lowercase() {
                true => c.to_ascii_uppercase(),
                false => c.to_ascii_lowercase(),
            };
            secret = secret.chars().map(other).collect();
        }
        Spoilt::LastChanged => {
            let last = secret.pop();
            secret.push(if last == Some('x') { 'y' } else { 'x' });
        }
    }
    secret
}

/// Scopes in the order of the model, which knows sets only.
fn ordered(scopes: &Value) -> Value {
    Scopes::of(scopes.as_str().unwrap_or_default())
        .text()
        .into()
}

/// As much of a good answer as the model foretells.
fn told(operation: Operation, answer: &Response) -> Option<Value> {
    if answer.status != 200 {
        return None;
    }
    Some(match operation {
        Operation::ReadMe(_) => {
            let body = answer.json();
            json!({ "id": body["id"], "name": body["name"], "email": body["email"] })
        }
        Operation::Verify(..) => json!({
            "id": answer.header("x-auth-user-id"),
            "scopes": answer.header("x-auth-scopes").map(|scopes| Scopes::of(&scopes).text()),
            "method": answer.header("x-auth-method"),
        }),
        Operation::Introspect { .. } => {
            let mut body = answer.json();
            if body["active"] == true {
                body["scope"] = ordered(&body["scope"]);
            }
            body
        }
        Operation::ListKeys(_) => {
            let body = answer.json();
            let keys = body["keys"].as_array()?.iter();
            keys.map(|key| json!([key["id"], ordered(&key["scopes"])]))
                .collect()
        }
        Operation::Administer { .. } => {
            let body = answer.json();
            let is_disabled = !body["disabled_at"].is_null();
            let scopes = ordered(&body["scopes"]);
            json!({ "id": body["id"], "scopes": scopes, "disabled": is_disabled })
        }
        _ => return None,
    })
}
