//! The principals that are remembered, as many as fit.

use std::hash::{BuildHasherDefault, Hasher};
use std::mem::size_of;
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use crate::credential::token::TokenDigest;
use crate::store::{Credential, Principal};

/// What is older is read again: a change that no trigger has seen is in force after that at the
/// latest.
const MAX_AGE: TimeDelta = TimeDelta::seconds(60);

/// Principals by the digest of their token. What was not used for long makes room for what is.
pub(super) struct Memory(Option<Cache<TokenDigest, Entry, Bytes, BuildHasherDefault<AsItIs>>>);

/// A principal, and a time before which it was not read.
#[derive(Clone)]
struct Entry {
    principal: Arc<Principal>,
    asked_at: NaiveDateTime,
}

impl Memory {
    /// Room for `bytes`, counted generously; for nothing at 0.
    pub(super) fn new(bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(bytes)
            .estimated_items_capacity(usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX))
            .build();
        Self(options.ok().filter(|_| bytes > 0).map(|options| {
            Cache::with_options(
                options,
                Bytes,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            )
        }))
    }

    /// Whether it can remember anything.
    pub(super) fn is_any(&self) -> bool {
        self.0.is_some()
    }

    /// The principal, unless it is too old at `now`, or of a time to come: a clock was set then, and
    /// does not tell how old it is.
    pub(super) fn get(&self, digest: &TokenDigest, now: NaiveDateTime) -> Option<Arc<Principal>> {
        let entry = self.0.as_ref()?.get(digest)?;
        let age = now - entry.asked_at;
        (TimeDelta::zero() <= age && age < MAX_AGE).then_some(entry.principal)
    }

    /// Remembers a principal that was asked for at `asked_at` and read after that.
    pub(super) fn insert(
        &self,
        digest: TokenDigest,
        principal: Arc<Principal>,
        asked_at: NaiveDateTime,
    ) {
        if let Some(cache) = &self.0 {
            cache.insert(
                digest,
                Entry {
                    principal,
                    asked_at,
                },
            );
        }
    }

    pub(super) fn remove(&self, digest: &TokenDigest) {
        if let Some(cache) = &self.0 {
            cache.remove(digest);
        }
    }

    pub(super) fn clear(&self) {
        if let Some(cache) = &self.0 {
            cache.clear();
        }
    }
}

/// What a principal of a user with short fields takes up, with the allocator's and the table's share.
const TYPICAL_BYTES: u64 = 700;

/// What a principal takes up beside the contents of its strings: itself, its counters, eight
/// allocations rounded up, and its place in the table.
const FIXED_BYTES: usize = size_of::<Principal>() + size_of::<Entry>() + 8 * 16 + 100;

/// Counts the bytes that a principal takes up.
#[derive(Clone)]
struct Bytes;

impl Weighter<TokenDigest, Entry> for Bytes {
    fn weight(&self, _digest: &TokenDigest, entry: &Entry) -> u64 {
        let Principal { user, credential } = entry.principal.as_ref();
        let of_user = [
            &user.name,
            &user.surname,
            &user.email,
            &user.website,
            &user.scopes,
        ];
        let of_credential: &[&String] = match credential {
            Credential::LoginToken(token) => &[&token.access_token, &token.scopes],
            Credential::ApiKey(used) => &[&used.key.name, &used.key.hint, &used.key.scopes],
        };
        let strings = of_user.iter().chain(of_credential);
        let contents: usize = strings.map(|text| text.capacity()).sum();
        (FIXED_BYTES + contents) as u64
    }
}

/// Takes the number that a digest gives for its hash. Nobody can choose where a token goes in the
/// table: tokens are random and made here.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}
