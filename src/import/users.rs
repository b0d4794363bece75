//! Converts users of a source to users of the target.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{NaiveDateTime, TimeDelta};

use super::importer::{ImportedToken, ImportedUser};
use super::record::{LeftOut, Place, Reason, SourceToken, SourceUser, TokenEnd};
use crate::password::{self, Cost};
use crate::store::app::NO_HASH;

/// The maximum length of a hash, in characters.
const MAX_HASH: usize = 255;

/// A converted user, and its problems.
#[derive(Clone, Debug)]
pub(super) struct ReadUser {
    pub(super) place: Place,
    pub(super) user: ImportedUser,
    /// Why the user cannot sign in with the hash.
    pub(super) hash_problem: Option<&'static str>,
    /// Why the user is disabled although the source may not say so.
    pub(super) disabled_for: Option<(Reason, String)>,
}

/// The outcome for tokens that no user can keep.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenCounts {
    pub(super) read: u64,
    pub(super) expired: u64,
    /// Tokens of users who cannot be read.
    pub(super) of_users_left_out: u64,
    /// The number of tokens that cannot be imported, by reason.
    pub(super) not_importable: BTreeMap<&'static str, u64>,
}

impl TokenCounts {
    /// Counts the tokens of a user who is left out.
    pub(super) fn leave_out(&mut self, user: &LeftOut) {
        self.read += user.tokens;
        self.of_users_left_out += user.tokens;
    }
}

/// The rules of the conversion.
pub(super) struct Rules {
    /// The maximum lifetime of tokens.
    pub(super) max_lifetime: TimeDelta,
    /// The lifetime of tokens for which the source states no end, if the operator has stated one.
    pub(super) token_lifetime: Option<TimeDelta>,
    pub(super) now: NaiveDateTime,
    pub(super) max_cost: Cost,
}

impl Rules {
    /// Converts a user.
    pub(super) fn convert(&self, source: SourceUser, counts: &mut TokenCounts) -> ReadUser {
        counts.read += (source.bad_tokens.len() + source.tokens.len()) as u64;
        for reason in source.bad_tokens {
            *counts.not_importable.entry(reason).or_default() += 1;
        }
        let (token, other_tokens) = self.choose_token(&source.tokens, counts);
        let hash = source.hashed_password;
        let (hashed_password, hash_problem) = if hash.chars().count() > MAX_HASH {
            (NO_HASH.to_owned(), Some("too-long"))
        } else {
            let problem = password::check_hash(&hash, self.max_cost).err();
            (hash, problem.map(|error| error.code()))
        };
        let user = ImportedUser {
            source_id: source.place.id.clone(),
            email: source.email,
            username: source.username,
            name: source.name,
            surname: source.surname,
            website: source.website,
            hashed_password,
            disabled: source.disabled,
            created_at: source.created_at,
            token,
            other_tokens,
        };
        ReadUser {
            place: source.place,
            user,
            hash_problem,
            disabled_for: source.disabled_for,
        }
    }

    /// The valid token that expires last, and the other valid ones in the order of their ends, the last
    /// one first.
    fn choose_token(
        &self,
        tokens: &[SourceToken],
        counts: &mut TokenCounts,
    ) -> (Option<ImportedToken>, Vec<ImportedToken>) {
        let mut valid = Vec::new();
        for token in tokens {
            match self.convert_token(token) {
                None => *counts.not_importable.entry("unreadable-time").or_default() += 1,
                Some(token) if token.expires_at <= self.now => counts.expired += 1,
                Some(token) => valid.push(token),
            }
        }
        // Of two that end together, the first one of the source is chosen.
        valid.sort_by_key(|token| Reverse(token.expires_at));
        // Cut only now: of two tokens beyond the maximum, the later one is chosen.
        let latest = self.now.checked_add_signed(self.max_lifetime);
        let mut cut = valid.into_iter().map(|token| match latest {
            Some(latest) if token.expires_at > latest => ImportedToken {
                expires_at: latest,
                is_cut: !token.lacks_lifetime,
                ..token
            },
            _ => token,
        });
        (cut.next(), cut.collect())
    }

    /// A token with its expiry; `None` if that is beyond all calendars.
    fn convert_token(&self, token: &SourceToken) -> Option<ImportedToken> {
        let lifetime = self.token_lifetime.unwrap_or(self.max_lifetime);
        let (expires_at, is_endless) = match token.end {
            TokenEnd::At(time) => (Some(time), false),
            TokenEnd::SinceCreation(created_at) if self.token_lifetime.is_some() => {
                (created_at.checked_add_signed(lifetime), true)
            }
            TokenEnd::SinceCreation(_) | TokenEnd::Endless => {
                (self.now.checked_add_signed(lifetime), true)
            }
        };
        Some(ImportedToken {
            digest: token.digest.to_hex(),
            expires_at: expires_at?,
            is_cut: false,
            lacks_lifetime: is_endless && self.token_lifetime.is_none(),
        })
    }
}
