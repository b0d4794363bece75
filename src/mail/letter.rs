//! What a mail says, and how sending it ends.

use std::fmt;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};

/// The kind of a mail, which chooses its template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A link and a code to choose a new password.
    ResetPassword,
    /// A link and a code that prove who reads mails to this address.
    VerifyAddress,
    /// The same for the new address of a user.
    ConfirmChange,
    /// To a registered address with which a client wants to register again.
    AddressTaken,
    /// To an address without an account for which a client asks for a new password.
    UnknownAccount,
    /// A link to create an account.
    Invitation,
    /// What has happened to an account, in case it was not its owner.
    Notice(Notice),
}

/// What has happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Notice {
    /// It has a new password.
    PasswordChanged,
    /// It has a new address; sent to the old one, with a link that restores it.
    AddressChanged,
    /// It has a new API key.
    KeyCreated,
    /// A device has signed in that was not known.
    NewDevice,
    /// A refresh token was used twice, so its session has ended.
    RefreshReuse,
    /// It has a new second factor.
    FactorAdded,
    /// A second factor was removed, by the user or by an administrator.
    FactorRemoved,
    /// It has new recovery codes.
    RecoveryCodes,
    /// A recovery code was used.
    RecoveryCodeUsed,
    /// The counter of a passkey has gone back.
    PasskeyCopied,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 16] = [
        Self::ResetPassword,
        Self::VerifyAddress,
        Self::ConfirmChange,
        Self::AddressTaken,
        Self::UnknownAccount,
        Self::Invitation,
        Self::Notice(Notice::PasswordChanged),
        Self::Notice(Notice::AddressChanged),
        Self::Notice(Notice::KeyCreated),
        Self::Notice(Notice::NewDevice),
        Self::Notice(Notice::RefreshReuse),
        Self::Notice(Notice::FactorAdded),
        Self::Notice(Notice::FactorRemoved),
        Self::Notice(Notice::RecoveryCodes),
        Self::Notice(Notice::RecoveryCodeUsed),
        Self::Notice(Notice::PasskeyCopied),
    ];

    /// The name of its templates, as in `reset-password.en.txt`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset-password",
            Self::VerifyAddress => "verify-address",
            Self::ConfirmChange => "confirm-change",
            Self::AddressTaken => "address-taken",
            Self::UnknownAccount => "unknown-account",
            Self::Invitation => "invitation",
            Self::Notice(Notice::PasswordChanged) => "password-changed",
            Self::Notice(Notice::AddressChanged) => "address-changed",
            Self::Notice(Notice::KeyCreated) => "key-created",
            Self::Notice(Notice::NewDevice) => "new-device",
            Self::Notice(Notice::RefreshReuse) => "refresh-reuse",
            Self::Notice(Notice::FactorAdded) => "factor-added",
            Self::Notice(Notice::FactorRemoved) => "factor-removed",
            Self::Notice(Notice::RecoveryCodes) => "recovery-codes-made",
            Self::Notice(Notice::RecoveryCodeUsed) => "recovery-code-used",
            Self::Notice(Notice::PasskeyCopied) => "passkey-copied",
        }
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the mail is useless without its link, so that every template must show it.
    pub(super) fn requires_link(self) -> bool {
        self.requires_code() || matches!(self, Self::Invitation)
    }

    /// Whether every template must show the code, if there is one.
    pub(super) fn requires_code(self) -> bool {
        matches!(
            self,
            Self::ResetPassword | Self::VerifyAddress | Self::ConfirmChange
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A mail to one recipient.
#[derive(Clone, Copy)]
pub struct Letter<'a> {
    /// The kind.
    pub kind: Kind,
    /// The address of the recipient, as stored.
    pub to: &'a str,
    /// The name of the recipient, as stored; may be empty.
    pub name: &'a str,
    /// The language that the recipient prefers (BCP 47), such as `de-AT`; may be empty.
    pub locale: &'a str,
    /// The `Message-ID` without the angle brackets, from [`Mailer::message_id`](super::Mailer::message_id);
    /// the same on every try, so that recipients can tell a mail that arrives twice.
    pub message_id: &'a str,
    /// The link with the token.
    pub link: Option<&'a str>,
    /// The code that can be typed instead.
    pub code: Option<&'a str>,
    /// How long the link works.
    pub lifetime: Option<TimeDelta>,
    /// How long the code works; as long as the link if `None`.
    pub code_lifetime: Option<TimeDelta>,
    /// What else the mail says.
    pub details: Details<'a>,
}

impl fmt::Debug for Letter<'_> {
    /// Without the link and the code, which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("kind", &self.kind)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

/// Facts that a mail mentions if they are known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// When it happened.
    pub time: Option<DateTime<Utc>>,
    /// The address of the client.
    pub ip: Option<IpAddr>,
    /// The device, as the session names it.
    pub device: Option<&'a str>,
    /// The new address of the user.
    pub new_address: Option<&'a str>,
    /// The name or address of the user who invites.
    pub inviter: Option<&'a str>,
    /// What the invited user may do.
    pub role: Option<&'a str>,
    /// The name of the API key.
    pub key: Option<&'a str>,
}

/// How sending a mail ended, with the last words of the server: one printable line of at most
/// [`MAX_REPLY`] characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// The server has taken it.
    Accepted(String),
    /// Not now: try again later.
    Temporary(String),
    /// The server refuses it for good.
    Permanent(String),
    /// The connection ended after the message and before the answer: the mail may have arrived. Try again
    /// with the same `Message-ID`.
    Unknown(String),
}

/// The longest reply of a server that is kept, in characters.
pub const MAX_REPLY: usize = 300;

impl Outcome {
    /// The last words of the server, or what went wrong.
    pub fn reply(&self) -> &str {
        match self {
            Self::Accepted(reply)
            | Self::Temporary(reply)
            | Self::Permanent(reply)
            | Self::Unknown(reply) => reply,
        }
    }
}

/// The text of a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The locale that was chosen.
    pub locale: String,
    /// One line.
    pub subject: String,
    /// The part `text/plain`.
    pub text: String,
    /// The part `text/html`.
    pub html: String,
}
