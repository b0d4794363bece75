//! The domain's errors: why an operation is refused or fails, independent of the transport.
//!
//! No variant holds a cause, a query, or a value that may be a secret. What a client sees of each is
//! in `guards/error_response.rs`; errors in the framing of a request are in `http/request_error.rs`.

use std::fmt;
use std::time::Duration;

use pydantic_email::InvalidEmail;
use serde_json::Value;

use crate::credential::token::NoRandomness;
use crate::password::{Busy, PolicyViolation};
use crate::scope::InvalidScope;
use crate::store::StoreError;

/// Why an operation is refused or fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request has no user credential.
    #[error("no credential was sent")]
    NotAuthenticated,
    /// The credential is unknown, expired or revoked.
    #[error("the credential is not valid")]
    InvalidToken,
    /// The request has two different credentials (RFC 6750 section 2).
    #[error("two different credentials were sent")]
    TwoCredentials,
    /// The header `Token` is missing where the static key is required.
    #[error("no static key was sent")]
    StaticKeyMissing,
    /// The header `Token` does not hold the static key.
    #[error("the static key is wrong")]
    StaticKeyWrong,
    /// No user has this name and password. The error does not say which of the two is wrong.
    #[error("incorrect username or password")]
    BadCredentials,
    /// The refresh token is unknown or used up, or its session has ended (RFC 6749 section 5.2). The
    /// error does not say which.
    #[error("the refresh token is not valid")]
    InvalidGrant,
    /// The refresh token was used long before, so the session has ended.
    #[error("the refresh token was used before")]
    RefreshTokenReused,
    /// A sign-in requests scopes that are malformed or that the user does not hold (RFC 6749 section
    /// 5.2).
    #[error("the user does not hold all requested scopes")]
    InvalidScope,
    /// The credential lacks this scope (RFC 6750 section 3.1).
    #[error("the scope {0} is missing")]
    InsufficientScope(String),
    /// The operation requires a login token; an API key is not enough.
    #[error("a login token is required")]
    LoginTokenRequired,
    /// The operation is for users; the credential belongs to an app.
    #[error("a user is required, not an app")]
    UserRequired,
    /// The API key has no scopes, so it does not allow this operation.
    #[error("the API key has no scopes")]
    KeyWithoutScopes,
    /// The operation requires the current password or a recent sign-in.
    #[error("the current password or a recent sign-in is required")]
    RecentSignInRequired,
    /// The user is the last administrator who can sign in.
    #[error("the last administrator cannot be removed")]
    LastAdministrator,
    /// The change must name the version that it applies to (RFC 6585 section 3).
    #[error("a precondition is required")]
    PreconditionRequired,
    /// The user has another version than the one that the change applies to (RFC 9110 section
    /// 15.5.13).
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// The owner of a new key does not hold this scope.
    #[error("the owner does not hold the scope {0}")]
    ScopeNotHeld(String),
    /// The user has the maximum number of keys.
    #[error("the user has too many keys")]
    TooManyKeys,
    /// The user is disabled, so a new credential would be useless.
    #[error("the user is disabled")]
    Disabled,
    /// The current password, sent to confirm an operation, is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// The network has made too many attempts, or the user too many changes.
    #[error("too many attempts")]
    TooManyAttempts {
        /// When the client may try again.
        retry_after: Duration,
    },
    /// The code of a second factor is wrong, or was used before.
    #[error("the code is wrong")]
    WrongCode {
        /// How many codes the sign-in takes after this one, if it waits.
        tries_left: Option<i64>,
    },
    /// The token of a sign-in that waits for a second factor is unknown, expired or used, or the user was
    /// changed meanwhile (RFC 6749 section 5.2). The error does not say which.
    #[error("the sign-in has ended")]
    BadMfaToken,
    /// The operation requires a session whose user has shown a second factor (RFC 9470 section 3).
    #[error("a second factor is required")]
    SecondFactorRequired,
    /// The operation requires a sign-in at most this many seconds ago (RFC 9470 section 3).
    #[error("a sign-in within {0} s is required")]
    FreshSignInRequired(u32),
    /// What a browser has signed with a passkey, or the new passkey itself, is not accepted (RFC 6749 section
    /// 5.2).
    #[error("the passkey is not accepted")]
    BadPasskey {
        /// Whether no user has a passkey with this id, so that the browser may forget it.
        is_unknown: bool,
    },
    /// The service offers no passkeys, or none that stand alone.
    #[error("passkeys are off: set TOKENHOUSE_PASSKEYS")]
    PasskeysOff,
    /// The service offers no second factors.
    #[error("second factors are off: set TOKENHOUSE_SECRET_KEY")]
    FactorsOff,
    /// The user has the maximum number of second factors.
    #[error("the user has too many second factors")]
    TooManyFactors,
    /// The user has no such second factor.
    #[error("no such second factor")]
    FactorNotFound,
    /// The user has no such trusted device.
    #[error("no such device")]
    DeviceNotFound,
    /// The e-mail address belongs to another user.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// This is no name for an app.
    #[error(
        "the name of an app begins with a lower-case letter, and has at most 64 lower-case letters, \
         digits, '.', '_' and '-'"
    )]
    AppName,
    /// Another app has this name.
    #[error(
        "an app has this name: tokenhouse app list shows it, tokenhouse app add-key gives it a key"
    )]
    AppTaken,
    /// No app has this name or id.
    #[error("no such app: tokenhouse app list shows all")]
    AppNotFound,
    /// The link or code of a mail is unknown, used, expired or replaced. The error does not say which.
    #[error("the link or code is not valid")]
    BadMailToken,
    /// The address was verified before, with this link.
    #[error("the address is verified already")]
    AlreadyVerified,
    /// The user has to verify the address before signing in.
    #[error("the address is not verified")]
    EmailNotVerified,
    /// The service sends no mail.
    #[error("mail is off: set TOKENHOUSE_MAIL")]
    MailOff,
    /// The service does not know the URL that links begin with.
    #[error("links need TOKENHOUSE_PUBLIC_URL")]
    NoPublicUrl,
    /// No failed mail has this id.
    #[error("no such mail")]
    MailNotFound,
    /// An invitation to this address can be accepted.
    #[error("an invitation to this address is open")]
    InvitationOpen,
    /// No invitation has this id.
    #[error("no such invitation")]
    InvitationNotFound,
    /// The invitation cannot be accepted any more: it has this state.
    #[error("the invitation is {0}")]
    InvitationOver(&'static str),
    /// The settings do not allow this address to register.
    #[error("registration is not open")]
    RegistrationRefused,
    /// Fields of the input are missing or wrong.
    #[error("{}", list(.0))]
    InvalidInput(Vec<FieldError>),
    /// No user has this id or address.
    #[error("no such user")]
    UserNotFound,
    /// The user has no API key with this id.
    #[error("no such API key")]
    KeyNotFound,
    /// The user has no such session.
    #[error("no such session")]
    SessionNotFound,
    /// The queue of passwords to hash is full.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database does not respond.
    #[error("the database is unavailable")]
    Unavailable,
    /// The audit trail was signed with another key, so no event can be appended.
    #[error(
        "the audit trail was signed with a different key: set \
         TOKENHOUSE_AUDIT_KEY back, or stop every process and run tokenhouse audit adopt-key"
    )]
    OtherAuditKey,
    /// A fault of the service itself.
    #[error("internal error")]
    Internal,
}

