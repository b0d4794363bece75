//! The one error type: everything that can be answered other than with success.
//!
//! No variant holds a cause, a query, or a value that may be a secret; what a client sees of each
//! stands in `http/error.rs`.

use std::time::Duration;

use serde_json::Value;

use crate::credential::token::NoRandomness;
use crate::password::Busy;
use crate::store::StoreError;

/// Why a request is not answered with success.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No credential of a user was sent.
    #[error("no credential was sent")]
    NotAuthenticated,
    /// The credential is unknown, expired or revoked.
    #[error("the credential is not valid")]
    InvalidToken,
    /// Two different credentials were sent (RFC 6750 section 2).
    #[error("two different credentials were sent")]
    TwoCredentials,
    /// The header `Token` is missing where the static key is required.
    #[error("no static key was sent")]
    StaticKeyMissing,
    /// The header `Token` holds something else than the static key.
    #[error("the static key is wrong")]
    StaticKeyWrong,
    /// No user has this name and password. Which of the two is wrong is not told.
    #[error("incorrect username or password")]
    BadCredentials,
    /// A sign-in asks for scopes that are no scopes, or that the user does not hold (RFC 6749
    /// section 5.2).
    #[error("a scope is not valid or not held")]
    InvalidScope,
    /// The credential does not allow this: it lacks the scope (RFC 6750 section 3.1).
    #[error("the scope {0} is missing")]
    InsufficientScope(String),
    /// Only a login token allows this.
    #[error("a login token is required")]
    LoginTokenRequired,
    /// An API key without scopes does not allow this.
    #[error("the API key has no scopes")]
    KeyWithoutScopes,
    /// This takes the current password, or a sign-in a short while ago.
    #[error("the current password or a recent sign-in is required")]
    RecentSignInRequired,
    /// The user is the last one who may administer others and sign in.
    #[error("the last administrator cannot be removed")]
    LastAdministrator,
    /// The change needs to say which version it is for (RFC 6585 section 3).
    #[error("a precondition is required")]
    PreconditionRequired,
    /// What is to be changed has another version than the change is for (RFC 9110 section
    /// 15.5.13).
    #[error("the precondition does not hold")]
    PreconditionFailed,
    /// The credential of a client, in HTTP Basic, is not valid (RFC 6749 section 5.2).
    #[error("the client's credential is not valid")]
    InvalidClient,
    /// A new key was to have a scope that its owner does not hold.
    #[error("the owner does not hold the scope {0}")]
    ScopeNotHeld(String),
    /// The user has as many keys as one may have.
    #[error("the user has too many keys")]
    TooManyKeys,
    /// The user is disabled, so a credential would be of no use.
    #[error("the user is disabled")]
    Disabled,
    /// The password that was to prove once more who the caller is, is wrong.
    #[error("the current password is wrong")]
    WrongPassword,
    /// A reverse proxy asks with parameters that its operator cannot have meant.
    #[error("the question of the reverse proxy is not valid")]
    InvalidForwardAuthQuery,
    /// The address has made too many attempts, or the user too many changes.
    #[error("too many attempts")]
    TooManyAttempts {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The address belongs to a user already.
    #[error("the e-mail address is taken")]
    EmailTaken,
    /// The settings let this address not register.
    #[error("registration is not open")]
    RegistrationRefused,
    /// Fields of a JSON body are missing or wrong.
    #[error("{} field(s) are not valid", .0.len())]
    InvalidBody(Vec<FieldError>),
    /// Fields of the `/token` form are missing or wrong.
    #[error("{} form field(s) are not valid", .0.len())]
    InvalidForm(Vec<FieldError>),
    /// A form of OAuth2 lacks this parameter (RFC 7009 section 2.1, RFC 7662 section 2.1).
    #[error("the parameter {0} is missing")]
    ParameterMissing(&'static str),
    /// Parameters of the query are wrong.
    #[error("{} parameter(s) are not valid", .0.len())]
    InvalidQuery(Vec<FieldError>),
    /// A parameter of the form stands in it twice (RFC 6749 section 3.2).
    #[error("a parameter is repeated")]
    RepeatedParameter,
    /// The body is no JSON.
    #[error("the body is not JSON")]
    MalformedJson {
        /// The character at which it stops being JSON, from 0.
        position: usize,
        /// What is wrong there.
        problem: String,
    },
    /// The body is not text, or is nested or long-winded beyond reason.
    #[error("the body cannot be read")]
    UnreadableBody,
    /// The body breaks off, or where it ends cannot be told.
    #[error("the body is broken")]
    BrokenBody,
    /// The form cannot be read; says why.
    #[error("{0}")]
    UnreadableForm(&'static str),
    /// The body is larger than the route takes.
    #[error("the body is too large")]
    BodyTooLarge,
    /// The body did not arrive in time, or not whole.
    #[error("the body did not arrive")]
    BodyTimeout,
    /// No user has this id or address.
    #[error("no such user")]
    UserNotFound,
    /// The user has no API key with this id.
    #[error("no such API key")]
    KeyNotFound,
    /// There is nothing at this path.
    #[error("not found")]
    NotFound,
    /// The path does not take this method.
    #[error("method not allowed")]
    MethodNotAllowed {
        /// The methods it takes, as in the header `Allow`.
        allow: String,
    },
    /// More passwords wait to be hashed than can be hashed in time.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The database does not answer.
    #[error("the database is unavailable")]
    Unavailable,
    /// The audit trail was signed with another key, so nothing can be appended to it.
    #[error(
        "the audit trail was signed with another key than the present one: set \
         TOKENHOUSE_AUDIT_KEY back, or stop every process and run tokenhouse audit adopt-key"
    )]
    OtherAuditKey,
    /// The service itself is at fault.
    #[error("internal error")]
    Internal,
    /// One of the above, to be answered with RFC 6749's status in place of FastAPI's.
    #[error(transparent)]
    StrictStatus(Box<Self>),
}

