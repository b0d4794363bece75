//! The first reading of a source: which addresses, ids and tokens occur more than once, and the largest
//! id. Later readings remember only those, so that their memory does not grow with the source.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, RandomState};

use super::ids::MAX_KEPT_ID;
use super::record::{Place, SourceId};
use super::source::Batch;

/// Collects eight bytes for each address, id and token.
#[derive(Default)]
pub(super) struct Scan {
    hashing: RandomState,
    addresses: Vec<u64>,
    ids: Vec<u64>,
    tokens: Vec<u64>,
    usernames: Vec<u64>,
    largest_id: i64,
    users: u64,
}

/// What several rows of a source have in common.
#[derive(Default)]
pub(super) struct Repeated {
    hashing: RandomState,
    addresses: HashSet<u64>,
    ids: HashSet<u64>,
    tokens: HashSet<u64>,
    usernames: HashSet<u64>,
    /// The largest id that an imported user can keep, also of rows that are left out: the app's data may
    /// refer to them, so no other user may get one. `0` without ids.
    pub(super) largest_id: i64,
    /// The number of users.
    pub(super) users: u64,
}

impl Scan {
    /// Adds a part of the source.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.users += (batch.users.len() + batch.left_out.len()) as u64;
        for read in &batch.users {
            self.addresses
                .push(self.hashing.hash_one(read.user.email.key()));
            let tokens = read.user.token.iter().chain(&read.user.other_tokens);
            let hashes = tokens.map(|token| self.hashing.hash_one(&token.digest));
            self.tokens.extend(hashes);
            if let Some(username) = &read.user.username {
                self.usernames.push(self.hashing.hash_one(username));
            }
            self.add_id(&read.place);
        }
        for left_out in &batch.left_out {
            self.add_id(&left_out.place);
        }
    }

    fn add_id(&mut self, place: &Place) {
        if let Some(id) = &place.id {
            self.ids.push(self.hashing.hash_one(id));
        }
        if let Some(SourceId::Integer(id @ ..=MAX_KEPT_ID)) = place.id {
            self.largest_id = self.largest_id.max(id);
        }
    }

    /// Ends the reading.
    pub(super) fn end(self) -> Repeated {
        Repeated {
            addresses: repeated(self.addresses),
            ids: repeated(self.ids),
            tokens: repeated(self.tokens),
            usernames: repeated(self.usernames),
            hashing: self.hashing,
            largest_id: self.largest_id,
            users: self.users,
        }
    }
}

fn repeated(mut hashes: Vec<u64>) -> HashSet<u64> {
    hashes.sort_unstable();
    let pairs = hashes.windows(2).filter(|pair| pair[0] == pair[1]);
    pairs.map(|pair| pair[0]).collect()
}

impl Repeated {
    /// Whether other rows may have this address, in the form for comparison.
    pub(super) fn has_address(&self, key: &str) -> bool {
        self.has(&self.addresses, key)
    }

    /// Whether other rows may have this id.
    pub(super) fn has_id(&self, id: &SourceId) -> bool {
        self.has(&self.ids, id)
    }

    /// Whether other rows may have this token.
    pub(super) fn has_token(&self, digest: &str) -> bool {
        self.has(&self.tokens, digest)
    }

    /// Whether other rows may have this user name.
    pub(super) fn has_username(&self, username: &str) -> bool {
        self.has(&self.usernames, username)
    }

    fn has(&self, set: &HashSet<u64>, value: impl Hash) -> bool {
        !set.is_empty() && set.contains(&self.hashing.hash_one(value))
    }
}
