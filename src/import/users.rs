//! Converts rows of a source to users.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;
use pydantic_email::EmailAddress;

use super::database::SourceRow;
use super::importer::{ImportedToken, ImportedUser};
use super::layouts::token_forms;
use super::strength::is_strong;
use super::times;
use crate::credential::token::TokenDigest;
use crate::password::{self, Cost};

/// The maximum length of a hash, in characters.
const MAX_HASH: usize = 255;

/// The maximum size of a name, surname or website, in bytes: the maximum size of a registration's
/// body.
const MAX_TEXT: usize = 16 << 10;

/// Replaces a hash that is too long. Matches no password.
const NO_HASH: &str = "!";

/// A row of a source: a user, and one of the user's tokens, if any.
#[derive(Clone, Debug, Default)]
pub(super) struct RawRow {
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

/// A converted user, and its problems.
#[derive(Clone, Debug)]
pub(super) struct ReadUser {
    pub(super) id: String,
    pub(super) user: ImportedUser,
    /// Why the user cannot sign in with the hash.
    pub(super) hash_problem: Option<&'static str>,
    /// Whether the token expires earlier here than at the source.
    pub(super) token_is_cut: bool,
}

/// A user who cannot be stored.
#[derive(Clone, Debug)]
pub(super) struct LeftOut {
    /// The user's id at the source.
    pub(super) id: String,
    pub(super) reason: Reason,
}

/// Why a user cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    InvalidAddress,
    NameTooLong,
    SurnameTooLong,
    WebsiteTooLong,
}

impl Reason {
    /// The name in the report.
    pub(super) const fn problem(self) -> &'static str {
        match self {
            Self::InvalidAddress => "invalid-address",
            Self::NameTooLong => "name-too-long",
            Self::SurnameTooLong => "surname-too-long",
            Self::WebsiteTooLong => "website-too-long",
        }
    }
}

/// The outcome for tokens before the database is queried.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCounts {
    pub(super) read: u64,
    pub(super) expired: u64,
    /// Valid tokens of users who have a newer one.
    pub(super) superseded: u64,
    /// The number of tokens that cannot be imported, by reason.
    pub(super) not_importable: BTreeMap<&'static str, u64>,
}

impl TokenCounts {
    /// Counts a token that cannot be imported.
    pub(super) fn leave_out(&mut self, reason: &'static str) {
        self.read += 1;
        *self.not_importable.entry(reason).or_default() += 1;
    }
}

/// The rules of the conversion.
pub(super) struct Rules {
    pub(super) timezone: Tz,
    /// The maximum lifetime of tokens, and the lifetime of tokens without an expiry in the source.
    pub(super) token_lifetime: TimeDelta,
    pub(super) now: NaiveDateTime,
    pub(super) max_cost: Cost,
}

