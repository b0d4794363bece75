//! The fixture of a race: two processes on one database, an administrator, and users with a login token
//! and an API key.

use std::cmp::Reverse;
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use test_support::{Client, Connection, Program, Request, Response, ScratchDir, Server};

use super::Kind;
use crate::fixture::{ApiClient, COMMAND_TIMEOUT, MAX_IDLE, RESPONSE_TIMEOUT, Service};
use crate::fixture::{expect_status, member, program, run_command, start_server};
use crate::user::{Change, Made, User};

/// The number of processes.
pub(super) const PROCESSES: usize = 2;

/// The scope that is used, and taken away.
pub(super) const SCOPE: &str = "orders:read";

const PASSWORD: &str = "mulberry-Tram-71";
const NEW_PASSWORD: &str = "mulberry-Tram-72";

pub(super) struct RaceFixture {
    pub(super) program: Program,
    servers: Vec<Server>,
    pub(super) api: ApiClient,
    pub(super) admin: String,
    /// Connections of clients that use credentials, kept from one round to the next, and the time of
    /// the last use.
    connections: (Vec<Connection>, Instant),
    /// The number of users so far.
    users: usize,
    // Dropped after the processes, which write into it.
    _scratch: ScratchDir,
}

impl RaceFixture {
    pub(super) fn start(binary: &Path, database_url: &str) -> Result<Self, String> {
        let scratch = ScratchDir::new("races");
        let program = program(binary, database_url, &scratch, &[])?;
        let servers = (0..PROCESSES).map(|_| start_server(&program));
        let servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
        Ok(Self {
            admin: Service::new(&program, servers[0].address)?.admin,
            api: ApiClient::new(&servers),
            program,
            servers,
            connections: (Vec::new(), Instant::now()),
            users: 0,
            _scratch: scratch,
        })
    }

    /// A separate client of both processes.
    pub(super) fn new_api(&self) -> ApiClient {
        ApiClient::new(&self.servers)
    }

    /// Keeps connections for the next round.
    pub(super) fn keep_connections(&mut self, connections: Vec<Connection>) {
        self.connections = (connections, Instant::now());
    }

    /// This number of connections, to the processes in turns.
    pub(super) fn take_connections(&mut self, count: usize) -> Result<Vec<Connection>, String> {
        let (mut connections, used_at) =
            (std::mem::take(&mut self.connections.0), self.connections.1);
        // A service closes idle connections, perhaps just as a request is on its way.
        if used_at.elapsed() > MAX_IDLE || !connections.iter().all(Connection::is_open) {
            connections.clear();
        }
        for number in connections.len()..count {
            let client = Client::new(self.servers[number / 2 % PROCESSES].address);
            let client = client.timeout(RESPONSE_TIMEOUT);
            connections.push(client.connect().map_err(|error| error.to_string())?);
        }
        Ok(connections)
    }

    /// A new user with the scope, a login token and a key.
    pub(super) fn new_user(&mut self) -> Result<User, String> {
        let mut user = loop {
            self.users += 1;
            let email = format!("user-{}@example.com", self.users);
            let mut user = User::new(email, PASSWORD.to_owned());
            if self.register(&mut user)? {
                break user;
            }
        };
        let scope = Change::AddScope(SCOPE.to_owned());
        for change in [scope, Change::Login, Change::CreateKey(SCOPE)] {
            self.make(&mut user, &change)?;
        }
        Ok(user)
    }

    /// Registers a user. Returns `false` if an earlier attempt, whose response was 503, did so.
    fn register(&mut self, user: &mut User) -> Result<bool, String> {
        let request = user.request(&Change::Register, &self.admin);
        let response = self.api.send_with_retry(0, &request, &[201, 409])?;
        if response.status == 409 {
            return Ok(false);
        }
        apply(user, &Change::Register, &response).map(|()| true)
    }

    /// Makes a change that has to succeed.
    pub(super) fn make(&mut self, user: &mut User, change: &Change) -> Result<(), String> {
        let request = user.request(change, &self.admin);
        let response = self.api.send_with_retry(0, &request, &[change.status()])?;
        apply(user, change, &response)
    }