impl From<NoRandomness> for Error {
    fn from(error: NoRandomness) -> Self {
        log::error!("{error}");
        Self::Internal
    }
}

impl From<diesel::result::Error> for Error {
    fn from(error: diesel::result::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        // The cause is only logged: the client learns only that it can try again later.
        log::error!("{error}");
        Self::Unavailable
    }
}

/// What is wrong with one field of an input.
#[derive(Clone, Debug)]
pub struct FieldError {
    /// The name of the field.
    pub field: &'static str,
    /// What is wrong with it.
    pub reason: InvalidField,
    /// The offending value; null for a field that holds a secret.
    pub value: Value,
}

/// Why the value of a field is not accepted. `Display` completes a sentence about the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidField {
    /// The field is missing.
    #[error("is required")]
    Missing,
    /// The value has another type.
    #[error("must be {0}")]
    WrongType(FieldType),
    /// The text contains an unpaired surrogate.
    #[error("must be valid Unicode")]
    InvalidUnicode,
    /// The text has too few characters (code points).
    #[error("must have at least {min} character{}", plural(*.min))]
    TooShort {
        /// The minimum.
        min: usize,
    },
    /// The text has too many characters (code points).
    #[error("must have at most {max} characters")]
    TooLong {
        /// The maximum.
        max: usize,
    },
    /// The text has more bytes than a column of the database stores.
    #[error("must have at most {max} bytes")]
    TooManyBytes {
        /// The maximum.
        max: usize,
    },
    /// The number is too small.
    #[error("must be at least {min}")]
    TooSmall {
        /// The minimum.
        min: i64,
    },
    /// The number is too large.
    #[error("must be at most {max}")]
    TooLarge {
        /// The maximum.
        max: i64,
    },
    /// The text is no code of a second factor.
    #[error("must be a code of six digits")]
    NoCode,
    /// The text names no kind of second factor.
    #[error("must be totp or webauthn")]
    UnknownFactor,
    /// There is another second factor as well.
    #[error("cannot be combined with another second factor")]
    SecondProof,
    /// The text is no recovery code.
    #[error("must be one recovery code, such as 3-ABCDE-FGHJK")]
    NoRecoveryCode,
    /// The text contains U+0000, which Postgres does not store.
    #[error("must not contain the NUL character (U+0000)")]
    NulCharacter,
    /// The text is not an e-mail address.
    #[error("is not a valid e-mail address: {0}")]
    Email(InvalidEmail),
    /// The password does not satisfy the policy.
    #[error(transparent)]
    Password(PolicyViolation),
    /// The text is not a list of scopes.
    #[error("must be names of printable ASCII without quotes and backslashes, separated by spaces")]
    Scopes(InvalidScope),
    /// All scopes are replaced, and scopes are added or removed as well.
    #[error("cannot be combined with scopes_add and scopes_remove")]
    ScopesReplacedAndAdjusted,
    /// A scope is both added and removed.
    #[error("must not contain a scope of scopes_add")]
    ScopeAddedAndRemoved,
}

