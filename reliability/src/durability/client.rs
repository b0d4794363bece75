//! A client that changes users of its own, one change after the other, and remembers what it was
//! told.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use super::ledger::{Account, Change, Entry, Gained, State, Token, Told};
use crate::client::{Connection, Request};

/// How long an answer is waited for: longer than Tokenhouse may take, to see when it does.
const PATIENCE: Duration = Duration::from_secs(10);

/// Changes of one user before the client turns to another.
const CHANGES_OF_ONE: usize = 14;

/// Keys that a user has at a time.
const KEYS: usize = 4;

/// How many strange answers are told.
const REPORTED: usize = 5;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Where the service is, and who may disable users there.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    /// The token of an administrator.
    pub(crate) admin: String,
}

/// What came of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Acknowledged.
    Done,
    /// 503, or no answer.
    Unknown,
    /// The service takes no connection, so nothing was sent.
    Unreachable,
}

/// See the module.
pub(crate) struct Client {
    name: String,
    rng: StdRng,
    connection: Option<(SocketAddr, Connection)>,
    /// All users of the client; the last one is in use.
    pub(crate) accounts: Vec<Account>,
    state: State,
    requests: u64,
    /// Answers that no fault explains.
    pub(crate) strange: Vec<String>,
    /// The longest that an answer took.
    pub(crate) slowest: Duration,
    /// How many answers were 503 or missing.
    pub(crate) unknown: usize,
}

impl Client {
    /// A client whose users have addresses that begin with `name`.
    pub(crate) fn new(name: String, rng: StdRng) -> Self {
        let mut client = Self {
            name,
            rng,
            connection: None,
            accounts: Vec::new(),
            state: State::default(),
            requests: 0,
            strange: Vec::new(),
            slowest: Duration::ZERO,
            unknown: 0,
        };
        client.turn_to_another_user();
        client
    }

    /// Makes one change, whichever is possible. `mark` tells how far the journal of the disk is.
    pub(crate) fn step(&mut self, service: &Service, mark: &dyn Fn() -> u64) -> Step {
        let is_over = self
            .accounts
            .last()
            .is_none_or(|account| account.entries.len() >= CHANGES_OF_ONE);
        if is_over {
            self.turn_to_another_user();
        }
        let change = self.choose();
        let step = self.make(change, service, mark);
        if step == Step::Unknown {
            self.turn_to_another_user();
        }
        step
    }

    /// Leaves the user as they are. What became of an unanswered change is not known, so nothing
    /// more is asked for that user.
    pub(crate) fn turn_to_another_user(&mut self) {
        let account = Account {
            email: format!("{}-{}@example.com", self.name, self.accounts.len()),
            password: self.new_password(),
            entries: Vec::new(),
        };
        self.state = State::before(&account);
        self.accounts.push(account);
    }

    /// What the client believes of its present user.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Asks for a change, and writes down what came of it.
    pub(crate) fn make(
        &mut self,
        change: Change,
        service: &Service,
        mark: &dyn Fn() -> u64,
    ) -> Step {
        self.requests += 1;
        let request_id = format!("{}.{}", self.name, self.requests);
        let request = self.request(&change, &request_id, service);
        let Some(answer) = self.send(service.address, &request) else {
            self.requests -= 1;
            return Step::Unreachable;
        };
        let told = self.told(&change, answer, mark);
        let step = match &told {
            Told::Done { gained, .. } => {
                self.state.apply(&change, gained, None);
                Step::Done
            }
            Told::DoneBefore => Step::Done,
            Told::Nothing => Step::Unknown,
        };
        self.unknown += usize::from(step == Step::Unknown);
        if let Some(account) = self.accounts.last_mut() {
            account.entries.push(Entry {
                request_id,
                change,
                told,
            });
        }
        step
    }

    /// Sends a request on the kept connection or a new one. `None` when there is no connection;
    /// the inner `None` when there is no answer.
    fn send(&mut self, address: SocketAddr, request: &Request) -> Option<Option<(u16, Vec<u8>)>> {
        let kept = self.connection.take().filter(|(to, _)| *to == address);
        let mut connection = match kept {
            Some((_, connection)) => connection,
            None => Connection::open(address, PATIENCE).ok()?,
        };
        let begun = Instant::now();
        let answer = connection.send(request);
        self.slowest = self.slowest.max(begun.elapsed());
        if connection.is_open() {
            self.connection = Some((address, connection));
        }
        Some(answer.ok().map(|answer| (answer.status, answer.body)))
    }

    fn told(
        &mut self,
        change: &Change,
        answer: Option<(u16, Vec<u8>)>,
        mark: &dyn Fn() -> u64,
    ) -> Told {
        let Some((status, body)) = answer else {
            return Told::Nothing;
        };
        if status == 503 {
            return Told::Nothing;
        }
        if let Some(gained) = gained(change, status, &body) {
            // After the answer was read: whatever it rests on is in the journal by now.
            return Told::Done {
                gained,
                mark: mark(),
            };
        }
        if self.repeats(change) && is_refused_repetition(change, status) {
            return Told::DoneBefore;
        }
        if self.strange.len() < REPORTED {
            let body = String::from_utf8_lossy(&body).into_owned();
            let action = change.action();
            self.strange.push(format!("{action} -> {status} {body}"));
        }
        Told::Nothing
    }

