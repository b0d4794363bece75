//! What the target knows of the users of a batch.

use std::collections::{HashMap, HashSet};

use diesel::QueryResult;

use super::ids::{self, Form};
use super::importer::ImportedUser;
use crate::credential::keyed_digest::DigestKey;
use crate::store::{Account, StoreConnection, import, user};

/// An account, as far as users of a source can conflict with it.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    /// The address as displayed.
    pub(super) email: String,
    pub(super) hashed_password: String,
    /// Name, surname and website.
    pub(super) names: [String; 3],
    /// `None` if it is not known yet: it will be a new one.
    pub(super) id: Option<i64>,
    pub(super) external_id: Option<String>,
}

impl Holder {
    fn of_account(account: Account) -> Self {
        let user = account.user;
        Self {
            email: user.email,
            hashed_password: account.hashed_password.as_str().to_owned(),
            names: [user.name, user.surname, user.website],
            id: Some(user.id),
            external_id: user.external_id,
        }
    }
}

/// The rows of the target with which the users of a batch can conflict.
#[derive(Default)]
pub(super) struct Known {
    /// By the address in the form for comparison.
    pub(super) accounts: HashMap<String, Holder>,
    /// The addresses of the users with these ids.
    pub(super) ids: HashMap<i64, String>,
    /// The addresses of the users with these external ids.
    pub(super) external_ids: HashMap<String, String>,
    /// Ids of users who no longer exist.
    pub(super) retired: HashSet<i64>,
    /// Up to this id, every one without a user counts as retired.
    pub(super) retired_up_to: i64,
    /// Addresses of users who were deleted here.
    pub(super) deleted: HashSet<String>,
    /// User names of users.
    pub(super) usernames: HashSet<String>,
    /// Digests of tokens that are stored.
    pub(super) stored_tokens: HashSet<String>,
    /// Digests of tokens that were imported before or have ended.
    pub(super) spent_tokens: HashSet<String>,
}

impl Known {
    /// Reads the rows. `key` is the key of the address digests of deleted users; without it there are no
    /// deleted users.
    pub(super) fn read(
        conn: &mut StoreConnection,
        users: &[ImportedUser],
        key: Option<&DigestKey>,
    ) -> QueryResult<Self> {
        let mut known = Self::default();
        let keys: Vec<String> = users.iter().map(|user| user.email.key()).collect();
        for (address, account) in Account::find_all(conn, &keys)? {
            known.accounts.insert(address, Holder::of_account(account));
        }
        if let Some(key) = key {
            let digests: Vec<String> = keys
                .iter()
                .map(|address| user::address_digest(key, address))
                .collect();
            let deleted = import::find_deleted_users(conn, &digests)?;
            let theirs = keys.into_iter().zip(digests);
            let theirs = theirs.filter(|(_, digest)| deleted.contains(digest));
            known.deleted = theirs.map(|(address, _)| address).collect();
        }
        let (mut integers, mut texts) = (Vec::new(), Vec::new());
        for id in users.iter().filter_map(|user| user.source_id.as_ref()) {
            match ids::form(id) {
                Ok(Form::Id(id)) => integers.push(id),
                Ok(Form::External(id)) => texts.push(id.to_owned()),
                Err(_conflict) => {}
            }
        }
        if !integers.is_empty() {
            known.ids = import::find_by_ids(conn, &integers)?;
            known.retired = import::find_retired_ids(conn, &integers)?;
            known.retired_up_to = import::retired_up_to(conn)?;
        }
        if !texts.is_empty() {
            known.external_ids = import::find_by_external_ids(conn, &texts)?;
        }
        let usernames = users.iter().filter_map(|user| user.username.clone());
        let usernames: Vec<String> = usernames.collect();
        if !usernames.is_empty() {
            let found = import::find_usernames(conn, &usernames)?;
            known.usernames = found.into_iter().collect();
        }
        let tokens = users
            .iter()
            .flat_map(|user| user.token.iter().chain(&user.other_tokens));
        let tokens: Vec<String> = tokens.map(|token| token.digest.clone()).collect();
        if !tokens.is_empty() {
            (known.stored_tokens, known.spent_tokens) = import::find_tokens(conn, &tokens)?;
        }
        Ok(known)
    }
}
