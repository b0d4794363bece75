//! The service on a page: what there is, and who may do what with it. It knows no token and no
//! hash; a credential is its place in the order in which they were issued.

use serde_json::{Value, json};

use super::operation::Scopes;

/// Seconds that a login token lives.
pub const LIFETIME: i64 = 86_400;

const DAY: i64 = 86_400;

pub struct User {
    pub id: i64,
    pub slot: usize,
    pub name: String,
    pub email: String,
    pub password: usize,
    pub scopes: Scopes,
    pub disabled: bool,
    pub deleted: bool,
}

pub struct Credential {
    pub owner: usize,
    /// The id, of an API key.
    pub key: Option<i64>,
    pub scopes: Scopes,
    pub issued: i64,
    pub expires: i64,
    pub ended: bool,
}

/// Somebody who is in.
#[derive(Clone, Copy)]
pub struct Caller {
    /// `None` for the administrator outside the sequence.
    pub user: Option<usize>,
    pub credential: Option<usize>,
    /// What user and credential both hold.
    pub scopes: Scopes,
}

/// Everything there is, also what is no more.
pub struct Page {
    pub now: i64,
    pub users: Vec<User>,
    pub credentials: Vec<Credential>,
}

impl Page {
    pub fn new(now: i64) -> Self {
        Self {
            now,
            users: Vec::new(),
            credentials: Vec::new(),
        }
    }

    /// Who has this account now.
    pub fn of_slot(&self, slot: usize) -> Option<usize> {
        let mut users = self.users.iter();
        users.position(|user| user.slot == slot && !user.deleted)
    }

    /// Who is in by this credential.
    pub fn caller(&self, place: usize) -> Option<Caller> {
        let credential = &self.credentials[place];
        let user = &self.users[credential.owner];
        let is_in =
            !user.deleted && !user.disabled && !credential.ended && self.now < credential.expires;
        is_in.then(|| Caller {
            user: Some(credential.owner),
            credential: Some(place),
            scopes: user.scopes.and(credential.scopes),
        })
    }

    /// What introspection says of a credential.
    pub fn introspection(&self, place: usize) -> Value {
        let Some(caller) = self.caller(place) else {
            return json!({ "active": false });
        };
        let credential = &self.credentials[place];
        let user = &self.users[credential.owner];
        json!({
            "active": true,
            "scope": caller.scopes.text(),
            "username": user.email,
            "token_type": "Bearer",
            "exp": credential.expires,
            "iat": credential.issued,
            "sub": user.id.to_string(),
            "name": user.name,
        })
    }

    /// Issues a login token in the place of the earlier one; with no scopes, it gets all of them.
    pub fn issue_token(&mut self, owner: usize, wanted: Scopes) {
        self.end_token_of(owner);
        let scopes = match wanted {
            Scopes::NONE => self.users[owner].scopes,
            wanted => wanted,
        };
        self.issue(owner, None, scopes, LIFETIME);
    }

    pub fn issue_key(&mut self, owner: usize, id: i64, scopes: Scopes, days: i64) {
        self.issue(owner, Some(id), scopes, days * DAY);
    }

    fn issue(&mut self, owner: usize, key: Option<i64>, scopes: Scopes, lifetime: i64) {
        self.credentials.push(Credential {
            owner,
            key,
            scopes,
            issued: self.now,
            expires: self.now + lifetime,
            ended: false,
        });
    }

    pub fn end_token_of(&mut self, owner: usize) {
        self.end_all(|credential| credential.owner == owner && credential.key.is_none());
    }

    pub fn end_all(&mut self, which: impl Fn(&Credential) -> bool) {
        for credential in self
            .credentials
            .iter_mut()
            .filter(|credential| which(credential))
        {
            credential.ended = true;
        }
    }

    /// The keys of a user that were not revoked, the oldest first.
    pub fn keys_of(&self, owner: usize) -> Vec<(i64, String)> {
        let own = self.credentials.iter();
        own.filter(|credential| credential.owner == owner && !credential.ended)
            .filter_map(|credential| Some((credential.key?, credential.scopes.text())))
            .collect()
    }

    /// Whether the caller may change a user's scopes from `before` to `after`: scopes are given by
    /// who holds them.
    pub fn may_give(caller: Caller, before: Scopes, after: Scopes) -> bool {
        after.without(before).are_within(caller.scopes)
    }

    /// Whether the caller is in by an API key.
    pub fn is_by_key(&self, caller: Caller) -> bool {
        caller
            .credential
            .is_some_and(|place| self.credentials[place].key.is_some())
    }
}
