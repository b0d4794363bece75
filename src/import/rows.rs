//! Reads the rows of a source: what each value means, or why the user cannot be read.

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use pydantic_email::EmailAddress;

use super::record::{LeftOut, Place, Reason, SourceId, SourceToken, SourceUser, TokenEnd};
use super::strength::is_strong;
use super::values::{BadValue, Value};
use crate::credential::token::TokenDigest;
use crate::store::username_key;

/// The maximum size of a name, surname or website, in bytes: the maximum size of a registration's
/// body.
const MAX_TEXT: usize = 16 << 10;

/// A row of a source: a user, and one of the user's tokens, if any.
#[derive(Clone, Debug, Default)]
pub(super) struct RawRow {
    /// The line of a file.
    pub(super) line: Option<u64>,
    pub(super) id: Value,
    pub(super) email: Value,
    /// The name that the user signs in with at the source; often an address.
    pub(super) username: Value,
    pub(super) name: Value,
    pub(super) surname: Value,
    pub(super) website: Value,
    pub(super) hashed_password: Value,
    pub(super) created_at: Value,
    /// Whether the user is active, in one or several columns.
    pub(super) truths: Vec<RawTruth>,
    pub(super) token: RawToken,
}

impl RawRow {
    /// Whether two rows describe the same user.
    pub(super) fn is_of_same_user(&self, other: &Self) -> bool {
        !self.id.is_empty()
            && (&self.id, &self.email, &self.hashed_password)
                == (&other.id, &other.email, &other.hashed_password)
    }
}

/// A value that says whether the user is active.
#[derive(Clone, Debug)]
pub(super) struct RawTruth {
    pub(super) column: String,
    pub(super) truth: Truth,
    pub(super) value: Value,
}

/// How a column says whether the user is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// True for an active user. An empty value stands for a user who is not.
    Active,
    /// True for a user who is locked out.
    Disabled,
    /// When the user was locked out; empty for an active user.
    DisabledSince,
    /// Until when the user is locked out.
    DisabledUntil,
}

/// A token as in the source.
#[derive(Clone, Debug, Default)]
pub(super) struct RawToken {
    pub(super) value: Value,
    pub(super) form: TokenForm,
    pub(super) created_at: Value,
    pub(super) expires_at: Value,
}

/// How a source stores tokens and their expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TokenForm {
    /// The token with its expiry; without an expiry if it is endless.
    #[default]
    Stated,
    /// The token with its creation time.
    SinceCreation,
    /// Only the SHA-512 of the token, with its expiry.
    Knox,
}

/// The rules of reading.
pub(super) struct RowRules {
    pub(super) timezone: Tz,
    pub(super) now: NaiveDateTime,
    /// Whether users with values that cannot be read are disabled instead of left out.
    pub(super) disable_unreadable: bool,
    /// The domain of the addresses that users without one get.
    pub(super) usernames: Option<String>,
}

impl RowRules {
    /// Reads the rows of a user, at least one. A user is disabled if any row says so.
    pub(super) fn read(&self, rows: &[RawRow]) -> Result<SourceUser, LeftOut> {
        let (mut tokens, mut bad_tokens) = (Vec::new(), Vec::new());
        for token in rows.iter().map(|row| &row.token) {
            match self.read_token(token) {
                Some(Ok(token)) => tokens.push(token),
                Some(Err(reason)) => bad_tokens.push(reason),
                None => {}
            }
        }
        let first = rows.first().cloned().unwrap_or_default();
        match self.read_values(&first, rows) {
            Ok(user) => Ok(SourceUser {
                tokens,
                bad_tokens,
                ..user
            }),
            Err((reason, column)) => Err(LeftOut {
                place: Place::of(&first),
                reason,
                column,
                tokens: (tokens.len() + bad_tokens.len()) as u64,
            }),
        }
    }