impl Rules {
    /// Converts the rows of a user, at least one.
    pub(super) fn read_user(
        &self,
        rows: &[RawRow],
        counts: &mut TokenCounts,
    ) -> Result<ReadUser, LeftOut> {
        let first = rows.first().cloned().unwrap_or_default();
        let id = first.id.unwrap_or_default();
        let username = first.username.unwrap_or_default();
        let token = self.choose_token(rows, counts);
        let address = EmailAddress::parse(first.email.as_deref().unwrap_or_default())
            .or_else(|_| EmailAddress::parse(&username));
        let name = first.name.filter(|name| !name.is_empty());
        let name = storable(name.or(Some(username)));
        let (surname, website) = (storable(first.surname), storable(first.website));
        let too_long = [
            (&name, Reason::NameTooLong),
            (&surname, Reason::SurnameTooLong),
            (&website, Reason::WebsiteTooLong),
        ];
        let too_long = too_long.iter().find(|(text, _)| text.len() > MAX_TEXT);
        let email = match (address, too_long) {
            (Ok(email), None) => email,
            (Ok(_), Some((_, reason))) => {
                return Err(LeftOut {
                    id,
                    reason: *reason,
                });
            }
            (Err(_invalid), _) => {
                let reason = Reason::InvalidAddress;
                return Err(LeftOut { id, reason });
            }
        };
        let hash = storable(first.hashed_password);
        let (hashed_password, hash_problem) = if hash.chars().count() > MAX_HASH {
            (NO_HASH.to_owned(), Some("too-long"))
        } else {
            let problem = password::check_hash(&hash, self.max_cost).err();
            (hash, problem.map(|error| error.code()))
        };
        let created_at = first
            .created_at
            .and_then(|text| times::parse(&text, self.timezone));
        let latest = self.now.checked_add_signed(self.token_lifetime);
        let (token, token_is_cut) = match (token, latest) {
            (Some(token), Some(latest)) if token.expires_at > latest => {
                let expires_at = latest;
                (
                    Some(ImportedToken {
                        expires_at,
                        ..token
                    }),
                    true,
                )
            }
            (token, _) => (token, false),
        };
        let user = ImportedUser {
            email,
            name,
            surname,
            website,
            hashed_password,
            disabled: first.disabled.as_deref().is_some_and(is_true),
            created_at,
            token,
        };
        Ok(ReadUser {
            id,
            user,
            hash_problem,
            token_is_cut,
        })
    }

    /// The valid token that expires last, as users have one token.
    fn choose_token(&self, rows: &[RawRow], counts: &mut TokenCounts) -> Option<ImportedToken> {
        let mut chosen: Option<ImportedToken> = None;
        for token in rows.iter().map(|row| &row.token) {
            let Some(value) = token.value.as_deref().filter(|value| !value.is_empty()) else {
                continue;
            };
            let read = match self.read_token(token, value) {
                Ok(read) => read,
                Err(reason) => {
                    counts.leave_out(reason);
                    continue;
                }
            };
            counts.read += 1;
            let Some(token) = read else {
                counts.expired += 1;
                continue;
            };
            match &chosen {
                Some(other) if other.expires_at >= token.expires_at => counts.superseded += 1,
                Some(_) => {
                    counts.superseded += 1;
                    chosen = Some(token);
                }
                None => chosen = Some(token),
            }
        }
        chosen
    }

    /// A valid token; `None` if it has expired.
    fn read_token(
        &self,
        token: &RawToken,
        value: &str,
    ) -> Result<Option<ImportedToken>, &'static str> {
        let expires_at = self.expiry(token)?;
        if expires_at <= self.now {
            return Ok(None);
        }
        // For a knox token the source has only the digest; knox generates 256 random bits.
        if token.form.as_deref() != Some(token_forms::KNOX) && !is_strong(value) {
            return Err("weak");
        }
        let digest = digest(token, value).ok_or("knox-digest")?.to_hex();
        Ok(Some(ImportedToken { digest, expires_at }))
    }

    /// When a token expires, or why it cannot be imported.
    fn expiry(&self, token: &RawToken) -> Result<NaiveDateTime, &'static str> {
        let time = |text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => times::parse(text, self.timezone)
                .map(Some)
                .ok_or("unreadable-time"),
            None => Ok(None),
        };
        let after = |begin: NaiveDateTime| {
            begin
                .checked_add_signed(self.token_lifetime)
                .ok_or("unreadable-time")
        };
        match token.form.as_deref() {
            Some(token_forms::SINCE_CREATION) => {
                after(time(&token.created_at)?.ok_or("unreadable-time")?)
            }
            _ => match time(&token.expires_at)? {
                Some(expires_at) => Ok(expires_at),
                None => after(self.now),
            },
        }
    }
}

/// The digest of a token; `None` for a knox digest other than the default, SHA-512.
fn digest(token: &RawToken, value: &str) -> Option<TokenDigest> {
    match token.form.as_deref() {
        Some(token_forms::KNOX) => TokenDigest::from_knox_digest(value),
        _ => Some(TokenDigest::new(value.as_bytes())),
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