    /// What ends the access of a user in a race of this kind.
    pub(super) fn end(&self, user: &User, kind: Kind, round: usize) -> End {
        let secret = |number: usize| user.live_secrets().nth(number).cloned().unwrap_or_default();
        let [token, key] = [0, 1].map(secret);
        let key_id = user.live_keys().next().map_or(0, |(id, _)| id);
        let path = format!("/admin/users/{}", user.id.unwrap_or_default());
        let by_admin = |method: &str, path: &str| Request::new(method, path).bearer(&self.admin);
        let change = |change: Change| user.request(&change, &self.admin);
        let revoke = |secret: &str| Request::post("/revoke").form(&[("token", secret)]);
        End::Request(match kind {
            Kind::Logout => change(Change::Logout),
            Kind::RevokeToken => revoke(&token),
            Kind::RevokeKey => revoke(&key),
            Kind::DeleteKey => change(Change::RevokeKey(key_id)),
            Kind::NewerLogin => change(Change::Login),
            Kind::PasswordChange => change(Change::Password(NEW_PASSWORD.to_owned(), Vec::new())),
            Kind::Delete if round.is_multiple_of(2) => change(Change::Delete),
            Kind::Delete => {
                let request = Request::new("DELETE", "/users/me").bearer(&token);
                request.json(&json!({"current_password": PASSWORD}))
            }
            Kind::ScopeTaken => by_admin("PATCH", &path).json(&json!({"scopes_remove": SCOPE})),
            Kind::SignOut => by_admin("DELETE", &format!("{path}/tokens")),
            Kind::CommandLine => return End::Command(user.email.clone()),
            _ => change(Change::Disable),
        })
    }

    /// The number of the user's keys.
    pub(super) fn count_keys(&mut self, user: &User) -> Result<usize, String> {
        let token = user.live_secrets().next().ok_or("no login token")?;
        let request = Request::get("/users/me/keys").bearer(token);
        let response = self.api.send_with_retry(0, &request, &[200])?;
        let keys = member(&response, "keys")?;
        Ok(keys.as_array().ok_or("no list of keys")?.len())
    }

    /// The latest events by a user and on that user, the last first. The latest of all may be others:
    /// each minute the service records sums of what it has refused, one event for each user.
    pub(super) fn last_events(&mut self, user: &User) -> Result<Vec<Value>, String> {
        let user = user.id.unwrap_or_default();
        let mut found = Vec::new();
        for role in ["actor", "target"] {
            let path = format!("/admin/events?limit=20&{role}=user:{user}");
            let request = Request::get(&path).bearer(&self.admin);
            let response = self.api.send_with_retry(0, &request, &[200])?;
            let events = member(&response, "events")?;
            found.extend(
                events
                    .as_array()
                    .ok_or("no list of events")?
                    .iter()
                    .cloned(),
            );
        }
        found.sort_by_key(|event| Reverse(event["id"].as_i64()));
        Ok(found)
    }
}

/// Applies what the response to a change says.
fn apply(user: &mut User, change: &Change, response: &Response) -> Result<(), String> {
    let made = Made::from_response(change, response);
    let made = made.ok_or_else(|| format!("the response is incomplete: {response:?}"))?;
    user.apply(change, &made);
    Ok(())
}

/// The credentials of a new user that the kind ends.
pub(super) fn ended_by(kind: Kind, user: &User) -> Vec<String> {
    let both = user.live_secrets().zip(kind.ends());
    let ended = both.filter(|(_, is_ended)| *is_ended);
    ended.map(|(secret, _)| secret.clone()).collect()
}

/// What ends a credential, ready to be sent.
pub(super) enum End {
    Request(Request),
    /// `tokenhouse user disable`
    Command(String),
}

/// The response to one side of a race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Acknowledged(Made),
    /// The user is no longer signed in, or may not sign in.
    Refused,
    Unknown,
}

impl Reply {
    /// # Errors
    /// When the response has a status that it must not have.
    pub(super) fn read(response: Response) -> Result<Self, String> {
        match response.status {
            401 => Ok(Self::Refused),
            503 => Ok(Self::Unknown),
            _ => expect_status(response, &[200, 201, 204])
                .map(|response| Self::Acknowledged(Made::read(&response))),
        }
    }
}

impl End {
    pub(super) fn send(
        &self,
        program: &Program,
        api: &mut ApiClient,
        process: usize,
    ) -> Result<Reply, String> {
        match self {
            Self::Request(request) => Reply::read(api.send(process, request)?),
            Self::Command(email) => {
                let words = ["user", "disable", email];
                match run_command(program, &words, COMMAND_TIMEOUT)? {
                    true => Ok(Reply::Acknowledged(Made::default())),
                    false => Ok(Reply::Unknown),
                }
            }
        }
    }
}