    /// Reads all but the tokens.
    fn read_values(
        &self,
        row: &RawRow,
        rows: &[RawRow],
    ) -> Result<SourceUser, (Reason, Option<String>)> {
        let required = |value: Result<String, BadValue>, column: &str| {
            value.map_err(|error| (error.reason(), Some(column.to_owned())))
        };
        required(row.id.id(), "id")?;
        let email = required(row.email.text(), "email")?;
        let hashed_password = required(row.hashed_password.secret(), "hashed_password")?;
        let mut bad = Bad(None);
        let username = bad.text(&row.username, "username");
        let (email, username) = self
            .find_address(&email, username.trim())
            .ok_or((Reason::InvalidAddress, None))?;
        let mut name = bad.text(&row.name, "name");
        if name.is_empty() {
            name = row.username.lossy_text();
        }
        let surname = bad.text(&row.surname, "surname");
        let website = bad.text(&row.website, "website");
        for (text, reason) in [
            (&name, Reason::NameTooLong),
            (&surname, Reason::SurnameTooLong),
            (&website, Reason::WebsiteTooLong),
        ] {
            if text.len() > MAX_TEXT {
                return Err((reason, None));
            }
        }
        let created_at = row.created_at.time(self.timezone).unwrap_or_else(|_error| {
            bad.add(Reason::UnreadableTime, "created_at");
            None
        });
        let mut disabled = false;
        for truth in rows.iter().flat_map(|row| &row.truths) {
            disabled |= self.is_disabled(truth).unwrap_or_else(|_error| {
                bad.add(Reason::UnreadableFlag, &truth.column);
                true
            });
        }
        if let (Some((reason, column)), false) = (&bad.0, self.disable_unreadable) {
            return Err((*reason, Some(column.clone())));
        }
        Ok(SourceUser {
            place: Place::of(row),
            email,
            username,
            name,
            surname,
            website,
            hashed_password,
            disabled: disabled || bad.0.is_some(),
            disabled_for: bad.0,
            created_at,
            tokens: Vec::new(),
            bad_tokens: Vec::new(),
        })
    }

    /// The address, and the name that signs in besides it. A user without an address may have one as the
    /// user name, or gets one if the operator wants that.
    fn find_address(&self, email: &str, username: &str) -> Option<(EmailAddress, Option<String>)> {
        let domain = self.usernames.as_ref();
        let made = domain.map(|domain| format!("{username}@{domain}"));
        let mut candidates = [Some(email), Some(username), made.as_deref()].into_iter();
        let address = candidates.find_map(|text| EmailAddress::parse(text?).ok())?;
        let username = domain.and_then(|_domain| username_key(username));
        Some((address, username))
    }

    /// Whether a value says that the user is locked out. A time that cannot be read is one at which the
    /// user was locked out.
    fn is_disabled(&self, RawTruth { truth, value, .. }: &RawTruth) -> Result<bool, BadValue> {
        match truth {
            Truth::Active => value.truth().map(|truth| truth != Some(true)),
            Truth::Disabled => value.truth().map(|truth| truth == Some(true)),
            Truth::DisabledSince | Truth::DisabledUntil if value.truth() == Ok(Some(false)) => {
                Ok(false)
            }
            Truth::DisabledSince => Ok(!value.is_empty()),
            Truth::DisabledUntil => Ok(match value.time(self.timezone) {
                Ok(until) => until.is_some_and(|until| until > self.now),
                Err(_unreadable) => true,
            }),
        }
    }

    /// A token, or why it cannot be imported; `None` if the row has none.
    fn read_token(&self, token: &RawToken) -> Option<Result<SourceToken, &'static str>> {
        if token.value.is_empty() {
            return None;
        }
        let read = || {
            let value = token.value.secret().map_err(|_error| "unreadable")?;
            let end = self.end(token)?;
            // For a knox token the source has only the digest; knox generates 256 random bits.
            let digest = if token.form == TokenForm::Knox {
                TokenDigest::from_knox_digest(&value).ok_or("knox-digest")?
            } else if is_strong(&value) {
                TokenDigest::new(value.as_bytes())
            } else {
                return Err("weak");
            };
            Ok(SourceToken { digest, end })
        };
        Some(read())
    }

    fn end(&self, token: &RawToken) -> Result<TokenEnd, &'static str> {
        let time = |value: &Value| {
            value
                .time(self.timezone)
                .map_err(|_error| "unreadable-time")
        };
        if token.form == TokenForm::SinceCreation {
            let created_at = time(&token.created_at)?.ok_or("unreadable-time")?;
            return Ok(TokenEnd::SinceCreation(created_at));
        }
        Ok(time(&token.expires_at)?.map_or(TokenEnd::Endless, TokenEnd::At))
    }
}

/// The first value that cannot be read, with its column. The user may be imported without it.
struct Bad(Option<(Reason, String)>);

impl Bad {
    fn add(&mut self, reason: Reason, column: &str) {
        self.0.get_or_insert_with(|| (reason, column.to_owned()));
    }

    /// The text, as far as it can be read.
    fn text(&mut self, value: &Value, column: &str) -> String {
        value.text().unwrap_or_else(|error| {
            self.add(error.reason(), column);
            value.lossy_text()
        })
    }
}

impl BadValue {
    const fn reason(self) -> Reason {
        match self {
            Self::NotUtf8 => Reason::NotUtf8,
            Self::Meaningless => Reason::Unreadable,
        }
    }
}

impl Place {
    /// The place of a row, as far as it can be read.
    pub(super) fn of(row: &RawRow) -> Self {
        let texts = [&row.email, &row.username].map(Value::lossy_text);
        Self {
            line: row.line,
            id: row.id.id().ok().as_deref().and_then(SourceId::parse),
            address: texts.into_iter().find(|text| !text.trim().is_empty()),
        }
    }
}
