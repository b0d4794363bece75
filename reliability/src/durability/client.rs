//! A client that changes its own users, one change after the other, and remembers the responses.

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use test_support::Response;

use crate::fixture::{PooledConnection, RESPONSE_TIMEOUT, Service};
use crate::user::{Change, Made, User};

/// Changes of one user before the client moves on to another.
const CHANGES_PER_USER: usize = 14;

/// The number of keys of a user at one time.
const MAX_KEYS: usize = 4;

/// The number of unexpected responses that are reported.
const MAX_REPORTED: usize = 5;

/// Scopes that the administrator may grant. They start with this.
pub(crate) const SCOPE_PREFIX: &str = "turn:";

/// The response to a request for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged. `mark` is the length of the disk journal at that time, if there is one.
    Acknowledged { made: Made, mark: u64 },
    /// It was refused because an earlier attempt without a response had been made.
    RefusedAsRepeated,
    /// No response, or 503: it may have been made, or may be made later.
    Unknown,
}

/// One request for a change. Its id is in the audit trail if the change was made.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) request_id: String,
    pub(crate) change: Change,
    pub(crate) outcome: Outcome,
}

impl Entry {
    /// The length of the disk journal at the acknowledgement, if there was one.
    pub(crate) fn mark(&self) -> Option<u64> {
        match self.outcome {
            Outcome::Acknowledged { mark, .. } => Some(mark),
            Outcome::RefusedAsRepeated | Outcome::Unknown => None,
        }
    }

    /// Whether it was acknowledged when the disk journal had this length.
    pub(crate) fn is_acknowledged_at(&self, limit: u64) -> bool {
        self.mark().is_some_and(|mark| mark <= limit)
    }

    /// Whether another attempt at this change repeats it: its outcome is unknown.
    pub(crate) fn is_repeated_by(&self, change: &Change) -> bool {
        self.outcome == Outcome::Unknown && self.change == *change
    }
}

/// A user that only one client uses, with one change after the other.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// The user before the registration.
    pub(crate) user: User,
    pub(crate) entries: Vec<Entry>,
}

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
    connection: PooledConnection,
    /// All users of the client. The last one is in use.
    pub(crate) accounts: Vec<Account>,
    /// The user in use, as far as the client knows.
    pub(crate) user: User,
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
            connection: PooledConnection::new(RESPONSE_TIMEOUT),
            accounts: Vec::new(),
            user: User::default(),
            requests: 0,
            unexpected: Vec::new(),
            unknown: 0,
        };
        client.next_user();
        client
    }

    /// Makes any possible change.
    pub(crate) fn step(&mut self, service: &Service) -> Attempt {
        if self.entries().len() >= CHANGES_PER_USER || self.user.is_deleted {
            self.next_user();
        }
        let change = self.choose();
        let attempt = self.attempt(change, service);
        if attempt == Attempt::Unknown {
            self.next_user();
        }
        attempt
    }

    /// Moves on to a new user. After an unknown outcome nothing more is asked for the old one.
    pub(crate) fn next_user(&mut self) {
        let email = format!("{}-{}@example.com", self.name, self.accounts.len());
        self.user = User::new(email, self.new_password());
        self.accounts.push(Account {
            user: self.user.clone(),
            entries: Vec::new(),
        });
    }

    fn entries(&mut self) -> &mut Vec<Entry> {
        let last = self.accounts.len() - 1;
        &mut self.accounts[last].entries
    }

    /// Asks for a change, and records the outcome.
    pub(crate) fn attempt(&mut self, change: Change, service: &Service) -> Attempt {
        let request_id = format!("{}.{}", self.name, self.requests + 1);
        let request = self.user.request(&change, &service.admin);
        let request = request.header("X-Request-Id", &request_id);
        let Ok(connection) = self.connection.connect(service.address) else {
            return Attempt::Unreachable;
        };
        let response = connection.send(&request);
        self.requests += 1;
        let outcome = self.outcome(&change, response.ok(), service);
        if let Outcome::Acknowledged { made, .. } = &outcome {
            self.user.apply(&change, made);
        }
        let is_unknown = outcome == Outcome::Unknown;
        self.unknown += usize::from(is_unknown);
        self.entries().push(Entry {
            request_id,
            change,
            outcome,
        });
        match is_unknown {
            true => Attempt::Unknown,
            false => Attempt::Acknowledged,
        }
    }

    fn outcome(
        &mut self,
        change: &Change,
        response: Option<Response>,
        service: &Service,
    ) -> Outcome {
        let Some(response) = response.filter(|response| response.status != 503) else {
            return Outcome::Unknown;
        };
        if let Some(made) = Made::from_response(change, &response) {
            // After the response was read: all that it depends on is in the journal by now.
            let mark = service.acknowledge();
            return Outcome::Acknowledged { made, mark };
        }
        let last = self.entries().last();
        if last.is_some_and(|last| last.is_repeated_by(change))
            && change.status_if_repeated() == Some(response.status)
        {
            return Outcome::RefusedAsRepeated;
        }
        if self.unexpected.len() < MAX_REPORTED {
            let body = String::from_utf8_lossy(&response.body);
            let problem = format!("{} -> {} {body}", change.action(), response.status);
            self.unexpected.push(problem);
        }
        Outcome::Unknown
    }

    fn choose(&mut self) -> Change {
        let user = &self.user;
        if user.id.is_none() {
            return Change::Register;
        }
        if user.is_disabled {
            return Change::Enable;
        }
        if user.token.is_none() {
            return Change::Login;
        }
        let keys: Vec<i64> = user.live_keys().map(|(id, _)| id).collect();
        let any_key = keys.choose(&mut self.rng).copied();
        match (self.rng.random_range(0..100), any_key) {
            (0..15, _) => Change::Login,
            (15..28, _) => Change::Logout,
            (28..50, Some(id)) => Change::RevokeKey(id),
            (50..63, _) => Change::Password(self.new_password(), any_key.into_iter().collect()),
            (63..72, _) => Change::Disable,
            (72..81, _) => Change::AddScope(format!("{SCOPE_PREFIX}{}", self.requests)),
            (81..84, _) => Change::Delete,
            _ if keys.len() < MAX_KEYS => Change::CreateKey(""),
            _ => Change::Login,
        }
    }

    /// A password that every policy accepts.
    pub(crate) fn new_password(&mut self) -> String {
        format!("mulberry-Tram-{:08x}", self.rng.random::<u32>())
    }
}
