//! The users and tokens that exist already, and the outcome for imported ones.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use diesel::QueryResult;

use super::importer::{ImportedUser, Outcome, TokenOutcome};
use crate::credential::keyed_digest::DigestKey;
use crate::store::{Account, StoreConnection, import, user};

/// Existing and deleted users that a batch can conflict with. Compact, because a dry run keeps all of
/// them.
#[derive(Clone, Default)]
pub(super) struct Present {
    hashing: RandomState,
    /// Accounts by address.
    accounts: HashMap<u64, Identity>,
    /// Addresses of users who were deleted.
    deleted: HashSet<u64>,
    /// Tokens that are stored.
    stored_tokens: HashSet<u64>,
    /// Tokens that were imported before, or were revoked.
    spent_tokens: HashSet<u64>,
}

/// Distinguishes an account from another with the same address.
#[derive(Clone, Copy)]
struct Identity {
    spelling: u64,
    hash: u64,
    names: u64,
}

impl Identity {
    fn of_user(hashing: &RandomState, user: &ImportedUser) -> Self {
        Self {
            spelling: hashing.hash_one(user.email.to_string()),
            hash: hashing.hash_one(&user.hashed_password),
            names: hashing.hash_one([&user.name, &user.surname, &user.website]),
        }
    }

    fn of_account(hashing: &RandomState, account: &Account) -> Self {
        let user = &account.user;
        Self {
            spelling: hashing.hash_one(&user.email),
            hash: hashing.hash_one(account.hashed_password.as_str()),
            names: hashing.hash_one([&user.name, &user.surname, &user.website]),
        }
    }

    /// The outcome for an imported user with the address of `self`.
    fn meets(self, other: Self) -> Outcome {
        if self.spelling != other.spelling {
            Outcome::SpelledOtherwise
        } else if self.hash == other.hash || self.names == other.names {
            Outcome::AlreadyThere
        } else {
            Outcome::Taken
        }
    }
}

impl Present {
    /// An empty set with the same hash keys as `self`.
    pub(super) fn empty(&self) -> Self {
        Self {
            hashing: self.hashing.clone(),
            ..Self::default()
        }
    }

    /// Reads the stored data that these users can conflict with. `key` is the key of the address
    /// digests of deleted users; without it there are no deleted users.
    pub(super) fn read(
        &mut self,
        conn: &mut StoreConnection,
        users: &[ImportedUser],
        key: Option<&DigestKey>,
    ) -> QueryResult<()> {
        let keys: Vec<String> = users.iter().map(|user| user.email.key()).collect();
        for (email_key, account) in import::find_by_email_keys(conn, &keys)? {
            let identity = Identity::of_account(&self.hashing, &account);
            self.accounts.insert(self.hash(&email_key), identity);
        }
        if let Some(key) = key {
            let digests = keys
                .iter()
                .map(|email_key| user::address_digest(key, email_key));
            let digests: Vec<String> = digests.collect();
            let deleted = import::find_deleted_users(conn, &digests)?;
            let theirs = keys.iter().zip(&digests);
            let theirs = theirs.filter(|(_, digest)| deleted.contains(*digest));
            let theirs: Vec<u64> = theirs.map(|(email_key, _)| self.hash(email_key)).collect();
            self.deleted.extend(theirs);
        }
        let tokens = users.iter().filter_map(|user| user.token.as_ref());
        let tokens: Vec<String> = tokens.map(|token| token.digest.clone()).collect();
        let (stored, spent) = import::find_tokens(conn, &tokens)?;
        let hashing = &self.hashing;
        let hashes = |digests: HashSet<String>| {
            let digests = digests.into_iter();
            digests.map(|digest| hashing.hash_one(&digest))
        };
        self.stored_tokens.extend(hashes(stored));
        self.spent_tokens.extend(hashes(spent));
        Ok(())
    }

    /// Adds the results of another query.
    pub(super) fn extend(&mut self, other: Self) {
        self.accounts.extend(other.accounts);
        self.deleted.extend(other.deleted);
        self.stored_tokens.extend(other.stored_tokens);
        self.spent_tokens.extend(other.spent_tokens);
    }

    /// Decides the outcome for each user, and for the tokens of imported users. From then on,
    /// imported ones count as existing. With `again`, deleted users are imported again.
    pub(super) fn decide(
        &mut self,
        users: &[ImportedUser],
        again: bool,
    ) -> Vec<(Outcome, Option<TokenOutcome>)> {
        let mut decide_one = |user: &ImportedUser| {
            let outcome = self.decide_user(user, again);
            let token = user.token.as_ref();
            let token = token.filter(|_| outcome == Outcome::Imported);
            (outcome, token.map(|token| self.decide_token(&token.digest)))
        };
        users.iter().map(&mut decide_one).collect()
    }

    fn decide_user(&mut self, user: &ImportedUser, again: bool) -> Outcome {
        let identity = Identity::of_user(&self.hashing, user);
        let address = self.hash(&user.email.key());
        if let Some(holder) = self.accounts.get(&address) {
            return holder.meets(identity);
        }
        if self.deleted.contains(&address) && !again {
            return Outcome::DeletedHere;
        }
        self.accounts.insert(address, identity);
        Outcome::Imported
    }

    fn decide_token(&mut self, digest: &str) -> TokenOutcome {
        let digest = self.hash(digest);
        if self.stored_tokens.contains(&digest) {
            TokenOutcome::OfAnotherUser
        } else if self.spent_tokens.contains(&digest) {
            TokenOutcome::EndedHere
        } else {
            self.stored_tokens.insert(digest);
            TokenOutcome::Imported
        }
    }

    fn hash(&self, text: &str) -> u64 {
        self.hashing.hash_one(text)
    }
}
