//! The cached principals, within a limit in bytes.

use std::hash::{BuildHasherDefault, Hasher};
use std::mem::size_of;
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::suspensions::Suspensions;
use crate::credential::token::TokenDigest;
use crate::store::{Credential, Principal};

/// Older entries are fetched again, so a change that no trigger records takes effect within this
/// time.
const MAX_AGE: TimeDelta = TimeDelta::seconds(60);

/// Principals by the digest of their token. Entries that were not used recently are evicted first.
pub(super) struct Entries {
    cache: Option<Cache<TokenDigest, Entry, Bytes, BuildHasherDefault<IdentityHasher>>>,
    suspensions: Suspensions,
}

/// A principal, a time before which it was not read, and the stamp of its user's slot.
#[derive(Clone)]
struct Entry {
    principal: Arc<Principal>,
    requested_at: NaiveDateTime,
    stamp: u64,
}

impl Entries {
    /// A cache of `bytes`, estimated generously; 0 disables it.
    pub(super) fn new(bytes: u64) -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(bytes)
            .estimated_items_capacity(usize::try_from(bytes / TYPICAL_BYTES).unwrap_or(usize::MAX))
            .build();
        let cache = options.ok().filter(|_| bytes > 0).map(|options| {
            Cache::with_options(
                options,
                Bytes,
                BuildHasherDefault::default(),
                DefaultLifecycle::default(),
            )
        });
        Self {
            cache,
            suspensions: Suspensions::new(),
        }
    }

    /// Whether it can hold any entry.
    pub(super) fn has_capacity(&self) -> bool {
        self.cache.is_some()
    }

    /// The users whose entries must not be used.
    pub(super) fn suspensions(&self) -> &Suspensions {
        &self.suspensions
    }

    /// The principal, unless its user was suspended since it was inserted, or it is too old at `now`
    /// or dated in the future: then the clock was set back, and the age is unknown.
    pub(super) fn get(&self, digest: &TokenDigest, now: NaiveDateTime) -> Option<Arc<Principal>> {
        let entry = self.cache.as_ref()?.get(digest)?;
        let age = now - entry.requested_at;
        let user_id = entry.principal.user.id;
        let is_valid = TimeDelta::zero() <= age
            && age < MAX_AGE
            && self.suspensions.is_current(user_id, entry.stamp);
        is_valid.then_some(entry.principal)
    }

    /// Caches a principal that was requested at `requested_at`, and read after
    /// [`Suspensions::latest`] returned `since`, unless its user was suspended since then.
    pub(super) fn insert(
        &self,
        digest: TokenDigest,
        principal: Arc<Principal>,
        requested_at: NaiveDateTime,
        since: u64,
    ) {
        let stamp = self.suspensions.stamp(principal.user.id, since);
        if let (Some(cache), Some(stamp)) = (&self.cache, stamp) {
            cache.insert(
                digest,
                Entry {
                    principal,
                    requested_at,
                    stamp,
                },
            );
        }
    }

    pub(super) fn remove(&self, digest: &TokenDigest) {
        if let Some(cache) = &self.cache {
            cache.remove(digest);
        }
    }

    pub(super) fn clear(&self) {
        if let Some(cache) = &self.cache {
            cache.clear();
        }
    }
}

/// The size of a principal of a user with short fields, including the overhead of allocator and
/// table.
const TYPICAL_BYTES: u64 = 900;

/// The size of a principal without the contents of its strings: the struct, its counters, twelve
/// allocations rounded up, the names in its prepared response, and its slot in the table.
const FIXED_BYTES: usize = size_of::<Principal>() + size_of::<Entry>() + 12 * 16 + 100 + 100;

/// Estimates the size of a principal.
#[derive(Clone)]
struct Bytes;

impl Weighter<TokenDigest, Entry> for Bytes {
    fn weight(&self, _digest: &TokenDigest, entry: &Entry) -> u64 {
        let Principal {
            user, credential, ..
        } = entry.principal.as_ref();
        let user_strings = [
            &user.name,
            &user.surname,
            &user.email,
            &user.website,
            &user.scopes,
        ];
        let credential_strings: &[&String] = match credential {
            Credential::LoginToken(token) => {
                &[&token.access_token, &token.scopes, &token.session.amr]
            }
            Credential::ApiKey(used) => &[&used.key.name, &used.key.hint, &used.key.scopes],
        };
        let sum =
            |strings: &[&String]| -> usize { strings.iter().map(|text| text.capacity()).sum() };
        let external_id = user.external_id.as_ref().map_or(0, String::capacity);
        // What describes the user is also in the prepared response.
        let of_user = 2 * (sum(&user_strings) + external_id);
        (FIXED_BYTES + of_user + sum(credential_strings)) as u64
    }
}

/// Uses the number that a digest writes as the hash. A client cannot choose the slot of a token:
/// tokens are random and generated here.
#[derive(Default)]
struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
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
