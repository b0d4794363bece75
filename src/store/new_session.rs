//! New sessions: a user has at most as many as the settings allow, so a new one may replace others.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::result::Error;
use diesel::sql_types::{Array, BigInt, Nullable, Text, Timestamp};

use super::access_token::NewAccessToken;
use super::limits::check_texts;
use super::prepared::{Columns, ListedRow, RowList, prepared};
use super::schema::sessions;
use super::session::SessionState;
use super::session_kind::SessionKind;
use super::{AccessToken, Revoking, StoreConnection, Writing};
use crate::credential::keyed_digest::DigestKey;
use crate::credential::refresh_token::{RefreshToken, Seed};

/// A session that begins, with its first login token.
#[derive(Clone, Debug)]
pub(crate) struct NewSession {
    /// The user.
    pub(crate) user_id: i64,
    /// Where it comes from.
    pub(crate) kind: SessionKind,
    /// How the user recognises it.
    pub(crate) name: String,
    /// The digest of the id that the device has chosen. A device has one session.
    pub(crate) device_digest: Option<String>,
    /// As the client sent it, shortened.
    pub(crate) user_agent: String,
    /// The address of the client; empty without one.
    pub(crate) ip: String,
    /// UTC.
    pub(crate) created_at: NaiveDateTime,
    /// The fixed end, UTC.
    pub(crate) expires_at: NaiveDateTime,
    /// See [`SessionState::idle_seconds`].
    pub(crate) idle_seconds: Option<i64>,
    /// UTC; when the user entered the password.
    pub(crate) authenticated_at: Option<NaiveDateTime>,
    /// See [`SessionState::amr`].
    pub(crate) amr: String,
    /// Separated by spaces.
    pub(crate) scopes: String,
    /// The digest of the login token.
    pub(crate) access_token: String,
    /// When the login token ends, UTC.
    pub(crate) token_expires_at: NaiveDateTime,
    /// What the first refresh token is made of, if there is one.
    pub(crate) refresh: Option<FirstRefresh>,
}

/// What the first refresh token of a session is made of, besides the id of the session.
#[derive(Clone, Debug)]
pub(crate) struct FirstRefresh {
    /// The key of all refresh tokens.
    pub(crate) key: DigestKey,
    /// What distinguishes this one.
    pub(crate) seed: Seed,
}

impl FirstRefresh {
    /// The token.
    pub(crate) fn token(&self, session_id: i64) -> RefreshToken {
        RefreshToken::first(&self.key, session_id, &self.seed)
    }
}

/// The sessions of users whose rows are locked, and ids for new ones.
#[derive(Default)]
pub(crate) struct LockedSessions {
    of_users: BTreeMap<i64, OfUser>,
    free_ids: Vec<i64>,
    /// The users whose sessions may be ended.
    may_end: BTreeSet<i64>,
}

/// The sessions of a user.
#[derive(Clone, Default)]
pub(super) struct OfUser {
    live: Vec<Held>,
    new: Vec<Row>,
    /// Stored sessions to delete.
    ended: Vec<i64>,
    /// Whether one of those was still valid.
    ends_valid: bool,
}

/// A session, stored or new.
#[derive(Clone, QueryableByName)]
#[diesel(table_name = sessions)]
struct Held {
    id: i64,
    user_id: i64,
    slot: i64,
    device_digest: Option<String>,
    last_used_at: NaiveDateTime,
    expires_at: NaiveDateTime,
}

