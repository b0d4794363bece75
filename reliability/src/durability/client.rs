//! A client that changes its own users, one change after the other, and remembers the responses.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use test_support::{Client as HttpClient, Request, Response, TestUser};

use super::ledger::{Account, Change, Entry, Outcome, Returned, State, Token};
use crate::fixture::{PooledConnection, RESPONSE_TIMEOUT, Service};

/// Changes of one user before the client moves on to another.
const CHANGES_PER_USER: usize = 14;

/// The number of keys of a user at one time.
const MAX_KEYS: usize = 4;

/// The number of unexpected responses that are reported.
const MAX_REPORTED: usize = 5;

/// Scopes that the administrator may grant. They start with this.
pub(crate) const SCOPE_PREFIX: &str = "turn:";

/// The result of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    Acknowledged,
    /// 503, or no response.
    Unknown,
    /// The service accepts no connection, so nothing was sent.
    Unreachable,
}

pub(crate) struct Client {
    name: String,
    rng: StdRng,
    connection: Option<PooledConnection>,
    /// All users of the client. The last one is in use.
    pub(crate) accounts: Vec<Account>,
    state: State,
    requests: u64,
    /// Responses that no fault explains.
    pub(crate) unexpected: Vec<String>,
    /// The number of responses that were 503 or missing.
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
            unexpected: Vec::new(),
            unknown: 0,
        };
        client.next_user();
        client
    }

    /// Makes any possible change. `mark` returns the length of the disk journal.
    pub(crate) fn step(&mut self, service: &Service, mark: &dyn Fn() -> u64) -> Attempt {
        if self.account().entries.len() >= CHANGES_PER_USER || self.state.is_deleted {
            self.next_user();
        }
        let change = self.choose();
        let attempt = self.attempt(change, service, mark);
        if attempt == Attempt::Unknown {
            self.next_user();
        }
        attempt
    }

    /// Moves on to a new user. After an unknown outcome nothing more is asked for the old one.
    pub(crate) fn next_user(&mut self) {
        let account = Account {
            email: format!("{}-{}@example.com", self.name, self.accounts.len()),
            password: self.new_password(),
            entries: Vec::new(),
        };
        self.state = State::before(&account);
        self.accounts.push(account);
    }

    /// What the client knows about its present user.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    fn account(&mut self) -> &mut Account {
        let last = self.accounts.len() - 1;
        &mut self.accounts[last]
    }

    /// Asks for a change, and records the outcome.
    pub(crate) fn attempt(
        &mut self,
        change: Change,
        service: &Service,
        mark: &dyn Fn() -> u64,
    ) -> Attempt {
        let request_id = format!("{}.{}", self.name, self.requests + 1);
        let request = self.request(&change, service);
        let request = request.header("X-Request-Id", &request_id);
        let connection = self.connection.take();
        let is_same = |open: &PooledConnection| open.address() == service.address;
        let mut connection = connection.filter(is_same).unwrap_or_else(|| {
            let client = HttpClient::new(service.address);
            PooledConnection::new(client.timeout(RESPONSE_TIMEOUT))
        });
        if connection.connect().is_err() {
            return Attempt::Unreachable;
        }
        self.requests += 1;
        let response = connection.send(&request);
        self.connection = Some(connection);

        let outcome = self.outcome(&change, response.ok(), mark);
        let attempt = match &outcome {
            Outcome::Acknowledged { returned, .. } => {
                self.state.apply(&change, returned, None);
                Attempt::Acknowledged
            }
            Outcome::RefusedAsRepeated => Attempt::Acknowledged,
            Outcome::Unknown => Attempt::Unknown,
        };
        self.unknown += usize::from(attempt == Attempt::Unknown);
        self.account().entries.push(Entry {
            request_id,
            change,
            outcome,
        });
        attempt
    }

    fn outcome(
        &mut self,
        change: &Change,
        response: Option<Response>,
        mark: &dyn Fn() -> u64,
    ) -> Outcome {
        let Some(response) = response.filter(|response| response.status != 503) else {
            return Outcome::Unknown;
        };
        if let Some(returned) = returned(change, &response) {
            // After the response was read: all that it depends on is in the journal by now.
            let mark = mark();
            return Outcome::Acknowledged { returned, mark };
        }
        if self.repeats(change) && is_refused_as_repeated(change, response.status) {
            return Outcome::RefusedAsRepeated;
        }
        if self.unexpected.len() < MAX_REPORTED {
            let body = String::from_utf8_lossy(&response.body);
            let problem = format!("{} -> {} {body}", change.action(), response.status);
            self.unexpected.push(problem);
        }
        Outcome::Unknown
    }

    /// Whether the previous attempt was for the same change and has an unknown outcome.
    fn repeats(&mut self, change: &Change) -> bool {
        let last = self.account().entries.last();
        last.is_some_and(|last| last.outcome == Outcome::Unknown && last.change == *change)
    }

    fn request(&mut self, change: &Change, service: &Service) -> Request {
        let user = TestUser {
            name: "Ada Lovelace".to_owned(),
            email: self.account().email.clone(),
            password: self.state.password.clone(),
        };
        let own = |method: &str, path: &str| {
            let request = Request::new(method, path);
            match &self.state.token {
                Token::Known(token) => request.bearer(token),
                Token::None | Token::Unknown => request,
            }
        };
        let user_path = format!("/admin/users/{}", self.state.id.unwrap_or_default());
        let admin = |method: &str| Request::new(method, &user_path).bearer(&service.admin);
        let patch = |body: Value| admin("PATCH").json(&body);
        match change {
            Change::Register => user.register_request(),
            Change::Login => user.sign_in_request(),
            Change::Logout => own("POST", "/logout"),
            Change::CreateKey => own("POST", "/users/me/keys").json(&json!({"name": "ci"})),
            Change::RevokeKey(id) => own("DELETE", &format!("/users/me/keys/{id}")),
            Change::Password(new, kept) => own("POST", "/users/me/password").json(&json!({
                "current_password": user.password,
                "new_password": new,
                "keep_keys": kept,
            })),
            Change::Disable => patch(json!({"disabled": true})),
            Change::Enable => patch(json!({"disabled": false})),
            Change::AddScope(scope) => patch(json!({"scopes_add": scope})),
            Change::Delete => admin("DELETE"),
        }
    }

    fn choose(&mut self) -> Change {
        let state = &self.state;
        if state.id.is_none() {
            return Change::Register;
        }
        if state.is_disabled {
            return Change::Enable;
        }
        if state.token == Token::None {
            return Change::Login;
        }
        let keys = state.live_keys();
        let any_key = keys.choose(&mut self.rng).copied();
        match (self.rng.random_range(0..100), any_key) {
            (0..15, _) => Change::Login,
            (15..28, _) => Change::Logout,
            (28..50, Some(id)) => Change::RevokeKey(id),
            (50..63, _) => Change::Password(self.new_password(), any_key.into_iter().collect()),
            (63..72, _) => Change::Disable,
            (72..81, _) => Change::AddScope(format!("{SCOPE_PREFIX}{}", self.requests)),
            (81..84, _) => Change::Delete,
            _ if keys.len() < MAX_KEYS => Change::CreateKey,
            _ => Change::Login,
        }
    }

    /// A password that every policy accepts.
    pub(crate) fn new_password(&mut self) -> String {
        format!("mulberry-Tram-{:08x}", self.rng.random::<u32>())
    }
}

/// What a successful response returns; `None` for any other response.
fn returned(change: &Change, response: &Response) -> Option<Returned> {
    let id = || response.member("id")?.as_i64();
    match (change, response.status) {
        (Change::Register, 201) => id().map(Returned::User),
        (Change::Login, 200) => response.access_token().map(Returned::Token),
        (Change::CreateKey, 201) => {
            let key = response.member("key")?.as_str()?.to_owned();
            Some(Returned::Key(id()?, key))
        }
        (Change::Logout | Change::RevokeKey(_) | Change::Password(..) | Change::Delete, 204)
        | (Change::Disable | Change::Enable | Change::AddScope(_), 200) => Some(Returned::Nothing),
        _ => None,
    }
}

/// Whether this is the refusal of a change that has been made already.
fn is_refused_as_repeated(change: &Change, status: u16) -> bool {
    matches!(
        (change, status),
        (Change::Register, 409)
            | (Change::Logout, 401)
            | (Change::RevokeKey(_) | Change::Delete, 404)
            | (Change::Password(..), 403)
    )
}
