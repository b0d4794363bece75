//! The actions that the trail records, and their events.

use serde_json::{Map, Value};

use super::context;

/// The action that an event records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A user registered.
    Register,
    /// A user signed in, or a client tried to.
    Login,
    /// A user signed out.
    Logout,
    /// A credential was revoked by a client that had it (RFC 7009).
    TokenRevoke,
    /// A login token was issued without a password.
    TokenIssue,
    /// An API key was created.
    KeyCreate,
    /// An API key was used for the first time.
    KeyFirstUse,
    /// An API key was revoked by its owner.
    KeyRevoke,
    /// A user changed the password, or a client tried to.
    PasswordChange,
    /// The name, surname or website of a user was changed.
    UserUpdate,
    /// A user was created by an administrator or operator.
    UserCreate,
    /// An app was created by an operator.
    AppCreate,
    /// An app was deleted by an operator, with its keys.
    AppRevoke,
    /// A user was deleted.
    UserDelete,
    /// A user was disabled.
    UserDisable,
    /// A user was enabled again.
    UserEnable,
    /// The failed attempts of a user were cleared.
    UserUnlock,
    /// An account refused a password attempt for the first time, or with the longest wait.
    AccountThrottled,
    /// The scopes of a user were changed.
    UserScopes,
    /// All tokens and keys of a user were revoked.
    UserSignOut,
    /// An administrator or operator read other users.
    UserRead,
    /// An administrator or operator read the events of all users.
    EventRead,
    /// A request was refused because the caller lacks a scope.
    ScopeRefused,
    /// A wrong static key was sent.
    StaticKeyRefused,
    /// The static key was used from an address for the first time since the process began.
    StaticKeyFirstUse,
    /// Requests came through a proxy that the settings do not name.
    ProxyUntrusted,
    /// Denials were recorded as sums instead of individually for some time.
    AuditSuppressed,
    /// Old events were deleted.
    AuditPrune,
    /// From here on, the trail is chained with the configured key instead of the one in the
    /// database. Versions before 0.2 switched automatically.
    AuditKey,
    /// From here on the trail is chained with another key, which an operator has adopted.
    AuditAdoptKey,
    /// The head of the trail was found altered.
    AuditAltered,
    /// An operator confirmed the clock, though it was far from the latest time seen.
    ClockConfirm,
    /// Users were imported from another program.
    Import,
    /// The database was restored from a copy.
    Restore,
    /// The service started, with the version and a digest of the settings.
    ServiceStart,
    /// The service stopped on request.
    ServiceStop,
    /// The tables were migrated.
    Migrate,
    /// The database was copied, including all hashes.
    Backup,
    /// The audit trail was printed, for another system.
    AuditExport,
    /// An operator read the keys of a user.
    KeyRead,
    /// An operator deleted the expired login tokens.
    TokenPrune,
    /// A client introspected credentials, for the first time from this address.
    Introspect,
    /// The session of a user that was unused longest ended, because the user began another one.
    SessionEvicted,
    /// Sessions of a user were ended by the user, an administrator or an operator.
    SessionEnd,
    /// A user gave a session another name.
    SessionRename,
    /// The browser of a session was signed in at a host that a reverse proxy guards.
    SessionHost,
    /// An administrator or operator read the sessions of a user.
    SessionRead,
    /// A refresh token was used that another one had replaced long before, so the session ended: one of
    /// the two users of the session has copied it, or restored it from a backup.
    SessionRefreshReuse,
    /// A client asked for a mail to a user, with a link or code.
    MailRequest,
    /// An administrator or operator read the mails that are queued, sent or failed.
    MailRead,
    /// An administrator or operator queued a mail again that has failed.
    MailRetry,
    /// An administrator or operator deleted a mail that has failed.
    MailDrop,
    /// A user set another password with a link or code, or a client tried to.
    PasswordReset,
    /// An administrator or operator made a link to reset a user's password, or had it mailed.
    PasswordResetLink,
    /// A user verified the address with a link or code, a client tried to, or an operator declared it.
    EmailVerify,
    /// A user asked for another address, or a client tried to.
    EmailChangeRequest,
    /// A user withdrew such a request.
    EmailChangeWithdraw,
    /// A user confirmed another address with a link, or a client tried to.
    EmailChange,
    /// A change of the address was undone with the link in the mail to the old one, or a client tried to.
    EmailChangeUndo,
    /// An administrator or operator invited the reader of an address.
    InvitationCreate,
    /// An administrator mailed an invitation again.
    InvitationResend,
    /// An administrator revoked an invitation.
    InvitationRevoke,
    /// An administrator read the invitations.
    InvitationRead,
    /// A user was created by accepting an invitation, or a client tried to.
    InvitationAccept,
    /// A user confirmed a second factor, or tried to.
    FactorAdd,
    /// A user removed a second factor.
    FactorRemove,
    /// A user gave a second factor another name.
    FactorRename,
    /// An administrator or operator removed second factors of a user.
    FactorReset,
    /// A user made new recovery codes.
    RecoveryCodes,
    /// A user signed in with a recovery code.
    RecoveryCodeUse,
    /// A signed-in user has shown once more who they are, or a client tried to.
    SessionRenew,
    /// A user had a device trusted, where sign-ins need the password only.
    DeviceTrust,
    /// A user ended the trust in devices.
    DeviceEnd,
    /// An operator read the trusted devices of a user.
    DeviceRead,
    /// A passkey has signed with a counter that went back, so a copy of it may exist.
    PasskeyCounter,
    /// A passkey says for the first time, or no longer, that it is or may be backed up.
    PasskeyBackup,
    /// An operator had the seeds of authenticator apps sealed with another key.
    KeysRotate,
}

