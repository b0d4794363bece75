//! Stores the users and login tokens of another program.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::QueryResult;
use pydantic_email::EmailAddress;

use super::present::Present;
use crate::audit::{Action, AuditContext, Event};
use crate::auth::Auth;
use crate::error::Error;
use crate::store::{BulkUser, NewAccessToken, StoreConnection, Writing, import};

/// A user of another program.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// The address.
    pub email: EmailAddress,
    /// Any text, including the empty one.
    pub name: String,
    /// Any text.
    pub surname: String,
    /// Any text.
    pub website: String,
    /// Stored unchanged; a hash in an unknown format never matches.
    pub hashed_password: String,
    /// Whether the user is disabled.
    pub disabled: bool,
    /// UTC; the time of the import if `None`.
    pub created_at: Option<NaiveDateTime>,
    /// The login token, if one is imported.
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

/// The outcome for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored.
    Imported,
    /// Existed already, with the same address, and the same hash or the same names.
    AlreadyThere,
    /// Skipped: the address exists in another spelling.
    SpelledOtherwise,
    /// Skipped: another user has the address.
    Taken,
    /// Skipped: a user with this address was deleted here.
    DeletedHere,
}

/// The outcome for the token of an imported user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOutcome {
    /// Stored.
    Imported,
    /// Skipped: it was stored here before, and was revoked.
    EndedHere,
    /// Skipped: another user has the same token.
    OfAnotherUser,
}

/// The outcome of a batch.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// For each user, in order.
    pub users: Vec<Outcome>,
    /// For the token of each user, in order; `None` for a user without one, or one who was not imported.
    pub tokens: Vec<Option<TokenOutcome>>,
}

/// How users are imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportMode {
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// Whether users who were deleted here are imported too. Their tokens stay revoked.
    pub again: bool,
}

/// Imports batches of users, each in one transaction, or determines the outcome without storing anything.
pub struct Importer {
    auth: Auth,
    mode: ImportMode,
    /// In a dry run, includes the users who would have been stored so far.
    present: Present,
}

impl Importer {
    /// Prepares an import into this service.
    pub fn new(auth: Auth, mode: ImportMode) -> Self {
        Self {
            auth,
            mode,
            present: Present::default(),
        }
    }

    /// Stores the users who do not exist yet, with their tokens, in one transaction. Existing users
    /// stay unchanged. Skips users who were deleted here, and tokens that were revoked here.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; nothing of the batch is stored.
    pub async fn import(&mut self, users: Vec<ImportedUser>) -> Result<BatchOutcome, Error> {
        if !self.mode.dry_run {
            return self.store(users).await;
        }
        let (auth, empty, wanted) = (self.auth.clone(), self.present.empty(), users.clone());
        let read = move |conn: &mut StoreConnection| {
            let mut found = empty.clone();
            let key = auth.deletion_key().find(conn)?;
            found.read(conn, &wanted, key.as_ref())?;
            Ok(found)
        };
        let found = self.auth.store().read(read).await?;
        self.present.extend(found);
        let (users, tokens) = self
            .present
            .decide(&users, self.mode.again)
            .into_iter()
            .unzip();
        Ok(BatchOutcome { users, tokens })
    }

    async fn store(&self, users: Vec<ImportedUser>) -> Result<BatchOutcome, Error> {
        let (auth, again, mut present) = (self.auth.clone(), self.mode.again, self.present.empty());
        let now = self.auth.clock().now();
        let operator = AuditContext::operator();
        self.auth
            .audit()
            .writing(&operator, move |tx, events| {
                let key = auth.deletion_key().find(tx)?;
                present.read(tx, &users, key.as_ref())?;
                let (outcomes, tokens) = present.decide(&users, again).into_iter().unzip();
                let mut outcome = BatchOutcome {
                    users: outcomes,
                    tokens,
                };
                if outcome.users.contains(&Outcome::Imported) {
                    let (users, tokens) = insert(tx, &users, &mut outcome, now)?;
                    let event = Event::new(Action::Import).with("users", users);
                    let event = event.with("tokens", tokens);
                    // The audit trail must record the return of deleted users.
                    events.record(if again {
                        event.with("again", true)
                    } else {
                        event
                    });
                }
                Ok(outcome)
            })
            .await
    }
}

/// Stores the users with the outcome `Imported`, with their tokens. Returns the numbers of both.
fn insert(
    tx: &mut Writing<'_>,
    users: &[ImportedUser],
    outcome: &mut BatchOutcome,
    now: NaiveDateTime,
) -> QueryResult<(usize, usize)> {
    let new: Vec<BulkUser> = users
        .iter()
        .zip(&outcome.users)
        .filter(|(_, outcome)| **outcome == Outcome::Imported)
        .map(|(user, _)| row_of(user, now))
        .collect();
    let stored = import::insert_users(tx, &new)?;
    let ids: HashMap<String, i64> = stored.into_iter().map(|(id, key)| (key, id)).collect();
    let mut tokens = Vec::new();
    let outcomes = outcome.users.iter_mut().zip(&mut outcome.tokens);
    for (user, (outcome, token_outcome)) in users.iter().zip(outcomes) {
        if *outcome != Outcome::Imported {
            continue;
        }
        let Some(id) = ids.get(&user.email.key()) else {
            // Another user registered with the address between the query and the insert.
            (*outcome, *token_outcome) = (Outcome::Taken, None);
            continue;
        };
        if let (Some(token), Some(TokenOutcome::Imported)) = (&user.token, *token_outcome) {
            tokens.push(token_of(*id, token, now));
        }
    }
    if !tokens.is_empty() {
        import::insert_tokens(tx, &tokens)?;
    }
    Ok((ids.len(), tokens.len()))
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