#[derive(QueryableByName)]
struct NewId {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// A session to insert.
#[derive(Clone)]
struct Row {
    id: i64,
    slot: i64,
    of: NewSession,
}

const LIST_POSTGRES: &str = "SELECT id, user_id, slot, device_digest, last_used_at, expires_at \
     FROM sessions WHERE user_id = ANY($1)";

const LIST_SQLITE: &str = "SELECT id, user_id, slot, device_digest, last_used_at, expires_at \
     FROM sessions WHERE user_id IN (";

const IDS_POSTGRES: &str = "SELECT nextval(pg_get_serial_sequence('sessions', 'id')) AS id \
     FROM generate_series(1, $1)";

/// The transaction is the only one that writes, and inserting an id moves the sequence.
const LAST_ID_SQLITE: &str =
    "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'sessions'), 0) AS id";

/// In one order, so that transactions that end several sessions do not wait for each other.
const END_POSTGRES: &str = "DELETE FROM sessions WHERE id = ANY(ARRAY(\
     SELECT id FROM sessions WHERE id = ANY($1) ORDER BY id FOR UPDATE))";

const END_SQLITE: &str = "DELETE FROM sessions WHERE id IN (";

const INSERT: &str = "INSERT INTO sessions (id, user_id, slot, kind, name, device_digest, \
     user_agent, first_ip, last_ip, created_at, last_used_at, expires_at, idle_seconds, \
     authenticated_at, amr, scopes) VALUES ";

impl LockedSessions {
    /// Reads the sessions of these users, whose rows are locked, and takes an id for each of them: one
    /// for each session that begins.
    pub(crate) fn read(
        tx: &mut Revoking<'_>,
        users: &[i64],
        may_end: BTreeSet<i64>,
    ) -> QueryResult<Self> {
        let mut of_users: BTreeMap<i64, OfUser> = BTreeMap::new();
        of_users.extend(users.iter().map(|user| (*user, OfUser::default())));
        let distinct: Vec<i64> = of_users.keys().copied().collect();
        for held in list(tx, &distinct)? {
            if let Some(of_user) = of_users.get_mut(&held.user_id) {
                of_user.live.push(held);
            }
        }
        Ok(Self {
            of_users,
            free_ids: take_ids(tx, users.len())?,
            may_end,
        })
    }

    /// Whether a session of this user and device can only begin if another one ends, and the
    /// transaction may end none of the user's.
    pub(crate) fn lacks_room(
        &self,
        user_id: i64,
        device_digest: Option<&str>,
        limit: usize,
        now: NaiveDateTime,
    ) -> bool {
        let Some(of_user) = self.of_users.get(&user_id) else {
            return false;
        };
        let others = of_user.live.iter().filter(|held| held.expires_at > now);
        !self.may_end.contains(&user_id)
            && (others.clone().count() >= limit
                || others
                    .into_iter()
                    .any(|held| held.is_of_device(device_digest)))
    }

    /// Begins a session. It replaces the one of the same device; beyond `limit`, the ones that were
    /// unused longest end. Returns its token, and the ids of the latter.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the user was not claimed.
    pub(crate) fn begin(
        &mut self,
        new: NewSession,
        limit: usize,
    ) -> QueryResult<(AccessToken, Vec<i64>)> {
        let id = self.free_ids.pop().ok_or(Error::NotFound)?;
        let of_user = self.of_users.get_mut(&new.user_id).ok_or(Error::NotFound)?;
        of_user.end_where(|held| held.expires_at <= new.created_at);
        let expired = of_user.ended.len();
        of_user.end_where(|held| held.is_of_device(new.device_digest.as_deref()));
        let evicted = of_user.keep_newest(limit.saturating_sub(1));
        of_user.ends_valid |= of_user.ended.len() > expired;
        let taken: BTreeSet<i64> = of_user.live.iter().map(|held| held.slot).collect();
        let slot = (0..).find(|slot| !taken.contains(slot)).unwrap_or(0);
        of_user.live.push(Held {
            id,
            user_id: new.user_id,
            slot,
            device_digest: new.device_digest.clone(),
            last_used_at: new.created_at,
            expires_at: new.expires_at,
        });
        let token = new.first_token(id);
        of_user.new.push(Row { id, slot, of: new });
        Ok((token, evicted))
    }

    /// The state of what an operation on this user may change.
    pub(super) fn save(&self, user_id: i64) -> Option<OfUser> {
        self.of_users.get(&user_id).cloned()
    }

    /// Undoes what was changed since.
    pub(super) fn restore(&mut self, user_id: i64, saved: OfUser) {
        self.of_users.insert(user_id, saved);
    }