impl Action {
    /// Every action.
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
        Self::AppCreate,
        Self::AppRevoke,
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
        Self::SessionEvicted,
        Self::SessionEnd,
        Self::SessionRename,
        Self::SessionHost,
        Self::SessionRead,
        Self::SessionRefreshReuse,
        Self::MailRequest,
        Self::MailRead,
        Self::MailRetry,
        Self::MailDrop,
        Self::PasswordReset,
        Self::PasswordResetLink,
        Self::EmailVerify,
        Self::EmailChangeRequest,
        Self::EmailChangeWithdraw,
        Self::EmailChange,
        Self::EmailChangeUndo,
        Self::InvitationCreate,
        Self::InvitationResend,
        Self::InvitationRevoke,
        Self::InvitationRead,
        Self::InvitationAccept,
        Self::FactorAdd,
        Self::FactorRemove,
        Self::FactorRename,
        Self::FactorReset,
        Self::RecoveryCodes,
        Self::RecoveryCodeUse,
        Self::SessionRenew,
        Self::DeviceTrust,
        Self::DeviceEnd,
        Self::DeviceRead,
        Self::PasskeyCounter,
        Self::PasskeyBackup,
        Self::KeysRotate,
    ];

    /// The name of the action in the trail, which never changes.
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
            Self::AppCreate => "app.create",
            Self::AppRevoke => "app.revoke",
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
            Self::SessionEvicted => "session.evicted",
            Self::SessionEnd => "session.end",
            Self::SessionRename => "session.rename",
            Self::SessionHost => "session.host",
            Self::SessionRead => "session.read",
            Self::SessionRefreshReuse => "session.refresh_reuse",
            Self::MailRequest => "mail.request",
            Self::MailRead => "mail.read",
            Self::MailRetry => "mail.retry",
            Self::MailDrop => "mail.drop",
            Self::PasswordReset => "password.reset",
            Self::PasswordResetLink => "password.reset-link",
            Self::EmailVerify => "email.verify",
            Self::EmailChangeRequest => "email.change-request",
            Self::EmailChangeWithdraw => "email.change-withdraw",
            Self::EmailChange => "email.change",
            Self::EmailChangeUndo => "email.change-undo",
            Self::InvitationCreate => "invitation.create",
            Self::InvitationResend => "invitation.resend",
            Self::InvitationRevoke => "invitation.revoke",
            Self::InvitationRead => "invitation.read",
            Self::InvitationAccept => "invitation.accept",
            Self::FactorAdd => "factor.add",
            Self::FactorRemove => "factor.remove",
            Self::FactorRename => "factor.rename",
            Self::FactorReset => "factor.reset",
            Self::RecoveryCodes => "factor.recovery-codes",
            Self::RecoveryCodeUse => "factor.recovery-code-use",
            Self::SessionRenew => "session.renew",
            Self::DeviceTrust => "device.trust",
            Self::DeviceEnd => "device.end",
            Self::DeviceRead => "device.read",
            Self::PasskeyCounter => "passkey.counter",
            Self::PasskeyBackup => "passkey.backup",
            Self::KeysRotate => "keys.rotate",
        }
    }
}

/// An event before it is written. Its details must never contain a secret, nor what a client
/// entered where a secret is expected.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(super) action: Action,
    pub(super) target: String,
    pub(super) refused: bool,
    pub(super) detail: Map<String, Value>,
}

impl Event {
    /// An action that succeeded.
    pub(crate) fn new(action: Action) -> Self {
        Self {
            action,
            target: String::new(),
            refused: false,
            detail: Map::new(),
        }
    }

    /// An action that was requested and refused.
    pub(crate) fn refused(action: Action) -> Self {
        Self {
            refused: true,
            ..Self::new(action)
        }
    }

    /// Sets a user as the target.
    pub(crate) fn on_user(mut self, id: i64) -> Self {
        self.target = context::user(id);
        self
    }

    /// Sets an app as the target.
    pub(crate) fn on_app(mut self, name: &str) -> Self {
        self.target = context::app(name);
        self
    }

    /// Sets a key as the target.
    pub(crate) fn on_key(mut self, id: i64) -> Self {
        self.target = context::key(id);
        self
    }

    /// Adds a detail.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
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
    fn action_names_are_unique() {
        let names: HashSet<_> = Action::ALL.iter().map(|action| action.name()).collect();
        assert_eq!(names.len(), Action::ALL.len());
    }
}