/// The type that a field must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldType {
    /// A text.
    Text,
    /// A boolean.
    Boolean,
    /// A whole number.
    Integer,
    /// A boolean or a list of whole numbers.
    BooleanOrIntegers,
    /// An object.
    Object,
}

impl FieldError {
    /// An error that does not show the value.
    pub fn new(field: &'static str, reason: InvalidField) -> Self {
        Self {
            field,
            reason,
            value: Value::Null,
        }
    }

    /// Adds the offending value. Not for a field that holds a secret.
    pub fn with_value(mut self, value: impl Into<Value>) -> Self {
        self.value = value.into();
        self
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "a text",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::BooleanOrIntegers => "true, false or a list of whole numbers",
            Self::Object => "an object",
        })
    }
}

fn list(errors: &[FieldError]) -> String {
    let errors: Vec<String> = errors.iter().map(FieldError::to_string).collect();
    errors.join("; ")
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Collects the errors of several fields, in the order in which the fields are checked, so that the
/// client receives all of them at once.
pub(crate) struct ErrorCollector<E = FieldError>(Vec<E>);

impl<E> ErrorCollector<E> {
    /// A collector without errors.
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the value of a valid field. Keeps the error of an invalid field, and returns `None`.
    pub(crate) fn take<T>(&mut self, field: Result<T, E>) -> Option<T> {
        field.map_err(|error| self.0.push(error)).ok()
    }
}

impl<E> From<ErrorCollector<E>> for Vec<E> {
    fn from(errors: ErrorCollector<E>) -> Self {
        errors.0
    }
}

impl From<ErrorCollector> for Error {
    fn from(errors: ErrorCollector) -> Self {
        Self::InvalidInput(errors.0)
    }
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::InvalidInput(vec![error])
    }
}
