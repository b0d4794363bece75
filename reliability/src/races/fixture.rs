//! The fixture of a race: two processes on one database, an administrator, and a user with a login token
//! and an API key.

use std::path::Path;

use serde_json::{Value, json};
use test_support::{Client, Connection, Program, Request, ScratchDir, Server, TestUser};

use super::Kind;
use crate::fixture::{ApiClient, COMMAND_TIMEOUT, RESPONSE_TIMEOUT, Service};
use crate::fixture::{expect_status, member, program, run_command, start_server};

/// The number of processes.
pub(super) const PROCESSES: usize = 2;

pub(super) struct RaceFixture {
    pub(super) program: Program,
    servers: Vec<Server>,
    pub(super) api: ApiClient,
    admin: String,
    /// Connections of clients that use credentials, kept from one round to the next.
    pub(super) connections: Vec<Connection>,
    /// The number of users so far.
    pub(super) users: usize,
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
            connections: Vec::new(),
            users: 0,
            _scratch: scratch,
        })
    }

    /// A separate client of both processes.
    pub(super) fn new_api(&self) -> ApiClient {
        ApiClient::new(&self.servers)
    }

    /// This number of connections, to the processes in turns. They go back into `connections`.
    pub(super) fn take_connections(&mut self, count: usize) -> Result<Vec<Connection>, String> {
        let mut connections = std::mem::take(&mut self.connections);
        if !connections.iter().all(Connection::is_open) {
            connections.clear();
        }
        for number in connections.len()..count {
            let client = Client::new(self.servers[number / 2 % PROCESSES].address);
            let client = client.timeout(RESPONSE_TIMEOUT);
            connections.push(client.connect().map_err(|error| error.to_string())?);
        }
        Ok(connections)
    }

    /// A request of the administrator.
    pub(super) fn admin_request(&self, method: &str, path: &str, body: Option<&Value>) -> Request {
        request(method, path, &self.admin, body)
    }

    /// Sends a request of the administrator that has to succeed.
    pub(super) fn administer(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, String> {
        let request = self.admin_request(method, path, body);
        let response = self.api.send_with_retry(&request, &[200])?;
        Ok(serde_json::from_slice(&response.body).unwrap_or_default())
    }
}

/// A request with a credential.
pub(super) fn request(method: &str, path: &str, token: &str, body: Option<&Value>) -> Request {
    let request = Request::new(method, path).bearer(token);
    match body {
        Some(body) => request.json(body),
        None => request,
    }
}

/// The scope that is used, and taken away.
const SCOPE: &str = "orders:read";

const PASSWORDS: [&str; 2] = ["mulberry-Tram-71", "mulberry-Tram-72"];

pub(super) struct RaceUser {
    pub(super) id: i64,
    pub(super) email: String,
    pub(super) token: String,
    pub(super) key_id: i64,
    pub(super) key: String,
    /// The number of password changes.
    changes: usize,
}

/// What ends a credential, ready to be sent.
pub(super) enum End {
    Request(Request),
    /// `tokenhouse user disable`
    Command(String),
}

/// The response to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndResponse {
    Acknowledged,
    /// The caller is no longer signed in.
    Refused,
    Unknown,
}

impl End {
    pub(super) fn send(
        &self,
        program: &Program,
        api: &mut ApiClient,
        process: usize,
    ) -> Result<EndResponse, String> {
        match self {
            Self::Request(request) => {
                let response = api.send(process, request)?;
                match response.status {
                    401 => Ok(EndResponse::Refused),
                    503 => Ok(EndResponse::Unknown),
                    _ => expect_status(response, &[200, 204]).map(|_| EndResponse::Acknowledged),
                }
            }
            Self::Command(email) => {
                let words = ["user", "disable", email];
                match run_command(program, &words, COMMAND_TIMEOUT)? {
                    true => Ok(EndResponse::Acknowledged),
                    false => Ok(EndResponse::Unknown),
                }
            }
        }
    }
}

impl RaceUser {
    pub(super) fn new(fixture: &mut RaceFixture) -> Result<Self, String> {
        fixture.users += 1;
        let mut user = Self {
            id: 0,
            email: format!("user-{}@example.com", fixture.users),
            token: String::new(),
            key_id: 0,
            key: String::new(),
            changes: 0,
        };
        let request = user.details().register_request();
        let response = fixture.api.send_with_retry(&request, &[201])?;
        user.id = member(&response, "id")?.as_i64().ok_or("no id of a user")?;
        user.patch(fixture, &json!({"scopes_add": SCOPE}))?;
        user.sign_in(fixture)?;
        user.make_key(fixture)?;
        Ok(user)
    }

    /// Address and password.
    pub(super) fn details(&self) -> TestUser {
        TestUser {
            name: "Ada Lovelace".to_owned(),
            email: self.email.clone(),
            password: self.password(0).to_owned(),
        }
    }

