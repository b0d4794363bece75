//! Converts users of a source to users of the target.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};

use super::importer::{ImportedToken, ImportedUser};
use super::record::{LeftOut, Place, SourceToken, SourceUser, TokenEnd};
use crate::password::{self, Cost};

/// The maximum length of a hash, in characters.
const MAX_HASH: usize = 255;

/// Replaces a hash that is too long. Matches no password.
const NO_HASH: &str = "!";

/// A converted user, and its problems.
#[derive(Clone, Debug)]
pub(super) struct ReadUser {
    pub(super) place: Place,
    pub(super) user: ImportedUser,
    /// Why the user cannot sign in with the hash.
    pub(super) hash_problem: Option<&'static str>,
    /// Whether the token expires earlier here than at the source.
    pub(super) token_is_cut: bool,
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
    /// Counts the tokens of a user who is left out.
    pub(super) fn leave_out(&mut self, user: &LeftOut) {
        self.read += user.tokens;
    }
}

/// The rules of the conversion.
pub(super) struct Rules {
    /// The maximum lifetime of tokens, and the lifetime of tokens without an expiry in the source.
    pub(super) token_lifetime: TimeDelta,
    pub(super) now: NaiveDateTime,
    pub(super) max_cost: Cost,
}

impl Rules {
    /// Converts a user.
    pub(super) fn convert(&self, source: SourceUser, counts: &mut TokenCounts) -> ReadUser {
        for reason in source.bad_tokens {
            counts.read += 1;
            *counts.not_importable.entry(reason).or_default() += 1;
        }
        let token = self.choose_token(&source.tokens, counts);
        let hash = source.hashed_password;
        let (hashed_password, hash_problem) = if hash.chars().count() > MAX_HASH {
            (NO_HASH.to_owned(), Some("too-long"))
        } else {
            let problem = password::check_hash(&hash, self.max_cost).err();
            (hash, problem.map(|error| error.code()))
        };
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
            email: source.email,
            name: source.name,
            surname: source.surname,
            website: source.website,
            hashed_password,
            disabled: source.disabled,
            created_at: source.created_at,
            token,
        };
        ReadUser {
            place: source.place,
            user,
            hash_problem,
            token_is_cut,
        }
    }

    /// The valid token that expires last, as users have one token.
    fn choose_token(
        &self,
        tokens: &[SourceToken],
        counts: &mut TokenCounts,
    ) -> Option<ImportedToken> {
        let mut chosen: Option<ImportedToken> = None;
        for token in tokens {
            counts.read += 1;
            let Some(expires_at) = self.expiry(token.end) else {
                *counts.not_importable.entry("unreadable-time").or_default() += 1;
                continue;
            };
            if expires_at <= self.now {
                counts.expired += 1;
                continue;
            }
            let other = chosen.as_ref().map(|other| other.expires_at);
            counts.superseded += u64::from(other.is_some());
            if other.is_none_or(|other| other < expires_at) {
                let digest = token.digest.to_hex();
                chosen = Some(ImportedToken { digest, expires_at });
            }
        }
        chosen
    }

    /// When a token expires; `None` if that is beyond all calendars.
    fn expiry(&self, end: TokenEnd) -> Option<NaiveDateTime> {
        match end {
            TokenEnd::At(time) => Some(time),
            TokenEnd::SinceCreation(time) => time.checked_add_signed(self.token_lifetime),
            TokenEnd::Endless => self.now.checked_add_signed(self.token_lifetime),
        }
    }
}
