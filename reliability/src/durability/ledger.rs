//! What clients asked for and what was acknowledged: one side of the comparison.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

/// A change that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Register,
    Login,
    Logout,
    CreateKey,
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
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::CreateKey => "key.create",
            Self::RevokeKey(_) => "key.revoke",
            Self::Password(..) => "password.change",
            Self::Disable => "user.disable",
            Self::Enable => "user.enable",
            Self::AddScope(_) => "user.scopes",
            Self::Delete => "user.delete",
        }
    }
}

/// What an acknowledgement returned to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    Nothing,
    User(i64),
    Token(String),
    Key(i64, String),
}

/// The response to a request for a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged. `mark` is the length of the disk journal at that time, if there is one.
    Acknowledged { returned: Returned, mark: u64 },
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
}

/// A user that only one client uses, with one change after the other.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) email: String,
    /// The password of the registration.
    pub(crate) password: String,
    pub(crate) entries: Vec<Entry>,
}

/// The token of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Token {
    #[default]
    None,
    Known(String),
    /// The response to the sign-in was lost.
    Unknown,
}

/// A key of a user. The key itself is unknown when the response was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) key: Option<String>,
    pub(crate) is_live: bool,
}

/// The state of a user after some changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) id: Option<i64>,
    pub(crate) password: String,
    pub(crate) token: Token,
    pub(crate) keys: BTreeMap<i64, Key>,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) is_disabled: bool,
    pub(crate) is_deleted: bool,
    /// Login tokens and keys that have ended.
    pub(crate) ended: Vec<String>,
}

impl State {
    /// The state before the registration.
    pub(crate) fn before(account: &Account) -> Self {
        Self {
            password: account.password.clone(),
            ..Self::default()
        }
    }

    /// Makes a change. `target` is the number that the audit trail gives for a new row; it is used when
    /// the response was lost.
    pub(crate) fn apply(&mut self, change: &Change, returned: &Returned, target: Option<i64>) {
        match change {
            Change::Register => {
                self.id = match returned {
                    Returned::User(id) => Some(*id),
                    _ => target,
                };
            }
            Change::Login => {
                self.end_token();
                self.token = match returned {
                    Returned::Token(token) => Token::Known(token.clone()),
                    _ => Token::Unknown,
                };
            }
            Change::Logout => self.end_token(),
            Change::CreateKey => {
                let made = match returned {
                    Returned::Key(id, key) => Some((*id, Some(key.clone()))),
                    _ => target.map(|id| (id, None)),
                };
                self.keys
                    .extend(made.map(|(id, key)| (id, Key { key, is_live: true })));
            }
            Change::RevokeKey(id) => self.end_key(*id),
            Change::Password(password, kept) => {
                self.end_keys_except(kept);
                self.password.clone_from(password);
            }
            Change::Disable | Change::Delete => {
                self.end_token();
                self.end_keys_except(&[]);
                self.is_disabled |= *change == Change::Disable;
                self.is_deleted |= *change == Change::Delete;
            }
            Change::Enable => self.is_disabled = false,
            Change::AddScope(scope) => _ = self.scopes.insert(scope.clone()),
        }
    }

    /// The ids of the live keys.
    pub(crate) fn live_keys(&self) -> Vec<i64> {
        let live = self.keys.iter().filter(|(_, key)| key.is_live);
        live.map(|(id, _)| *id).collect()
    }

    fn end_token(&mut self) {
        if let Token::Known(token) = std::mem::take(&mut self.token) {
            self.ended.push(token);
        }
    }

    fn end_keys_except(&mut self, kept: &[i64]) {
        for id in self.live_keys() {
            if !kept.contains(&id) {
                self.end_key(id);
            }
        }
    }

    fn end_key(&mut self, id: i64) {
        if let Some(key) = self.keys.get_mut(&id) {
            key.is_live = false;
            self.ended.extend(key.key.clone());
        }
    }
}

/// What the database stores for a token or key.
pub(crate) fn digest(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