    /// Stores what has changed.
    pub(crate) fn store(self, tx: &mut Revoking<'_>) -> QueryResult<()> {
        let (mut ended, mut rows) = (Vec::new(), Vec::new());
        for (user_id, of_user) in self.of_users {
            if of_user.ends_valid {
                tx.require(user_id)?;
            }
            ended.extend(of_user.ended);
            rows.extend(of_user.new);
        }
        end(tx, &ended)?;
        insert(tx, &rows)
    }
}

impl OfUser {
    fn end_where(&mut self, ends: impl Fn(&Held) -> bool) {
        let ended: Vec<Held> = self.live.extract_if(.., |held| ends(held)).collect();
        ended.iter().for_each(|held| self.end(held.id));
    }

    /// Ends the sessions that were unused longest, so that at most `count` remain. Returns their ids.
    fn keep_newest(&mut self, count: usize) -> Vec<i64> {
        self.live.sort_by_key(|held| (held.last_used_at, held.id));
        let excess = self.live.len().saturating_sub(count);
        let ended: Vec<i64> = self.live.drain(..excess).map(|held| held.id).collect();
        for id in &ended {
            self.end(*id);
        }
        ended
    }

    /// A session that is not stored yet never will be.
    fn end(&mut self, id: i64) {
        let before = self.new.len();
        self.new.retain(|row| row.id != id);
        if self.new.len() == before {
            self.ended.push(id);
        }
    }
}

impl Held {
    fn is_of_device(&self, device_digest: Option<&str>) -> bool {
        device_digest.is_some() && self.device_digest.as_deref() == device_digest
    }
}

fn list(tx: &mut Revoking<'_>, users: &[i64]) -> QueryResult<Vec<Held>> {
    if let StoreConnection::Postgres(conn) = tx.conn() {
        return prepared(LIST_POSTGRES)
            .bind::<Array<BigInt>, _>(users)
            .load(conn);
    }
    let list = RowList {
        before: LIST_SQLITE,
        rows: users,
        after: ")",
    };
    list.load(tx.conn())
}

fn take_ids(tx: &mut Writing<'_>, count: usize) -> QueryResult<Vec<i64>> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let ids: Vec<NewId> = match tx.conn() {
        StoreConnection::Postgres(conn) => {
            prepared(IDS_POSTGRES).bind::<BigInt, _>(count).load(conn)?
        }
        StoreConnection::Sqlite(conn) => {
            let NewId { id: last } = prepared(LAST_ID_SQLITE).get_result(conn)?;
            (1..=count).map(|next| NewId { id: last + next }).collect()
        }
    };
    // The last one is taken first.
    Ok(ids.into_iter().rev().map(|new| new.id).collect())
}

fn end(tx: &mut Writing<'_>, ids: &[i64]) -> QueryResult<()> {
    if ids.is_empty() {
        return Ok(());
    }
    if let StoreConnection::Postgres(conn) = tx.conn() {
        return prepared(END_POSTGRES)
            .bind::<Array<BigInt>, _>(ids)
            .execute(conn)
            .map(drop);
    }
    let end = RowList {
        before: END_SQLITE,
        rows: ids,
        after: ")",
    };
    end.execute(tx.conn()).map(drop)
}

fn insert(tx: &mut Writing<'_>, rows: &[Row]) -> QueryResult<()> {
    if rows.is_empty() {
        return Ok(());
    }
    for Row { of, .. } in rows {
        let device_digest = of.device_digest.as_deref().unwrap_or_default();
        check_texts([&of.name, device_digest, &of.user_agent, &of.ip, &of.scopes])?;
    }
    let insert = RowList {
        before: INSERT,
        rows,
        after: "",
    };
    insert.execute(tx.conn())?;
    let tokens: Vec<NewAccessToken> = rows.iter().map(Row::first_token).collect();
    NewAccessToken::insert_all(tx, &tokens)?;
    let refresh: Vec<NewRefresh> = rows.iter().filter_map(NewRefresh::of).collect();
    if refresh.is_empty() {
        return Ok(());
    }
    let insert = RowList {
        before: INSERT_REFRESH,
        rows: &refresh,
        after: "",
    };
    insert.execute(tx.conn()).map(drop)
}

