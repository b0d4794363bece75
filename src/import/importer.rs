//! Stores the users and login tokens of another program.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::NaiveDateTime;
use diesel::QueryResult;
use pydantic_email::EmailAddress;

use super::ids::{self, Form, IdConflict, NewId};
use super::known::Known;
use super::present::{Decider, Seen};
use super::record::SourceId;
use super::scan::Repeated;
use crate::audit::{Action, AuditContext, Event, Events};
use crate::auth::Auth;
use crate::error::Error;
use crate::store::import::NewUsers;
use crate::store::{
    BulkUser, InstanceKey, NewSession, NewUsername, SessionKind, StoreConnection, Writing, import,
};

/// A user of another program.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// The id in the other program.
    pub source_id: Option<SourceId>,
    /// The address.
    pub email: EmailAddress,
    /// The name with which the user signs in besides the address, folded as addresses are.
    pub username: Option<String>,
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
    /// The user's other valid tokens, none of which lasts longer; the one that lasts longest first. No
    /// other user gets them.
    pub other_tokens: Vec<ImportedToken>,
}

impl ImportedUser {
    /// The external id of a user who gets this id.
    pub(super) fn external_id(&self, new_id: NewId) -> Option<&str> {
        match ids::form(self.source_id.as_ref()?) {
            Ok(Form::External(id)) if new_id == NewId::External => Some(id),
            _ => None,
        }
    }
}

/// A login token of another program: its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedToken {
    /// The hex SHA-256 of the token.
    pub digest: String,
    /// UTC.
    pub expires_at: NaiveDateTime,
    /// Whether it expires earlier here than at the source.
    pub is_cut: bool,
    /// Whether the source does not say when it ends, and neither does the operator.
    pub lacks_lifetime: bool,
}

/// The outcome for a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored with this id.
    Imported(NewId),
    /// Existed already, with the same address, and the same hash or the same names.
    AlreadyThere {
        /// Whether the user has another id here than at the source.
        has_other_id: bool,
    },
    /// Skipped: the address exists in this spelling.
    SpelledOtherwise(String),
    /// Skipped: another user has the address.
    Taken,
    /// Skipped: a user with this address was deleted here.
    DeletedHere,
    /// Skipped: the id of the source cannot be kept.
    IdNotFree(IdConflict),
    /// Skipped: the database does not accept the values.
    NotAccepted,
}

/// The outcome for a token of a user whom this import stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOutcome {
    /// Stored.
    Imported(ImportedToken),
    /// Stored instead of the token of an earlier row, which was to be stored.
    Replaces {
        /// The stored one.
        token: ImportedToken,
        /// The token of the earlier row.
        other: ImportedToken,
    },
    /// Stored with an earlier row of the user, and counted there.
    Counted,
    /// Skipped: the user has one that lasts longer.
    Superseded,
    /// Skipped: it was stored here before, and was revoked.
    EndedHere,
    /// Skipped: another user has the same token.
    OfAnotherUser,
    /// Skipped: it was added to the source after the prediction, and lacks an end.
    LacksLifetime,
}

/// What happens to a user and the token.
#[derive(Clone, Debug)]
pub struct UserDecision {
    /// The outcome for the user.
    pub outcome: Outcome,
    /// The token that is stored with the user.
    pub token: Option<ImportedToken>,
    /// More tokens that are stored with the user, if users may have several sessions.
    pub more_tokens: Vec<ImportedToken>,
    /// The user name that is stored with the user.
    pub username: Option<String>,
    /// Whether another user has the user name, so that the user signs in with the address only.
    pub is_username_taken: bool,
    /// The outcome for tokens, if the user is one whom this import stores.
    pub tokens: Vec<TokenOutcome>,
}

impl UserDecision {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self {
            outcome,
            token: None,
            more_tokens: Vec::new(),
            username: None,
            is_username_taken: false,
            tokens: Vec::new(),
        }
    }
}

/// The outcome of a batch.
#[derive(Debug, Default)]
pub struct BatchOutcome {
    /// For each user, in order.
    pub users: Vec<UserDecision>,
    /// The ids of the users who exist now, by address in the form for comparison. Empty in a prediction.
    pub ids: HashMap<String, i64>,
}

/// How users are imported.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportMode {
    /// Whether nothing is stored.
    pub dry_run: bool,
    /// Whether users who were deleted here are imported too. Their tokens stay revoked.
    pub again: bool,
    /// Whether users who cannot keep the id of the source get another one.
    pub renumber: bool,
    /// The number of sessions that a user may have, each with one of the tokens.
    pub sessions: usize,
}

/// Imports batches of users, each in one transaction, or predicts the outcome without storing anything.
pub(super) struct Importer {
    mode: ImportMode,
    repeated: Arc<Repeated>,
    /// The users of earlier batches.
    seen: Arc<Seen>,
    /// See [`Seen::better`].
    better: Arc<HashMap<String, ImportedToken>>,
}

impl Importer {
    pub(super) fn new(mode: ImportMode, repeated: Repeated) -> Self {
        Self {
            mode,
            repeated: Arc::new(repeated),
            seen: Arc::default(),
            better: Arc::default(),
        }
    }

    /// Prepares to store what was predicted.
    pub(super) fn start_storing(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        self.better = Arc::new(seen.better.clone());
    }

    /// The number of users of the source, and the largest id to reserve.
    pub(super) fn totals(&self) -> (u64, i64) {
        (self.repeated.users, self.repeated.largest_id)
    }

