//! Who requests an operation, by which authority, and from where; for an operator, the owner of the process.

use std::fs;
use std::io::IsTerminal;
use std::net::IpAddr;

use crate::network::Network;
use crate::scope;
use crate::store::{Credential, Principal, SessionKind};

/// The longest user agent that is kept, in characters.
const MAX_USER_AGENT: usize = 200;

/// The longest name of a terminal, in bytes.
const MAX_TERMINAL: usize = 32;

/// The authority of users over their own accounts.
const OWN_ACCOUNT: &str = "account";

/// The actor of a client that is not authenticated.
pub(super) const ANONYMOUS: &str = "anonymous";

/// The actor of a client with the static key.
const STATIC_KEY: &str = "static-key";

/// The actor of an operator, before a colon and the user id of the process.
pub(super) const OPERATOR: &str = "operator";

/// On whose behalf an operation runs, as the audit trail records it.
#[derive(Clone, Debug, Default)]
pub struct AuditContext {
    pub(super) actor: String,
    pub(super) credential: String,
    pub(super) authority: String,
    pub(super) address: Option<IpAddr>,
    pub(super) user_agent: String,
    pub(super) request_id: String,
    pub(super) client_request_id: String,
    locale: String,
    is_shared: bool,
    spender: Option<Spender>,
}

/// Whose budget for changes pays for an operation of a principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Spender {
    /// The user of the principal.
    pub(crate) user_id: i64,
    /// The principal's credential.
    pub(crate) credential: CredentialId,
    /// Whether the operation requires a scope of an administrator.
    pub(crate) is_administration: bool,
}

/// Identifies a credential among those of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CredentialId {
    /// A login token, by the id of its session.
    Login(i64),
    /// An API key, by its id.
    Key(i64),
}

impl AuditContext {
    /// A client that is not authenticated.
    pub fn client(address: Option<IpAddr>, user_agent: &[u8], request_id: &str) -> Self {
        Self {
            actor: ANONYMOUS.to_owned(),
            address: address.map(|address| address.to_canonical()),
            user_agent: printable(user_agent),
            request_id: request_id.to_owned(),
            ..Self::default()
        }
    }

    /// Adds the request id that the client sent. The client chooses it, so it proves nothing.
    #[must_use]
    pub fn with_client_request_id(self, id: &str) -> Self {
        Self {
            client_request_id: id.to_owned(),
            ..self
        }
    }

    /// Adds the language that the client prefers, as a BCP 47 tag, for mails. It is not recorded.
    #[must_use]
    pub fn with_locale(self, locale: &str) -> Self {
        Self {
            locale: locale.to_owned(),
            ..self
        }
    }

    /// Marks the address as that of a proxy that the settings do not name: many clients share it.
    #[must_use]
    pub fn behind_unnamed_proxy(self) -> Self {
        Self {
            is_shared: true,
            ..self
        }
    }

