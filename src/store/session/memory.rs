//! The sessions that are remembered, as many as fit.

use std::hash::{BuildHasherDefault, Hasher};
use std::mem::size_of;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::{Credential, Session};
use crate::token::TokenDigest;

/// Sessions by the digest of their token. What was not used for long makes room for what is.
pub(super) struct Memory(
    Option<Cache<TokenDigest, Arc<Session>, Bytes, BuildHasherDefault<AsItIs>>>,
);

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

    pub(super) fn get(&self, digest: &TokenDigest) -> Option<Arc<Session>> {
        self.0.as_ref()?.get(digest)
    }

    pub(super) fn insert(&self, digest: TokenDigest, session: Arc<Session>) {
        if let Some(cache) = &self.0 {
            cache.insert(digest, session);
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

/// What a session of a user with short fields takes up, with the allocator's and the table's share.
const TYPICAL_BYTES: u64 = 700;

/// What a session takes up beside the contents of its strings: itself, its counters, eight
/// allocations rounded up, and its place in the table.
const FIXED_BYTES: usize = size_of::<Session>() + 16 + 8 * 16 + 100;

/// Counts the bytes that a session takes up.
#[derive(Clone)]
struct Bytes;

impl Weighter<TokenDigest, Arc<Session>> for Bytes {
    fn weight(&self, _digest: &TokenDigest, session: &Arc<Session>) -> u64 {
        let Session { user, credential } = session.as_ref();
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
