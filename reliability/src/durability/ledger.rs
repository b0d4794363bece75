//! What clients did and what they were told: the one side of the comparison.

use std::collections::BTreeMap;

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
    /// The new password, and the ids of the keys that do not end with the old one.
    Password(String, Vec<i64>),
    Disable,
    Enable,
}

impl Change {
    /// What the audit trail calls it.
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
        }
    }
}

/// What an acknowledgement gave to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gained {
    Nothing,
    User(i64),
    Token(String),
    Key(i64, String),
}

/// What the client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is done. `mark` is how far the journal of the disk had come by then, where there is one.
    Done { gained: Gained, mark: u64 },
    /// Refused, because an attempt before this one had been done, though nobody had said so.
    DoneBefore,
    /// Nothing, or 503: it may have been done, or be done later.
    Nothing,
}

/// One request for a change. Its id is in the audit trail if it was done.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) request_id: String,
    pub(crate) change: Change,
    pub(crate) told: Told,
}

impl Entry {
    /// How far the journal of the disk was when it was acknowledged, if it was.
    pub(crate) fn mark(&self) -> Option<u64> {
        match self.told {
            Told::Done { mark, .. } => Some(mark),
            Told::DoneBefore | Told::Nothing => None,
        }
    }

    /// Whether it was acknowledged when the journal of the disk had come so far.
    pub(crate) fn is_acknowledged_at(&self, limit: u64) -> bool {
        self.mark().is_some_and(|mark| mark <= limit)
    }
}

/// A user, whom one client alone uses, and changes one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) email: String,
    /// The password that the user registers with.
    pub(crate) password: String,
    pub(crate) entries: Vec<Entry>,
}

/// The token of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Token {
    #[default]
    None,
    Known(String),
    /// Made by a sign-in whose answer was lost.
    Unknown,
}

/// A key of a user; the key itself is unknown when the answer was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) key: Option<String>,
    pub(crate) live: bool,
}

/// What a user is after some changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) id: Option<i64>,
    pub(crate) password: String,
    pub(crate) token: Token,
    pub(crate) keys: BTreeMap<i64, Key>,
    pub(crate) disabled: bool,
    /// Login tokens and keys that have ended.
    pub(crate) ended: Vec<String>,
}

impl State {
    /// Of a user who is not there yet.
    pub(crate) fn before(account: &Account) -> Self {
        Self {
            password: account.password.clone(),
            ..Self::default()
        }
    }

    /// What it is after a change. `target` is the number that the audit trail gives for what was
    /// made, for those who were not told.
    pub(crate) fn apply(&mut self, change: &Change, gained: &Gained, target: Option<i64>) {
        match change {
            Change::Register => {
                self.id = match gained {
                    Gained::User(id) => Some(*id),
                    _ => target,
                };
            }
            Change::Login => {
                self.end_token();
                self.token = match gained {
                    Gained::Token(token) => Token::Known(token.clone()),
                    _ => Token::Unknown,
                };
            }
            Change::Logout => self.end_token(),
            Change::CreateKey => {
                let made = match gained {
                    Gained::Key(id, key) => Some((*id, Some(key.clone()))),
                    _ => target.map(|id| (id, None)),
                };
                if let Some((id, key)) = made {
                    self.keys.insert(id, Key { key, live: true });
                }
            }
            Change::RevokeKey(id) => self.end_key(*id),
            Change::Password(password, kept) => {
                self.end_keys_but(kept);
                self.password.clone_from(password);
            }
            Change::Disable => {
                self.end_token();
                self.end_keys_but(&[]);
                self.disabled = true;
            }
            Change::Enable => self.disabled = false,
        }
    }

    fn end_token(&mut self) {
        if let Token::Known(token) = std::mem::take(&mut self.token) {
            self.ended.push(token);
        }
    }

    fn end_keys_but(&mut self, kept: &[i64]) {
        let live = self.keys.iter().filter(|(_, key)| key.live);
        let ids: Vec<i64> = live
            .map(|(id, _)| *id)
            .filter(|id| !kept.contains(id))
            .collect();
        ids.into_iter().for_each(|id| self.end_key(id));
    }

    fn end_key(&mut self, id: i64) {
        if let Some(key) = self.keys.get_mut(&id) {
            key.live = false;
            self.ended.extend(key.key.clone());
        }
    }
}

/// What stands in the database for a token or key.
pub(crate) fn digest(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