    /// Whether the attempt before was for the same and nobody knows what came of it.
    fn repeats(&self, change: &Change) -> bool {
        let account = self.accounts.last();
        let last = account.and_then(|account| account.entries.last());
        last.is_some_and(|last| last.told == Told::Nothing && last.change == *change)
    }

    fn request(&mut self, change: &Change, request_id: &str, service: &Service) -> Request {
        let bearer = match &self.state.token {
            Token::Known(token) => format!("Bearer {token}"),
            Token::None | Token::Unknown => String::new(),
        };
        let admin = format!("Bearer {}", service.admin);
        let user = self.state.id.unwrap_or_default();
        let email = self.accounts.last().map(|account| account.email.as_str());
        let email = email.unwrap_or_default();
        let password = &self.state.password;
        let send = |method: &str, path: &str, by: &str, body: Option<(&str, &str)>| {
            let headers = [("X-Request-Id", request_id), ("Authorization", by)];
            Request::with_headers(method, path, &headers, body)
        };
        let json = |method: &str, path: &str, by: &str, body: &Value| {
            send(method, path, by, Some((JSON, &body.to_string())))
        };
        match change {
            Change::Register => json("POST", "/register", "", &registration(email, password)),
            Change::Login => {
                let form = format!("username={email}&password={password}");
                send("POST", "/token", "", Some((FORM, &form)))
            }
            Change::Logout => send("POST", "/logout", &bearer, None),
            Change::CreateKey => json("POST", "/users/me/keys", &bearer, &json!({"name": "ci"})),
            Change::RevokeKey(id) => send("DELETE", &format!("/users/me/keys/{id}"), &bearer, None),
            Change::Password(new, kept) => json(
                "POST",
                "/users/me/password",
                &bearer,
                &json!({"current_password": password, "new_password": new, "keep_keys": kept}),
            ),
            Change::Disable | Change::Enable => json(
                "PATCH",
                &format!("/admin/users/{user}"),
                &admin,
                &json!({"disabled": *change == Change::Disable}),
            ),
        }
    }

    fn choose(&mut self) -> Change {
        let state = &self.state;
        if state.id.is_none() {
            return Change::Register;
        }
        if state.disabled {
            return Change::Enable;
        }
        if state.token == Token::None {
            return Change::Login;
        }
        let live = state.keys.iter().filter(|(_, key)| key.live);
        let keys: Vec<i64> = live.map(|(id, _)| *id).collect();
        let some_key = keys.choose(&mut self.rng).copied();
        match (self.rng.random_range(0..100), some_key) {
            (0..15, _) => Change::Login,
            (15..30, _) => Change::Logout,
            (30..55, Some(id)) => Change::RevokeKey(id),
            (55..70, _) => {
                let password = self.new_password();
                Change::Password(password, some_key.into_iter().collect())
            }
            (70..80, _) => Change::Disable,
            _ if keys.len() < KEYS => Change::CreateKey,
            _ => Change::Login,
        }
    }

    /// A password that nobody refuses and that needs no escapes in a form.
    pub(crate) fn new_password(&mut self) -> String {
        format!("mulberry-Tram-{:08x}", self.rng.random::<u32>())
    }
}

/// The body of a registration.
pub(crate) fn registration(email: &str, password: &str) -> Value {
    json!({
        "name": "Ada Lovelace",
        "surname": "Lovelace",
        "email": email,
        "website": "https://example.com/ada",
        "password": password,
    })
}

/// What a good answer gives; `None` when it is not one.
fn gained(change: &Change, status: u16, body: &[u8]) -> Option<Gained> {
    let body = || serde_json::from_slice::<Value>(body).ok();
    match (change, status) {
        (Change::Register, 201) => body()?["id"].as_i64().map(Gained::User),
        (Change::Login, 200) => {
            let token = body()?["access_token"].as_str()?.to_owned();
            Some(Gained::Token(token))
        }
        (Change::CreateKey, 201) => {
            let body = body()?;
            Some(Gained::Key(
                body["id"].as_i64()?,
                body["key"].as_str()?.to_owned(),
            ))
        }
        (Change::Logout | Change::RevokeKey(_) | Change::Password(..), 204) => {
            Some(Gained::Nothing)
        }
        (Change::Disable | Change::Enable, 200) => Some(Gained::Nothing),
        _ => None,
    }
}

/// How a change is refused that was made already.
fn is_refused_repetition(change: &Change, status: u16) -> bool {
    matches!(
        (change, status),
        (Change::Register, 409)
            | (Change::Logout, 401)
            | (Change::RevokeKey(_), 404)
            | (Change::Password(..), 403)
    )
}