/// A first refresh token to insert.
struct NewRefresh {
    session_id: i64,
    digest: String,
    created_at: NaiveDateTime,
}

impl NewRefresh {
    fn of(row: &Row) -> Option<Self> {
        Some(Self {
            session_id: row.id,
            digest: row.of.refresh.as_ref()?.token(row.id).digest().to_hex(),
            created_at: row.of.created_at,
        })
    }
}

const INSERT_REFRESH: &str = "INSERT INTO refresh_tokens (session_id, counter, digest, \
     previous_digest, salt, rotated_at) VALUES ";

impl ListedRow for NewRefresh {
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
        columns
            .add::<BigInt, _>(&self.session_id)?
            .add::<BigInt, _>(&0_i64)?
            .add::<Text, _>(&self.digest)?
            .add::<Text, _>("")?
            .add::<Text, _>("")?
            .add::<Timestamp, _>(&self.created_at)
            .map(drop)
    }
}

/// The largest number of sessions in one statement: a statement has at most 32,766 values.
#[cfg(feature = "cli")]
const MAX_ROWS: usize = 500;

impl NewSession {
    /// Stores sessions of users who have none. A token that is stored already stays with its session.
    #[cfg(feature = "cli")]
    pub(super) fn insert_all(tx: &mut Writing<'_>, sessions: &[Self]) -> QueryResult<()> {
        let mut slots: BTreeMap<i64, i64> = BTreeMap::new();
        for part in sessions.chunks(MAX_ROWS) {
            let ids = take_ids(tx, part.len())?;
            let rows = part.iter().zip(ids).map(|(of, id)| {
                let next = slots.entry(of.user_id).or_default();
                let slot = *next;
                *next += 1;
                Row {
                    id,
                    slot,
                    of: of.clone(),
                }
            });
            insert(tx, &rows.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// The login token as it is stored with the session of this id.
    fn first_token(&self, id: i64) -> AccessToken {
        AccessToken {
            user_id: self.user_id,
            access_token: self.access_token.clone(),
            expiration_date: self.token_expires_at,
            scopes: self.scopes.clone(),
            created_at: self.created_at,
            authenticated_at: self.authenticated_at,
            session: SessionState {
                id,
                kind: self.kind,
                amr: self.amr.clone(),
                idle_seconds: self.idle_seconds,
                last_used_at: self.created_at,
                expires_at: self.expires_at,
            },
        }
    }
}

impl Row {
    fn first_token(&self) -> NewAccessToken {
        NewAccessToken {
            user_id: self.of.user_id,
            access_token: self.of.access_token.clone(),
            expiration_date: self.of.token_expires_at,
            scopes: self.of.scopes.clone(),
            created_at: self.of.created_at,
            authenticated_at: self.of.authenticated_at,
            session_id: self.id,
            slot: 0,
        }
    }
}

impl ListedRow for Row {
    fn walk<'b>(&'b self, columns: &mut Columns<'_, '_, 'b>) -> QueryResult<()> {
        let of = &self.of;
        columns
            .add::<BigInt, _>(&self.id)?
            .add::<BigInt, _>(&of.user_id)?
            .add::<BigInt, _>(&self.slot)?
            .add::<Text, _>(of.kind.as_str())?
            .add::<Text, _>(&of.name)?
            .add::<Nullable<Text>, _>(&of.device_digest)?
            .add::<Text, _>(&of.user_agent)?
            .add::<Text, _>(&of.ip)?
            .add::<Text, _>(&of.ip)?
            .add::<Timestamp, _>(&of.created_at)?
            .add::<Timestamp, _>(&of.created_at)?
            .add::<Timestamp, _>(&of.expires_at)?
            .add::<Nullable<BigInt>, _>(&of.idle_seconds)?
            .add::<Nullable<Timestamp>, _>(&of.authenticated_at)?
            .add::<Text, _>(&of.amr)?
            .add::<Text, _>(&of.scopes)
            .map(drop)
    }
}