impl Error {
    /// What RFC 6749 section 5.2 answers with 400, so that it is answered with 400.
    pub fn strict(self) -> Self {
        match self {
            Self::BadCredentials | Self::InvalidForm(_) => Self::StrictStatus(Box::new(self)),
            other => other,
        }
    }
}

impl Error {
    /// Both, or everything that is wrong with the fields of either.
    ///
    /// # Errors
    /// [`Error::InvalidBody`] with the errors of both; the first one for any other error.
    pub(crate) fn both<A, B>(
        first: Result<A, Self>,
        second: Result<B, Self>,
    ) -> Result<(A, B), Self> {
        match (first, second) {
            (Ok(first), Ok(second)) => Ok((first, second)),
            (Err(Self::InvalidBody(mut errors)), Err(Self::InvalidBody(more))) => {
                errors.extend(more);
                Err(Self::InvalidBody(errors))
            }
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
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
        // The cause stays here, in the log: the client only learns that it should come back.
        log::error!("{error}");
        Self::Unavailable
    }
}

/// What is wrong with one field of a body, as pydantic words it.
#[derive(Debug)]
pub struct FieldError {
    /// The field; `None` for the body as a whole.
    pub field: Option<&'static str>,
    /// pydantic's name for the kind of error, such as `missing`.
    pub kind: &'static str,
    /// One sentence for people.
    pub message: String,
    /// pydantic's `ctx`: the numbers and texts in the message, by name.
    pub context: Vec<(&'static str, Value)>,
    /// The offending value, for fields that hold no secret; null otherwise.
    pub input: Value,
}

impl FieldError {
    /// An error without context, the value withheld.
    pub fn new(field: &'static str, kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            field: Some(field),
            kind,
            message: message.into(),
            context: Vec::new(),
            input: Value::Null,
        }
    }

    /// The field is not there. pydantic shows the whole body here; a password may be in it.
    pub fn missing(field: &'static str) -> Self {
        Self::new(field, "missing", "Field required")
    }

    /// The field is there and is no text.
    pub fn not_a_string(field: &'static str) -> Self {
        Self::new(field, "string_type", "Input should be a valid string")
    }

    /// An error of the body as a whole.
    pub fn of_body(kind: &'static str, message: &str) -> Self {
        Self {
            field: None,
            ..Self::new("", kind, message)
        }
    }

    /// Shows the offending value; for fields that hold no secret.
    pub fn showing(mut self, input: impl Into<Value>) -> Self {
        self.input = input.into();
        self
    }

    /// Adds a number or text that the message is about.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.context.push((name, value.into()));
        self
    }
}
