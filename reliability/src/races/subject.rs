//! Who is at stake in a race: a user with a login token and an API key.

use serde_json::{Value, json};

use super::kind::Kind;
use super::stage::Stage;
use crate::client::Request;
use crate::desk::{
    Desk, expect, form_request, json_request, register, sign_in, sign_in_request, text_of,
};
use crate::operator::Command;
use crate::server::Program;

/// The scope that is used, and taken.
const SCOPE: &str = "orders:read";

/// How long an operator waits for a command.
const OPERATOR_PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

const PASSWORDS: [&str; 2] = ["mulberry-Tram-71", "mulberry-Tram-72"];

/// See the module.
pub(super) struct Subject {
    pub(super) id: i64,
    pub(super) email: String,
    pub(super) token: String,
    pub(super) key: Key,
    /// How often the password was changed.
    changes: usize,
}

/// An API key.
pub(super) struct Key {
    pub(super) id: i64,
    pub(super) secret: String,
}

/// The end of a credential, ready to be asked for.
pub(super) enum End {
    Request(Request),
    /// `tokenhouse user disable`
    Command(String),
}

/// What came of asking for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Acknowledged,
    /// Whoever asked was not in any more.
    Refused,
    /// Nobody knows.
    Unknown,
}

impl End {
    /// Asks for it.
    pub(super) fn ask(
        &self,
        program: &Program,
        desk: &mut Desk,
        process: usize,
    ) -> Result<Asked, String> {
        match self {
            Self::Request(request) => {
                let answer = desk.ask(process, request)?;
                match answer.status {
                    200 | 204 => Ok(Asked::Acknowledged),
                    401 => Ok(Asked::Refused),
                    503 => Ok(Asked::Unknown),
                    _ => expect(answer, &[]).map(|_| Asked::Unknown),
                }
            }
            Self::Command(email) => Command::Disable
                .run(program, email, OPERATOR_PATIENCE)
                .map(|ended| {
                    if ended {
                        Asked::Acknowledged
                    } else {
                        Asked::Unknown
                    }
                })
                .map_err(|error| format!("tokenhouse user disable: {error}")),
        }
    }
}

impl Subject {
    pub(super) fn new(stage: &mut Stage, email: String) -> Result<Self, String> {
        let id = register(stage.own_desk(), &email, PASSWORDS[0])?;
        let path = format!("/admin/users/{id}");
        stage.administer("PATCH", &path, Some(&json!({"scopes_add": SCOPE})), &[200])?;
        let mut subject = Self {
            id,
            email,
            token: String::new(),
            key: Key {
                id: 0,
                secret: String::new(),
            },
            changes: 0,
        };
        subject.sign_in(stage)?;
        subject.make_key(stage)?;
        Ok(subject)
    }

    pub(super) fn password(&self) -> &'static str {
        PASSWORDS[self.changes % 2]
    }

    /// What the kind ends.
    pub(super) fn credentials(&self, kind: Kind) -> Vec<&str> {
        let (token, key) = kind.ends();
        let both = [(token, &self.token), (key, &self.key.secret)];
        let ended = both.into_iter().filter(|(is_ended, _)| *is_ended);
        ended.map(|(_, secret)| secret.as_str()).collect()
    }

    /// A use of a credential that is accepted until the kind has happened.
    pub(super) fn usage(kind: Kind, credential: &str) -> Request {
        match kind {
            Kind::ScopeTaken => Request::get(&format!("/verify?scope={SCOPE}"), credential),
            _ => Request::get("/users/me", credential),
        }
    }

    /// What has to be asked to make the kind happen.
    pub(super) fn end(&self, stage: &Stage, kind: Kind, round: usize) -> End {
        let user = format!("/admin/users/{}", self.id);
        let own = |method: &str, path: &str, body: Option<&Value>| {
            json_request(method, path, &self.token, body)
        };
        End::Request(match kind {
            Kind::Logout => own("POST", "/logout", None),
            Kind::RevokeToken => form_request("/revoke", &format!("token={}", self.token)),
            Kind::RevokeKey => form_request("/revoke", &format!("token={}", self.key.secret)),
            Kind::DeleteKey => own("DELETE", &format!("/users/me/keys/{}", self.key.id), None),
            Kind::NewerLogin => sign_in_request(&self.email, self.password()),
            Kind::PasswordChange => {
                let body = json!({
                    "current_password": self.password(),
                    "new_password": PASSWORDS[(self.changes + 1) % 2],
                });
                own("POST", "/users/me/password", Some(&body))
            }
            Kind::Delete if round.is_multiple_of(2) => stage.as_admin("DELETE", &user, None),
            Kind::Delete => {
                let body = json!({"current_password": self.password()});
                own("DELETE", "/users/me", Some(&body))
            }
            Kind::ScopeTaken => {
                stage.as_admin("PATCH", &user, Some(&json!({"scopes_remove": SCOPE})))
            }
            Kind::SignOut => stage.as_admin("DELETE", &format!("{user}/tokens"), None),
            Kind::CommandLine => return End::Command(self.email.clone()),
            _ => stage.as_admin("PATCH", &user, Some(&json!({"disabled": true}))),
        })
    }

    /// Makes everything as it was before the kind happened.
    pub(super) fn renew(&mut self, stage: &mut Stage, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::Delete => *self = stage.subject()?,
            Kind::ScopeTaken => {
                let path = format!("/admin/users/{}", self.id);
                stage.administer("PATCH", &path, Some(&json!({"scopes_add": SCOPE})), &[200])?;
            }
            _ => {
                self.changes += usize::from(kind == Kind::PasswordChange);
                if matches!(kind, Kind::Disable | Kind::CommandLine) {
                    self.enable(stage)?;
                }
                let (token, key) = kind.ends();
                if token {
                    self.sign_in(stage)?;
                }
                if key {
                    self.make_key(stage)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn enable(&self, stage: &mut Stage) -> Result<(), String> {
        let path = format!("/admin/users/{}", self.id);
        let body = json!({"disabled": false});
        stage
            .administer("PATCH", &path, Some(&body), &[200])
            .map(drop)
    }

    pub(super) fn sign_in(&mut self, stage: &mut Stage) -> Result<(), String> {
        let token = sign_in(stage.own_desk(), 0, &self.email, self.password())?;
        self.token = token.ok_or("the subject is out")?;
        Ok(())
    }

    pub(super) fn make_key(&mut self, stage: &mut Stage) -> Result<(), String> {
        let request = self.key_request();
        let answer = stage.own_desk().insist(0, &request, &[201])?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        self.key = Key {
            id: body["id"].as_i64().ok_or("no id of a key")?,
            secret: text_of(&answer, "key")?.unwrap_or_default(),
        };
        Ok(())
    }

    pub(super) fn key_request(&self) -> Request {
        let body = json!({"name": "at stake", "scopes": SCOPE});
        json_request("POST", "/users/me/keys", &self.token, Some(&body))
    }

    /// The ids of the user's keys.
    pub(super) fn keys(&self, stage: &mut Stage) -> Result<Vec<i64>, String> {
        let request = Request::get("/users/me/keys", &self.token);
        let answer = stage.own_desk().insist(0, &request, &[200])?;
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let keys = body["keys"].as_array().ok_or("no list of keys")?;
        Ok(keys.iter().filter_map(|key| key["id"].as_i64()).collect())
    }
}