    /// The password after this number of further changes.
    fn password(&self, more: usize) -> &'static str {
        PASSWORDS[(self.changes + more) % 2]
    }

    /// The credentials that the kind ends.
    pub(super) fn credentials(&self, kind: Kind) -> Vec<String> {
        let (token, key) = kind.ends();
        let both = [(token, &self.token), (key, &self.key)];
        let ended = both.into_iter().filter(|(is_ended, _)| *is_ended);
        ended.map(|(_, secret)| secret.clone()).collect()
    }

    /// A use of a credential that is accepted until the race.
    pub(super) fn use_request(kind: Kind, credential: &str) -> Request {
        match kind {
            Kind::ScopeTaken => Request::get(&format!("/verify?scope={SCOPE}")),
            _ => Request::get("/users/me"),
        }
        .bearer(credential)
    }

    /// What ends the access in a race of this kind.
    pub(super) fn end(&self, fixture: &RaceFixture, kind: Kind, round: usize) -> End {
        let user = format!("/admin/users/{}", self.id);
        let own = |method: &str, path: &str, body: Option<&Value>| {
            request(method, path, &self.token, body)
        };
        let revoke = |token: &String| Request::post("/revoke").form(&[("token", token.as_str())]);
        let patch = |body: Value| fixture.admin_request("PATCH", &user, Some(&body));
        End::Request(match kind {
            Kind::Logout => own("POST", "/logout", None),
            Kind::RevokeToken => revoke(&self.token),
            Kind::RevokeKey => revoke(&self.key),
            Kind::DeleteKey => own("DELETE", &format!("/users/me/keys/{}", self.key_id), None),
            Kind::NewerLogin => self.details().sign_in_request(),
            Kind::PasswordChange => {
                let body = json!({
                    "current_password": self.password(0),
                    "new_password": self.password(1),
                });
                own("POST", "/users/me/password", Some(&body))
            }
            Kind::Delete if round.is_multiple_of(2) => fixture.admin_request("DELETE", &user, None),
            Kind::Delete => {
                let body = json!({"current_password": self.password(0)});
                own("DELETE", "/users/me", Some(&body))
            }
            Kind::ScopeTaken => patch(json!({"scopes_remove": SCOPE})),
            Kind::SignOut => fixture.admin_request("DELETE", &format!("{user}/tokens"), None),
            Kind::CommandLine => return End::Command(self.email.clone()),
            _ => patch(json!({"disabled": true})),
        })
    }

    /// Restores the state before the race.
    pub(super) fn renew(&mut self, fixture: &mut RaceFixture, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::Delete => *self = Self::new(fixture)?,
            Kind::ScopeTaken => self.patch(fixture, &json!({"scopes_add": SCOPE}))?,
            _ => {
                self.changes += usize::from(kind == Kind::PasswordChange);
                if matches!(kind, Kind::Disable | Kind::CommandLine) {
                    self.enable(fixture)?;
                }
                let (token, key) = kind.ends();
                if token {
                    self.sign_in(fixture)?;
                }
                if key {
                    self.make_key(fixture)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn enable(&self, fixture: &mut RaceFixture) -> Result<(), String> {
        self.patch(fixture, &json!({"disabled": false}))
    }

    fn patch(&self, fixture: &mut RaceFixture, body: &Value) -> Result<(), String> {
        let path = format!("/admin/users/{}", self.id);
        fixture.administer("PATCH", &path, Some(body)).map(drop)
    }

    pub(super) fn sign_in(&mut self, fixture: &mut RaceFixture) -> Result<(), String> {
        let request = self.details().sign_in_request();
        let response = fixture.api.send_with_retry(&request, &[200])?;
        self.token = response.access_token().ok_or("no access token")?;
        Ok(())
    }

    pub(super) fn make_key(&mut self, fixture: &mut RaceFixture) -> Result<(), String> {
        let response = fixture.api.send_with_retry(&self.key_request(), &[201])?;
        self.key_id = member(&response, "id")?.as_i64().ok_or("no id of a key")?;
        let key = member(&response, "key")?;
        self.key = key.as_str().ok_or("no key")?.to_owned();
        Ok(())
    }

    pub(super) fn key_request(&self) -> Request {
        let body = json!({"name": "at stake", "scopes": SCOPE});
        request("POST", "/users/me/keys", &self.token, Some(&body))
    }

    /// The ids of the user's keys.
    pub(super) fn keys(&self, fixture: &mut RaceFixture) -> Result<Vec<i64>, String> {
        let request = Request::get("/users/me/keys").bearer(&self.token);
        let response = fixture.api.send_with_retry(&request, &[200])?;
        let keys = member(&response, "keys")?;
        let keys = keys.as_array().ok_or("no list of keys")?;
        Ok(keys.iter().filter_map(|key| key["id"].as_i64()).collect())
    }
}