    /// Predicts the outcome of a batch. Without a connection, the target is empty.
    pub(super) fn predict(
        &mut self,
        conn: Option<&mut StoreConnection>,
        users: &[ImportedUser],
    ) -> QueryResult<BatchOutcome> {
        let known = match conn {
            Some(conn) => {
                let key = InstanceKey::deletion().find(conn)?;
                Known::read(conn, users, key.as_ref())?
            }
            None => Known::default(),
        };
        let mut decider = Decider {
            mode: self.mode,
            repeated: &self.repeated,
            known: &known,
            seen: &self.seen,
            new: Seen::default(),
            better: None,
        };
        let users = users.iter().map(|user| decider.decide(user)).collect();
        let new = decider.new;
        Arc::make_mut(&mut self.seen).extend(new);
        Ok(BatchOutcome {
            users,
            ids: HashMap::new(),
        })
    }

    /// Stores the users who do not exist yet, with their tokens, in one transaction. Existing users
    /// stay unchanged. Skips users who were deleted here, and tokens that were revoked here.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; nothing of the batch is stored.
    pub(super) async fn store(
        &mut self,
        auth: &Auth,
        users: Vec<ImportedUser>,
    ) -> Result<BatchOutcome, Error> {
        let (mode, repeated) = (self.mode, Arc::clone(&self.repeated));
        let (seen, better) = (Arc::clone(&self.seen), Arc::clone(&self.better));
        let (target, now) = (auth.clone(), auth.clock().now());
        let operator = AuditContext::operator();
        let work = move |tx: &mut Writing<'_>, events: &mut Events| {
            let key = target.deletion_key().find(tx)?;
            let known = Known::read(tx, &users, key.as_ref())?;
            let mut decider = Decider {
                mode,
                repeated: &repeated,
                known: &known,
                seen: &seen,
                new: Seen::default(),
                better: Some(&better),
            };
            let decisions = users.iter().map(|user| decider.decide(user)).collect();
            let mut new = decider.new;
            let mut outcome = BatchOutcome {
                users: decisions,
                ids: HashMap::new(),
            };
            for (address, holder) in &known.accounts {
                outcome
                    .ids
                    .extend(holder.id.map(|id| (address.clone(), id)));
            }
            let imported =
                |decision: &UserDecision| matches!(decision.outcome, Outcome::Imported(_));
            if outcome.users.iter().any(imported) {
                let (users, tokens) = insert(tx, &users, &mut outcome, now)?;
                let event = Event::new(Action::Import).with("users", users);
                let event = event.with("tokens", tokens);
                // The audit trail must record the return of deleted users.
                events.record(if mode.again {
                    event.with("again", true)
                } else {
                    event
                });
            }
            new.set_ids(&outcome.ids);
            Ok::<_, Error>((outcome, new))
        };
        let (outcome, new) = auth.audit().writing(&operator, work).await?;
        Arc::make_mut(&mut self.seen).extend(new);
        Ok(outcome)
    }
}

/// Stores the users with the outcome `Imported`, with their tokens. Returns the numbers of both.
fn insert(
    tx: &mut Writing<'_>,
    users: &[ImportedUser],
    outcome: &mut BatchOutcome,
    now: NaiveDateTime,
) -> QueryResult<(usize, usize)> {
    let rows: Vec<BulkUser> = users
        .iter()
        .zip(&outcome.users)
        .filter_map(|(user, decision)| match decision.outcome {
            Outcome::Imported(new_id) => Some(row_of(user, new_id, now)),
            _ => None,
        })
        .collect();
    let NewUsers {
        mut stored,
        refused,
    } = import::insert_users(tx, &rows)?;
    let count = stored.len();
    let (mut sessions, mut usernames) = (Vec::new(), Vec::new());
    for (user, decision) in users.iter().zip(&mut outcome.users) {
        if !matches!(decision.outcome, Outcome::Imported(_)) {
            continue;
        }
        let address = user.email.key();
        let Some(id) = stored.remove(&address) else {
            // Another user registered with the address between the query and the insert.
            let is_refused = refused.contains(&address);
            *decision = UserDecision::new(if is_refused {
                Outcome::NotAccepted
            } else {
                Outcome::Taken
            });
            continue;
        };
        for token in decision.token.iter().chain(&decision.more_tokens) {
            sessions.push(session_of(id, token, now));
        }
        if let Some(username_key) = decision.username.clone() {
            usernames.push(NewUsername {
                username_key,
                user_id: id,
            });
        }
        outcome.ids.insert(address, id);
    }
    if !usernames.is_empty() {
        import::insert_usernames(tx, &usernames)?;
    }
    if !sessions.is_empty() {
        import::insert_sessions(tx, &sessions)?;
    }
    Ok((count, sessions.len()))
}

fn row_of(user: &ImportedUser, new_id: NewId, now: NaiveDateTime) -> BulkUser {
    BulkUser {
        id: match new_id {
            NewId::Kept(id) => Some(id),
            _ => None,
        },
        external_id: user.external_id(new_id).map(str::to_owned),
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

fn session_of(user_id: i64, token: &ImportedToken, now: NaiveDateTime) -> NewSession {
    NewSession {
        user_id,
        kind: SessionKind::Issued,
        name: "imported".to_owned(),
        device_digest: None,
        user_agent: String::new(),
        ip: String::new(),
        created_at: now,
        expires_at: token.expires_at,
        idle_seconds: None,
        authenticated_at: None,
        amr: String::new(),
        scopes: String::new(),
        access_token: token.digest.clone(),
        token_expires_at: token.expires_at,
        refresh: None,
    }
}
