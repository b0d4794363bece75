//! Taking over users and login tokens that another program has made.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use chrono::NaiveDateTime;
use diesel::QueryResult;

use super::Auth;
use super::audit::{Action, Event, Origin};
use crate::email::EmailAddress;
use crate::error::Error;
use crate::store::{Account, BulkUser, NewAccessToken, StoreConnection, bulk};

/// A user of another program.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// The address.
    pub email: EmailAddress,
    /// Any text, also an empty one.
    pub name: String,
    /// Any text.
    pub surname: String,
    /// Any text.
    pub website: String,
    /// As it is; nobody signs in with one of a kind that we do not know.
    pub hashed_password: String,
    /// Whether the user is kept out.
    pub disabled: bool,
    /// UTC; the moment of the import without it.
    pub created_at: Option<NaiveDateTime>,
    /// The login token, when there is one to take over.
    pub token: Option<ImportedToken>,
}

/// A login token of another program: its digest.
#[derive(Clone, Debug)]
pub struct ImportedToken {
    /// The hex SHA-256 of the token.
    pub digest: String,
    /// UTC.
    pub expires_at: NaiveDateTime,
}

/// What became of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored.
    Imported,
    /// Was there already: the same address, and the same hash or the same names.
    AlreadyThere,
    /// Left out: the address is there in another spelling.
    SpelledOtherwise,
    /// Left out: somebody else has the address.
    Taken,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// Of each user, in their order.
    pub users: Vec<Outcome>,
    /// Tokens that were stored.
    pub tokens: usize,
}

/// Takes over batches of users, each in one transaction, or finds out what would become of them.
pub struct Importer {
    auth: Auth,
    hashing: RandomState,
    /// Who would be there by now, when nothing is to be stored: by the address.
    rehearsed: Option<HashMap<u64, Identity>>,
}

/// What tells an account from another with the same address, in little space.
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

    /// What becomes of somebody who comes to an address that `self` has.
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

impl Importer {
    /// An import into this service; with `dry_run`, nothing is stored.
    pub fn new(auth: Auth, dry_run: bool) -> Self {
        Self {
            auth,
            hashing: RandomState::new(),
            rehearsed: dry_run.then(HashMap::new),
        }
    }

    /// Stores the users who are not there yet, with their tokens, in one transaction. Who is there
    /// keeps everything as it is: a token that was ended here must not come back.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; nothing of the batch is stored.
    pub async fn import(&mut self, users: Vec<ImportedUser>) -> Result<BatchOutcome, Error> {
        let hashing = self.hashing.clone();
        let Some(rehearsed) = &mut self.rehearsed else {
            return store(&self.auth, hashing, users).await;
        };
        let keys = keys_of(&users);
        let find = move |conn: &mut _| bulk::find_by_email_keys(conn, &keys);
        for (key, account) in self.auth.0.store.read(find).await? {
            let identity = Identity::of_account(&hashing, &account);
            rehearsed.insert(hashing.hash_one(key), identity);
        }
        let outcomes = decide(&hashing, rehearsed, &users);
        let imported = users.iter().zip(&outcomes);
        let tokens = imported
            .filter(|(user, outcome)| **outcome == Outcome::Imported && user.token.is_some())
            .count();
        Ok(BatchOutcome {
            users: outcomes,
            tokens,
        })
    }
}

fn keys_of(users: &[ImportedUser]) -> Vec<String> {
    users.iter().map(|user| user.email.key()).collect()
}

/// What becomes of each user, given who is there; those who are to be stored are there from then
/// on.
fn decide(
    hashing: &RandomState,
    there: &mut HashMap<u64, Identity>,
    users: &[ImportedUser],
) -> Vec<Outcome> {
    let mut decide_one = |user: &ImportedUser| {
        let identity = Identity::of_user(hashing, user);
        let key = hashing.hash_one(user.email.key());
        match there.get(&key) {
            Some(holder) => holder.meets(identity),
            None => {
                there.insert(key, identity);
                Outcome::Imported
            }
        }
    };
    users.iter().map(&mut decide_one).collect()
}

async fn store(
    auth: &Auth,
    hashing: RandomState,
    users: Vec<ImportedUser>,
) -> Result<BatchOutcome, Error> {
    let now = auth.0.clock.now();
    let operator = Origin::operator();
    let stored = auth.note(&operator, move |conn, events| {
        let found = bulk::find_by_email_keys(conn, &keys_of(&users))?;
        let mut there: HashMap<u64, Identity> = found
            .iter()
            .map(|(key, account)| {
                let identity = Identity::of_account(&hashing, account);
                (hashing.hash_one(key), identity)
            })
            .collect();
        let mut outcome = BatchOutcome {
            users: decide(&hashing, &mut there, &users),
            tokens: 0,
        };
        if outcome.users.contains(&Outcome::Imported) {
            let imported = insert(conn, &users, &mut outcome, now)?;
            let event = Event::new(Action::Import).with("users", imported);
            events.record(event.with("tokens", outcome.tokens));
        }
        Ok(outcome)
    });
    Ok(stored.await?)
}

/// Stores those who are to be, with their tokens. Returns how many users there were.
fn insert(
    conn: &mut StoreConnection,
    users: &[ImportedUser],
    outcome: &mut BatchOutcome,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let new: Vec<BulkUser> = users
        .iter()
        .zip(&outcome.users)
        .filter(|(_, outcome)| **outcome == Outcome::Imported)
        .map(|(user, _)| row_of(user, now))
        .collect();
    let stored = bulk::insert_users(conn, &new)?;
    let ids: HashMap<String, i64> = stored.into_iter().map(|(id, key)| (key, id)).collect();
    let mut tokens = Vec::new();
    for (user, outcome) in users.iter().zip(&mut outcome.users) {
        if *outcome != Outcome::Imported {
            continue;
        }
        match (ids.get(&user.email.key()), &user.token) {
            // Somebody registered with the address between the look and the insert.
            (None, _) => *outcome = Outcome::Taken,
            (Some(id), Some(token)) => tokens.push(token_of(*id, token, now)),
            (Some(_), None) => {}
        }
    }
    if !tokens.is_empty() {
        outcome.tokens = bulk::insert_tokens(conn, &tokens)?;
    }
    Ok(ids.len())
}

fn row_of(user: &ImportedUser, now: NaiveDateTime) -> BulkUser {
    BulkUser {
        name: user.name.clone(),
        surname: user.surname.clone(),
        email: user.email.to_string(),
        email_key: user.email.key(),
        website: user.website.clone(),
        hashed_password: user.hashed_password.clone(),
        created_at: user.created_at.unwrap_or(now),
        disabled_at: user.disabled.then_some(now),
    }
}

fn token_of(user_id: i64, token: &ImportedToken, now: NaiveDateTime) -> NewAccessToken {
    NewAccessToken {
        user_id,
        access_token: token.digest.clone(),
        expiration_date: token.expires_at,
        scopes: String::new(),
        created_at: now,
        authenticated_at: None,
    }
}
