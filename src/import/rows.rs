//! Reads the rows of a source: what each value means, or why the user cannot be read.

use chrono::NaiveDateTime;
use chrono_tz::Tz;
use pydantic_email::EmailAddress;

use super::database::SourceRow;
use super::layouts::token_forms;
use super::record::{LeftOut, Place, Reason, SourceId, SourceToken, SourceUser, TokenEnd};
use super::strength::is_strong;
use super::times;
use crate::credential::token::TokenDigest;

/// The maximum size of a name, surname or website, in bytes: the maximum size of a registration's
/// body.
const MAX_TEXT: usize = 16 << 10;

/// A row of a source: a user, and one of the user's tokens, if any.
#[derive(Clone, Debug, Default)]
pub(super) struct RawRow {
    /// The line of a file.
    pub(super) line: Option<u64>,
    pub(super) id: Option<String>,
    pub(super) email: Option<String>,
    /// The name that the user signs in with at the source; often an address.
    pub(super) username: Option<String>,
    pub(super) name: Option<String>,
    pub(super) surname: Option<String>,
    pub(super) website: Option<String>,
    pub(super) hashed_password: Option<String>,
    pub(super) disabled: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) token: RawToken,
}

/// A token as in the source.
#[derive(Clone, Debug, Default)]
pub(super) struct RawToken {
    pub(super) value: Option<String>,
    /// One of [`token_forms`].
    pub(super) form: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) expires_at: Option<String>,
}

impl RawRow {
    /// A row of the query in [`super::layouts`].
    pub(super) fn from_database(row: SourceRow) -> Self {
        let mut columns = row.into_iter();
        let mut next = || columns.next().flatten();
        Self {
            line: None,
            id: next(),
            email: next(),
            username: next(),
            name: next(),
            surname: next(),
            website: next(),
            hashed_password: next(),
            disabled: next(),
            created_at: next(),
            token: RawToken {
                value: next(),
                form: next(),
                created_at: next(),
                expires_at: next(),
            },
        }
    }
}

/// The rules of reading.
pub(super) struct RowRules {
    pub(super) timezone: Tz,
}

impl RowRules {
    /// Reads the rows of a user, at least one.
    pub(super) fn read(&self, rows: &[RawRow]) -> Result<SourceUser, LeftOut> {
        let first = rows.first().cloned().unwrap_or_default();
        let (mut tokens, mut bad_tokens) = (Vec::new(), Vec::new());
        for token in rows.iter().map(|row| &row.token) {
            match self.read_token(token) {
                Some(Ok(token)) => tokens.push(token),
                Some(Err(reason)) => bad_tokens.push(reason),
                None => {}
            }
        }
        let username = first.username.filter(|name| !name.is_empty());
        let place = Place {
            line: first.line,
            id: first.id.as_deref().and_then(SourceId::parse),
            address: first.email.clone().or_else(|| username.clone()),
        };
        let left_out = |reason| LeftOut {
            place: place.clone(),
            reason,
            column: None,
            tokens: (tokens.len() + bad_tokens.len()) as u64,
        };
        let email = EmailAddress::parse(first.email.as_deref().unwrap_or_default())
            .or_else(|_| EmailAddress::parse(username.as_deref().unwrap_or_default()))
            .map_err(|_invalid| left_out(Reason::InvalidAddress))?;
        let name = first.name.filter(|name| !name.is_empty());
        let name = storable(name.or(username));
        let (surname, website) = (storable(first.surname), storable(first.website));
        for (text, reason) in [
            (&name, Reason::NameTooLong),
            (&surname, Reason::SurnameTooLong),
            (&website, Reason::WebsiteTooLong),
        ] {
            if text.len() > MAX_TEXT {
                return Err(left_out(reason));
            }
        }
        let created_at = first
            .created_at
            .and_then(|text| times::parse(&text, self.timezone));
        Ok(SourceUser {
            place,
            email,
            username: None,
            name,
            surname,
            website,
            hashed_password: storable(first.hashed_password),
            disabled: first.disabled.as_deref().is_some_and(is_true),
            disabled_for: None,
            created_at,
            tokens,
            bad_tokens,
        })
    }

    /// A token, or why it cannot be imported; `None` if the row has none.
    fn read_token(&self, token: &RawToken) -> Option<Result<SourceToken, &'static str>> {
        let value = token.value.as_deref().filter(|value| !value.is_empty())?;
        Some(self.end(token).and_then(|end| {
            // For a knox token the source has only the digest; knox generates 256 random bits.
            let digest = if token.form.as_deref() == Some(token_forms::KNOX) {
                TokenDigest::from_knox_digest(value).ok_or("knox-digest")?
            } else if is_strong(value) {
                TokenDigest::new(value.as_bytes())
            } else {
                return Err("weak");
            };
            Ok(SourceToken { digest, end })
        }))
    }

    fn end(&self, token: &RawToken) -> Result<TokenEnd, &'static str> {
        let time = |text: &Option<String>| -> Result<Option<NaiveDateTime>, &'static str> {
            let text = text.as_deref().filter(|text| !text.is_empty());
            text.map(|text| times::parse(text, self.timezone).ok_or("unreadable-time"))
                .transpose()
        };
        if token.form.as_deref() == Some(token_forms::SINCE_CREATION) {
            let created_at = time(&token.created_at)?.ok_or("unreadable-time")?;
            return Ok(TokenEnd::SinceCreation(created_at));
        }
        Ok(time(&token.expires_at)?.map_or(TokenEnd::Endless, TokenEnd::At))
    }
}

/// Removes U+0000, which Postgres does not store.
fn storable(text: Option<String>) -> String {
    let text = text.unwrap_or_default();
    if text.contains('\0') {
        text.replace('\0', "")
    } else {
        text
    }
}

fn is_true(text: &str) -> bool {
    matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "t" | "1" | "yes" | "y"
    )
}
