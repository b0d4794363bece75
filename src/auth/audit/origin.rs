//! Who asks for something, by which right, and from where.

use std::net::IpAddr;

use chrono::NaiveDateTime;

use crate::network::Network;
use crate::process_owner::process_owner;
use crate::scope;
use crate::store::{Credential, Principal};

/// The most that is kept of what a client calls itself, in characters.
const USER_AGENT_MAX: usize = 200;

/// The right by which users see to their own accounts.
const OWN_ACCOUNT: &str = "account";

/// How the trail names a client that has not shown who it is.
pub(super) const ANONYMOUS: &str = "anonymous";

/// How the trail names a client with the static key.
const STATIC_KEY: &str = "static-key";

/// How the trail names an operator, before a colon and the user id that the system knows.
pub(super) const OPERATOR: &str = "operator";

/// On whose behalf an operation is done: what the audit trail says of it.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub(super) actor: String,
    pub(super) credential: String,
    pub(super) level: String,
    pub(super) address: Option<IpAddr>,
    pub(super) user_agent: String,
    pub(super) request_id: String,
    pub(super) client_request_id: String,
    is_shared: bool,
    spender: Option<Spender>,
}

/// Whose budget for changes an operation of a principal is taken out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) struct Spender {
    /// The user of the principal.
    pub(in crate::auth) user_id: i64,
    /// The principal's credential.
    pub(in crate::auth) credential: CredentialMark,
    /// Whether the operation takes a scope of an administrator.
    pub(in crate::auth) is_administration: bool,
}

/// What tells the credentials of a user apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::auth) enum CredentialMark {
    /// A login token, by when it was issued.
    Login(NaiveDateTime),
    /// An API key, by its id.
    Key(i64),
}

impl Origin {
    /// A client that has not shown who it is.
    pub fn client(address: Option<IpAddr>, user_agent: &[u8], request_id: &str) -> Self {
        Self {
            actor: ANONYMOUS.to_owned(),
            address: address.map(|address| address.to_canonical()),
            user_agent: printable(user_agent),
            request_id: request_id.to_owned(),
            ..Self::default()
        }
    }

    /// The same, with the id that the client gave to the request: its own words, so it stands for
    /// nothing but itself.
    #[must_use]
    pub fn with_client_request_id(self, id: &str) -> Self {
        Self {
            client_request_id: id.to_owned(),
            ..self
        }
    }

    /// The same, where the address is that of a proxy which the settings do not name: it is no
    /// client's own.
    #[must_use]
    pub fn behind_unnamed_proxy(self) -> Self {
        Self {
            is_shared: true,
            ..self
        }
    }

    /// An operator with a shell on the machine, who may do everything: the user that runs this process.
    pub fn operator() -> Self {
        Self {
            actor: match process_owner() {
                Some(owner) => format!("{OPERATOR}:{owner}"),
                None => OPERATOR.to_owned(),
            },
            credential: "shell".to_owned(),
            level: "operator".to_owned(),
            ..Self::default()
        }
    }

    /// The service itself.
    pub fn service() -> Self {
        Self {
            actor: "service".to_owned(),
            ..Self::default()
        }
    }

    /// The same, about this address.
    #[must_use]
    pub(in crate::auth) fn at(self, address: IpAddr) -> Self {
        Self {
            address: Some(address.to_canonical()),
            ..self
        }
    }

    /// The same, once a principal has shown who it is. `level` is the scope, or other right, that
    /// the operation takes.
    #[must_use]
    pub fn by(self, principal: &Principal, level: &str) -> Self {
        let (credential, mark) = match &principal.credential {
            Credential::LoginToken(token) => {
                ("login".to_owned(), CredentialMark::Login(token.created_at))
            }
            Credential::ApiKey(used) => (key(used.key.id), CredentialMark::Key(used.key.id)),
        };
        Self {
            actor: user(principal.user.id),
            credential,
            level: level.to_owned(),
            spender: Some(Spender {
                user_id: principal.user.id,
                credential: mark,
                is_administration: scope::RESERVED.contains(&level),
            }),
            ..self
        }
    }

    /// The same, once the static key was shown.
    #[must_use]
    pub(in crate::auth) fn by_static_key(self) -> Self {
        Self {
            actor: STATIC_KEY.to_owned(),
            credential: STATIC_KEY.to_owned(),
            level: STATIC_KEY.to_owned(),
            ..self
        }
    }

    /// What tells it from other clients: who it is, and by which credential.
    pub(in crate::auth) fn client_name(&self) -> String {
        format!("{} {}", self.actor, self.credential)
    }

    /// The same, for what a user does with their own account.
    #[must_use]
    pub fn by_owner(self, principal: &Principal) -> Self {
        self.by(principal, OWN_ACCOUNT)
    }

    /// The same, once a password has shown who it is.
    pub(in crate::auth) fn by_password(&self, user_id: i64) -> Self {
        Self {
            actor: user(user_id),
            credential: "password".to_owned(),
            level: OWN_ACCOUNT.to_owned(),
            ..self.clone()
        }
    }

    /// Whose budget for changes it is taken out of; `None` without a principal.
    pub(in crate::auth) fn spender(&self) -> Option<Spender> {
        self.spender
    }

    /// Whether many clients have its address: see [`Self::behind_unnamed_proxy`].
    pub(in crate::auth) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether it is a client that has not shown who it is.
    pub(super) fn is_anonymous(&self) -> bool {
        self.actor == ANONYMOUS
    }

    /// The same, for the sum of several requests: without what is of a single one.
    pub(super) fn in_a_sum(&self) -> Self {
        Self {
            actor: self.actor.clone(),
            address: self.address,
            ..Self::default()
        }
    }

    /// The address it comes from.
    pub(in crate::auth) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The network it comes from.
    pub(crate) fn network(&self) -> Network {
        Network::of(self.address)
    }

    /// The address, as it is written in the trail; empty when there is none.
    pub(in crate::auth) fn ip(&self) -> String {
        self.address.map(|ip| ip.to_string()).unwrap_or_default()
    }
}

/// How the trail names a user.
pub(in crate::auth) fn user(id: i64) -> String {
    format!("user:{id}")
}

/// How the trail names a key.
pub(in crate::auth) fn key(id: i64) -> String {
    format!("key:{id}")
}

/// The text without what could move a cursor or break a line, and not longer than makes sense.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .take(USER_AGENT_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
