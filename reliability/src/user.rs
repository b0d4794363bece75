//! A user as a client knows them, and the changes that a client asks for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use test_support::{Request, Response, TestUser};

/// A change that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Register,
    Login,
    Logout,
    /// The scopes of the key.
    CreateKey(&'static str),
    /// The id of the key.
    RevokeKey(i64),
    /// The new password, and the ids of the keys that stay valid.
    Password(String, Vec<i64>),
    Disable,
    Enable,
    AddScope(String),
    Delete,
}

impl Change {
    /// The name in the audit trail.
    pub(crate) fn action(&self) -> &'static str {
        self.facts().0
    }

    /// The status of the acknowledgement.
    pub(crate) fn status(&self) -> u16 {
        self.facts().1
    }

    /// The status with which it is refused if it has been made already.
    pub(crate) fn status_if_repeated(&self) -> Option<u16> {
        self.facts().2
    }

    fn facts(&self) -> (&'static str, u16, Option<u16>) {
        match self {
            Self::Register => ("register", 201, Some(409)),
            Self::Login => ("login", 200, None),
            Self::Logout => ("logout", 204, Some(401)),
            Self::CreateKey(_) => ("key.create", 201, None),
            Self::RevokeKey(_) => ("key.revoke", 204, Some(404)),
            Self::Password(..) => ("password.change", 204, Some(403)),
            Self::Disable => ("user.disable", 200, None),
            Self::Enable => ("user.enable", 200, None),
            Self::AddScope(_) => ("user.scopes", 200, None),
            Self::Delete => ("user.delete", 204, Some(404)),
        }
    }
}

/// What a change has made, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// The id of the new user or key.
    pub(crate) id: Option<i64>,
    /// The new login token or key.
    pub(crate) secret: Option<String>,
}

impl Made {
    /// What a response says.
    pub(crate) fn read(response: &Response) -> Self {
        let text = |name: &str| Some(response.member(name)?.as_str()?.to_owned());
        Self {
            id: response.member("id").and_then(|id| id.as_i64()),
            secret: text("access_token").or_else(|| text("key")),
        }
    }

    /// What the response to a change says; `None` when it is no acknowledgement, or incomplete.
    pub(crate) fn from_response(change: &Change, response: &Response) -> Option<Self> {
        let made = Self::read(response);
        let is_complete = match change {
            Change::Register => made.id.is_some(),
            Change::Login => made.secret.is_some(),
            Change::CreateKey(_) => made.id.is_some() && made.secret.is_some(),
            _ => true,
        };
        (response.status == change.status() && is_complete).then_some(made)
    }
}

/// A login token or key; `None` when the response was lost.
pub(crate) type Secret = Option<String>;

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) secret: Secret,
    pub(crate) is_live: bool,
}

/// A user after some changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    pub(crate) email: String,
    pub(crate) password: String,
    /// `None` before the registration.
    pub(crate) id: Option<i64>,
    pub(crate) token: Option<Secret>,
    pub(crate) keys: BTreeMap<i64, Key>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) is_disabled: bool,
    pub(crate) is_deleted: bool,
    /// Login tokens and keys that have ended.
    pub(crate) ended: Vec<String>,
}

impl User {
    /// A user before the registration.
    pub(crate) fn new(email: String, password: String) -> Self {
        Self {
            email,
            password,
            ..Self::default()
        }
    }

    /// The request for a change. `admin` is the token of the administrator, who makes some of them.
    pub(crate) fn request(&self, change: &Change, admin: &str) -> Request {
        let user = TestUser {
            name: "Ada Lovelace".to_owned(),
            email: self.email.clone(),
            password: self.password.clone(),
        };
        let own = |method: &str, path: &str| {
            let request = Request::new(method, path);
            match &self.token {
                Some(Some(token)) => request.bearer(token),
                _ => request,
            }
        };
        let user_path = format!("/admin/users/{}", self.id.unwrap_or_default());
        let by_admin = |method: &str| Request::new(method, &user_path).bearer(admin);
        let patch = |body: Value| by_admin("PATCH").json(&body);
        match change {
            Change::Register => user.register_request(),
            Change::Login => user.sign_in_request(),
            Change::Logout => own("POST", "/logout"),
            Change::CreateKey(scopes) => {
                let key = json!({"name": "ci", "scopes": scopes});
                own("POST", "/users/me/keys").json(&key)
            }
            Change::RevokeKey(id) => own("DELETE", &format!("/users/me/keys/{id}")),
            Change::Password(new, kept) => own("POST", "/users/me/password").json(&json!({
                "current_password": self.password,
                "new_password": new,
                "keep_keys": kept,
            })),
            Change::Disable => patch(json!({"disabled": true})),
            Change::Enable => patch(json!({"disabled": false})),
            Change::AddScope(scope) => patch(json!({"scopes_add": scope})),
            Change::Delete => by_admin("DELETE"),
        }
    }

    /// Makes a change.
    pub(crate) fn apply(&mut self, change: &Change, made: &Made) {
        match change {
            Change::Register => self.id = made.id,
            Change::Login => {
                self.end_token();
                self.token = Some(made.secret.clone());
            }
            Change::Logout => self.end_token(),
            Change::CreateKey(_) => {
                let key = Key {
                    secret: made.secret.clone(),
                    is_live: true,
                };
                self.keys.extend(made.id.map(|id| (id, key)));
            }
            Change::RevokeKey(id) => self.end_keys(|key| key == *id),
            Change::Password(new, kept) => {
                self.end_keys(|key| !kept.contains(&key));
                self.password.clone_from(new);
            }
            Change::Disable | Change::Delete => {
                self.end_token();
                self.end_keys(|_| true);
                self.is_disabled |= *change == Change::Disable;
                self.is_deleted |= *change == Change::Delete;
            }
            Change::Enable => self.is_disabled = false,
            Change::AddScope(scope) => _ = self.scopes.insert(scope.clone()),
        }
    }

    /// The live keys with their ids.
    pub(crate) fn live_keys(&self) -> impl Iterator<Item = (i64, &Secret)> {
        let live = self.keys.iter().filter(|(_, key)| key.is_live);
        live.map(|(id, key)| (*id, &key.secret))
    }

    /// The live login token and keys, as far as they are known.
    pub(crate) fn live_secrets(&self) -> impl Iterator<Item = &String> {
        let keys = self.live_keys().map(|(_, key)| key);
        self.token.iter().chain(keys).flatten()
    }

    fn end_token(&mut self) {
        self.ended.extend(self.token.take().flatten());
    }

    fn end_keys(&mut self, is_ended: impl Fn(i64) -> bool) {
        for (id, key) in &mut self.keys {
            if key.is_live && is_ended(*id) {
                key.is_live = false;
                self.ended.extend(key.secret.clone());
            }
        }
    }
}
