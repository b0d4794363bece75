//! What can happen, and what is said about it.

use serde_json::{Map, Value};

use super::origin;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A user registered.
    Register,
    /// A user signed in, or somebody tried to.
    Login,
    /// A user signed out.
    Logout,
    /// A credential was ended by whoever had it (RFC 7009).
    TokenRevoke,
    /// A login token was made without a password.
    TokenIssue,
    /// An API key was made.
    KeyCreate,
    /// An API key was used for the first time.
    KeyFirstUse,
    /// An API key was revoked by its owner.
    KeyRevoke,
    /// A user changed the password, or somebody tried to.
    PasswordChange,
    /// The name, surname or website of a user was changed.
    UserUpdate,
    /// A user was made by somebody else.
    UserCreate,
    /// A user was deleted.
    UserDelete,
    /// A user was disabled.
    UserDisable,
    /// A user was enabled again.
    UserEnable,
    /// Wrong passwords are no longer held against a user.
    UserUnlock,
    /// An account refuses attempts at its password: the first time, or for the longest time.
    AccountThrottled,
    /// The scopes of a user were changed.
    UserScopes,
    /// All tokens and keys of a user were ended.
    UserSignOut,
    /// Somebody looked at other users.
    UserRead,
    /// Somebody looked at everybody's events.
    EventRead,
    /// A request for something that the caller's scopes do not allow.
    ScopeRefused,
    /// A wrong static key.
    StaticKeyRefused,
    /// The static key was used from an address for the first time since the process began.
    StaticKeyFirstUse,
    /// Requests came by way of a proxy that the settings do not name.
    ProxyUntrusted,
    /// Refusals were summed up for a time, and not written one by one.
    AuditSuppressed,
    /// Old events were deleted.
    AuditPrune,
    /// From here on the trail is chained with the key of the settings, and not any more with the
    /// one in the database. Versions before 0.2 went over to it by themselves.
    AuditKey,
    /// From here on the trail is chained with another key, which an operator has adopted.
    AuditAdoptKey,
    /// The head of the trail was found altered.
    AuditAltered,
    /// An operator took the clock for right, though it was far from the latest time seen.
    ClockConfirm,
    /// Users of another program were taken over.
    Import,
    /// The database was put back from a copy.
    Restore,
    /// The service started, with the version and a digest of the settings.
    ServiceStart,
    /// The service ended as it was told to.
    ServiceStop,
    /// The tables were brought up to date.
    Migrate,
    /// The database was copied, with all hashes.
    Backup,
    /// The audit trail was printed, for another system.
    AuditExport,
    /// An operator looked at the keys of a user.
    KeyRead,
    /// An operator deleted the login tokens that had expired.
    TokenPrune,
    /// A client asked about other people's credentials, for the first time from this address.
    Introspect,
}

impl Action {
    /// Every action there is.
    pub const ALL: &[Self] = &[
        Self::Register,
        Self::Login,
        Self::Logout,
        Self::TokenRevoke,
        Self::TokenIssue,
        Self::KeyCreate,
        Self::KeyFirstUse,
        Self::KeyRevoke,
        Self::PasswordChange,
        Self::UserUpdate,
        Self::UserCreate,
        Self::UserDelete,
        Self::UserDisable,
        Self::UserEnable,
        Self::UserUnlock,
        Self::AccountThrottled,
        Self::UserScopes,
        Self::UserSignOut,
        Self::UserRead,
        Self::EventRead,
        Self::ScopeRefused,
        Self::StaticKeyRefused,
        Self::StaticKeyFirstUse,
        Self::ProxyUntrusted,
        Self::AuditSuppressed,
        Self::AuditPrune,
        Self::AuditKey,
        Self::AuditAdoptKey,
        Self::AuditAltered,
        Self::ClockConfirm,
        Self::Import,
        Self::Restore,
        Self::ServiceStart,
        Self::ServiceStop,
        Self::Migrate,
        Self::Backup,
        Self::AuditExport,
        Self::KeyRead,
        Self::TokenPrune,
        Self::Introspect,
    ];

    /// Its name in the trail, which stays the same for ever.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Logout => "logout",
            Self::TokenRevoke => "token.revoke",
            Self::TokenIssue => "token.issue",
            Self::KeyCreate => "key.create",
            Self::KeyFirstUse => "key.first-use",
            Self::KeyRevoke => "key.revoke",
            Self::PasswordChange => "password.change",
            Self::UserUpdate => "user.update",
            Self::UserCreate => "user.create",
            Self::UserDelete => "user.delete",
            Self::UserDisable => "user.disable",
            Self::UserEnable => "user.enable",
            Self::UserUnlock => "user.unlock",
            Self::AccountThrottled => "account.throttled",
            Self::UserScopes => "user.scopes",
            Self::UserSignOut => "user.sign-out",
            Self::UserRead => "user.read",
            Self::EventRead => "event.read",
            Self::ScopeRefused => "scope.refused",
            Self::StaticKeyRefused => "static-key.refused",
            Self::StaticKeyFirstUse => "static-key.first-use",
            Self::ProxyUntrusted => "proxy.untrusted",
            Self::AuditSuppressed => "audit.suppressed",
            Self::AuditPrune => "audit.prune",
            Self::AuditKey => "audit.key",
            Self::AuditAdoptKey => "audit.adopt-key",
            Self::AuditAltered => "audit.altered",
            Self::ClockConfirm => "clock.confirm",
            Self::Import => "import",
            Self::Restore => "restore",
            Self::ServiceStart => "service.start",
            Self::ServiceStop => "service.stop",
            Self::Migrate => "migrate",
            Self::Backup => "backup",
            Self::AuditExport => "audit.export",
            Self::KeyRead => "key.read",
            Self::TokenPrune => "token.prune",
            Self::Introspect => "introspect",
        }
    }
}

/// Something that happens, before it is put into the trail. What is said about it must never be
/// a secret, nor anything that a stranger typed where a secret could be.
#[derive(Clone, Debug)]
pub(in crate::auth) struct Event {
    pub(super) action: Action,
    pub(super) target: String,
    pub(super) refused: bool,
    pub(super) detail: Map<String, Value>,
}

impl Event {
    /// Something that was done.
    pub(in crate::auth) fn new(action: Action) -> Self {
        Self {
            action,
            target: String::new(),
            refused: false,
            detail: Map::new(),
        }
    }

    /// Something that was asked for and not done.
    pub(in crate::auth) fn refused(action: Action) -> Self {
        Self {
            refused: true,
            ..Self::new(action)
        }
    }

    /// On this user.
    pub(in crate::auth) fn on_user(mut self, id: i64) -> Self {
        self.target = origin::user(id);
        self
    }

    /// On this key.
    pub(in crate::auth) fn on_key(mut self, id: i64) -> Self {
        self.target = origin::key(id);
        self
    }

    /// With this about it.
    pub(in crate::auth) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn result(&self) -> &'static str {
        if self.refused { "refused" } else { "ok" }
    }

    pub(super) fn detail_text(&self) -> String {
        if self.detail.is_empty() {
            String::new()
        } else {
            Value::Object(self.detail.clone()).to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Action;

    #[test]
    fn every_action_has_a_name_of_its_own() {
        let names: HashSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
    }
}