    /// The operator with a shell on the machine, who may do everything: the user who runs this
    /// process.
    pub fn operator() -> Self {
        Self {
            actor: match process_owner() {
                Some(owner) => format!("{OPERATOR}:{owner}"),
                None => OPERATOR.to_owned(),
            },
            credential: "shell".to_owned(),
            authority: "operator".to_owned(),
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

    /// Returns this context with this address.
    #[must_use]
    pub(super) fn at(self, address: IpAddr) -> Self {
        Self {
            address: Some(address.to_canonical()),
            ..self
        }
    }

    /// Returns this context, authenticated as a principal. `authority` is the scope, or other
    /// right, that the operation requires.
    #[must_use]
    pub fn by(self, principal: &Principal, authority: &str) -> Self {
        let (credential, id) = match &principal.credential {
            Credential::LoginToken(token) => {
                let name = match token.session.kind {
                    SessionKind::Browser => "browser",
                    _ => "login",
                };
                (name.to_owned(), CredentialId::Login(token.session.id))
            }
            Credential::ApiKey(used) => (key(used.key.id), CredentialId::Key(used.key.id)),
        };
        Self {
            actor: match principal.is_app() {
                true => app(&principal.user.name),
                false => user(principal.user.id),
            },
            credential,
            authority: authority.to_owned(),
            spender: Some(Spender {
                user_id: principal.user.id,
                credential: id,
                is_administration: scope::RESERVED.contains(&authority),
            }),
            ..self
        }
    }

    /// Returns this context, authenticated by the static key.
    #[must_use]
    pub(crate) fn by_static_key(self) -> Self {
        Self {
            actor: STATIC_KEY.to_owned(),
            credential: STATIC_KEY.to_owned(),
            authority: STATIC_KEY.to_owned(),
            ..self
        }
    }

    /// Identifies the client: the actor and the credential.
    pub(crate) fn client_name(&self) -> String {
        format!("{} {}", self.actor, self.credential)
    }

    /// Returns this context, for an operation of a user on their own account.
    #[must_use]
    pub fn by_owner(self, principal: &Principal) -> Self {
        self.by(principal, OWN_ACCOUNT)
    }

    /// Returns this context, authenticated by a password.
    pub(crate) fn by_password(&self, user_id: i64) -> Self {
        Self {
            actor: user(user_id),
            credential: "password".to_owned(),
            authority: OWN_ACCOUNT.to_owned(),
            ..self.clone()
        }
    }

    /// Returns this context, authenticated by a passkey without a password.
    pub(crate) fn by_passkey(&self, user_id: i64) -> Self {
        Self {
            credential: "passkey".to_owned(),
            ..self.by_password(user_id)
        }
    }

    /// Returns this context, authenticated by a refresh token of a session. The user pays for it.
    pub(crate) fn by_refresh_token(&self, user_id: i64, session_id: i64) -> Self {
        self.by_session_secret("refresh", user_id, session_id)
    }

    /// Returns this context, authenticated by a code that a signed-in browser has got. The user pays for it.
    #[cfg(feature = "pages")]
    pub(crate) fn by_sign_in_code(&self, user_id: i64, session_id: i64) -> Self {
        self.by_session_secret("code", user_id, session_id)
    }

    /// Returns this context, authenticated by a link or code from a mail.
    #[cfg(feature = "mail")]
    pub(crate) fn by_mail(&self, user_id: i64) -> Self {
        Self {
            actor: user(user_id),
            credential: "mail".to_owned(),
            authority: OWN_ACCOUNT.to_owned(),
            ..self.clone()
        }
    }

    fn by_session_secret(&self, credential: &str, user_id: i64, session_id: i64) -> Self {
        Self {
            actor: user(user_id),
            credential: credential.to_owned(),
            authority: OWN_ACCOUNT.to_owned(),
            spender: Some(Spender {
                user_id,
                credential: CredentialId::Login(session_id),
                is_administration: false,
            }),
            ..self.clone()
        }
    }

    /// Whose budget for changes pays for the operation; `None` without a principal.
    pub(crate) fn spender(&self) -> Option<Spender> {
        self.spender
    }

    /// Whether many clients share the address: see [`Self::behind_unnamed_proxy`].
    pub(crate) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Whether the client is not authenticated.
    pub(super) fn is_anonymous(&self) -> bool {
        self.actor == ANONYMOUS
    }

    /// Returns this context for the sum of several requests, without what belongs to a single one.
    pub(super) fn summed(&self) -> Self {
        Self {
            actor: self.actor.clone(),
            address: self.address,
            ..Self::default()
        }
    }

    /// The language that the client prefers; empty if it is unknown.
    pub(crate) fn locale(&self) -> &str {
        &self.locale
    }

    /// The client's address.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What the client calls itself, printable and shortened; empty without a header.
    pub(crate) fn user_agent(&self) -> &str {
        &self.user_agent
    }

    /// The client's network.
    pub(crate) fn network(&self) -> Network {
        Network::new(self.address)
    }

    /// The address as it is written in the trail; empty without one.
    pub(crate) fn ip(&self) -> String {
        self.address.map(|ip| ip.to_string()).unwrap_or_default()
    }
}

/// How the trail names a user.
pub(crate) fn user(id: i64) -> String {
    format!("user:{id}")
}

/// How the trail names an app.
pub(crate) fn app(name: &str) -> String {
    format!("app:{name}")
}

/// How the trail names a key.
pub(crate) fn key(id: i64) -> String {
    format!("key:{id}")
}

/// What an actor or a target of the trail identifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// `user:12`
    User(i64),
    /// `key:3`
    Key(i64),
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&match self {
            Self::User(id) => user(*id),
            Self::Key(id) => key(*id),
        })
    }
}

/// Parses the name of a user or a key in the trail.
pub(crate) fn named(name: &str) -> Option<Named> {
    let (kind, id) = name.split_once(':')?;
    let id = id.parse().ok()?;
    match kind {
        "user" => Some(Named::User(id)),
        "key" => Some(Named::Key(id)),
        _ => None,
    }
}

/// Truncates the text, and replaces control characters, which could move a cursor or break a line,
/// with spaces.
fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .take(MAX_USER_AGENT)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// Returns the user who runs this process, which identifies an operator with a shell in the trail:
/// `<uid>`, or `<uid>/<uid>` for root through sudo, where the second is the caller of sudo; then
/// `@<terminal>` when standard input is a terminal: `0/1000@pts/3`. Returns `None` where the system
/// does not provide the user id.
fn process_owner() -> Option<String> {
    let sudo_uid = std::env::var("SUDO_UID").ok();
    let terminal = std::io::stdin()
        .is_terminal()
        .then(|| fs::read_link("/proc/self/fd/0").ok())
        .flatten();
    let terminal = terminal.as_ref().and_then(|path| path.to_str());
    Some(describe(real_uid()?, sudo_uid.as_deref(), terminal))
}

/// The real user id, on Linux.
fn real_uid() -> Option<u32> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    ids.split_ascii_whitespace().next()?.parse().ok()
}

fn describe(uid: u32, sudo_uid: Option<&str>, terminal: Option<&str>) -> String {
    let mut who = uid.to_string();
    // Any user can set the variable, but root could act without sudo as well.
    let is_number = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let caller = sudo_uid.filter(is_number).and_then(|id| id.parse().ok());
    if let Some(caller) = caller.filter(|_: &u32| uid == 0) {
        who.push_str(&format!("/{caller}"));
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_".contains(&byte);
    let terminal = terminal.and_then(|path| path.strip_prefix("/dev/"));
    if let Some(name) = terminal.filter(|name| name.len() <= MAX_TERMINAL)
        && name.bytes().all(is_plain)
    {
        who.push_str(&format!("@{name}"));
    }
    who
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sudo_caller_is_shown_for_root_only_and_as_a_number() {
        for (uid, sudo_uid, terminal, expected) in [
            (0, None, None, "0"),
            (0, Some("1000"), None, "0/1000"),
            (0, Some("1000"), Some("/dev/pts/3"), "0/1000@pts/3"),
            (1001, Some("1000"), Some("/dev/tty1"), "1001@tty1"),
            (1001, None, None, "1001"),
            (0, Some(""), None, "0"),
            (0, Some("-1"), None, "0"),
            (0, Some("+1"), None, "0"),
            (0, Some("1000 user:1"), None, "0"),
            (0, Some("99999999999999999999"), None, "0"),
            (0, None, Some("/proc/1/fd/0"), "0"),
            (0, None, Some("/dev/pts/\u{202e}"), "0"),
            (
                0,
                None,
                Some("/dev/a-terminal-name-of-more-than-32-bytes"),
                "0",
            ),
        ] {
            assert_eq!(describe(uid, sudo_uid, terminal), expected);
        }
    }

    #[test]
    fn process_owner_begins_with_user_id() {
        let owner = process_owner().unwrap();
        assert!(
            owner.starts_with(|first: char| first.is_ascii_digit()),
            "{owner}"
        );
    }
}
