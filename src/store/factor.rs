//! The second factors of users.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::limits::check_texts;
use super::prune::prune;
use super::schema::{factors, passkeys};
use super::{StoreConnection, Writing};

/// A second factor: the columns in their order.
#[derive(Clone, Queryable)]
#[non_exhaustive]
pub struct Factor {
    /// Never assigned again.
    pub id: i64,
    /// The user.
    pub user_id: i64,
    /// What it is: `totp`, an authenticator app, or `webauthn`, a passkey.
    pub kind: String,
    /// What the user calls it.
    pub name: String,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// UTC; it counts from then on.
    pub confirmed_at: Option<NaiveDateTime>,
    /// UTC.
    pub last_used_at: Option<NaiveDateTime>,
    pub(crate) secret_sealed: String,
    pub(crate) key_id: String,
}

/// The columns of a [`Factor`], in the order of its fields.
const FACTOR_COLUMNS: (
    factors::id,
    factors::user_id,
    factors::kind,
    factors::name,
    factors::created_at,
    factors::confirmed_at,
    factors::last_used_at,
    factors::secret_sealed,
    factors::key_id,
) = (
    factors::id,
    factors::user_id,
    factors::kind,
    factors::name,
    factors::created_at,
    factors::confirmed_at,
    factors::last_used_at,
    factors::secret_sealed,
    factors::key_id,
);

/// What a factor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FactorKind {
    /// An authenticator app.
    Totp,
    /// A passkey.
    #[cfg(feature = "passkeys")]
    WebAuthn,
}

impl FactorKind {
    /// As it is stored.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            #[cfg(feature = "passkeys")]
            Self::WebAuthn => "webauthn",
        }
    }
}

impl Factor {
    /// Stores an unconfirmed factor, an app without its seed, and returns its id.
    pub(crate) fn insert(
        tx: &mut Writing<'_>,
        user_id: i64,
        kind: FactorKind,
        name: &str,
        now: NaiveDateTime,
    ) -> QueryResult<i64> {
        check_texts([name])?;
        diesel::insert_into(factors::table)
            .values((
                factors::user_id.eq(user_id),
                factors::kind.eq(kind.name()),
                factors::name.eq(name),
                factors::created_at.eq(now),
                factors::secret_sealed.eq(""),
                factors::key_id.eq(""),
                factors::last_step.eq(0),
            ))
            .returning(factors::id)
            .get_result(tx.conn())
    }

    /// Stores the seed of an app, sealed with the key of this id.
    pub(crate) fn set_secret(
        tx: &mut Writing<'_>,
        id: i64,
        sealed: &str,
        key_id: &str,
    ) -> QueryResult<()> {
        check_texts([sealed, key_id])?;
        diesel::update(factors::table.find(id))
            .set((
                factors::secret_sealed.eq(sealed),
                factors::key_id.eq(key_id),
            ))
            .execute(tx.conn())
            .map(drop)
    }

    /// The factors of a user, confirmed or not, oldest first. A user has a few.
    pub(crate) fn list_of_user(conn: &mut StoreConnection, user_id: i64) -> QueryResult<Vec<Self>> {
        factors::table
            .filter(factors::user_id.eq(user_id))
            .order(factors::id)
            .select(FACTOR_COLUMNS)
            .load(conn)
    }

    /// The apps after this id whose seeds another key than this one has sealed, in the order of their ids, at
    /// most `limit`.
    #[cfg(feature = "cli")]
    pub(crate) fn list_sealed_otherwise(
        conn: &mut StoreConnection,
        key_id: &str,
        after: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        factors::table
            .filter(factors::id.gt(after))
            .filter(factors::kind.eq(FactorKind::Totp.name()))
            .filter(factors::key_id.ne(key_id))
            .order(factors::id)
            .limit(limit)
            .select(FACTOR_COLUMNS)
            .load(conn)
    }

    /// Those that count, oldest first.
    pub(crate) fn list_confirmed(
        conn: &mut StoreConnection,
        user_id: i64,
    ) -> QueryResult<Vec<Self>> {
        let mut factors = Self::list_of_user(conn, user_id)?;
        factors.retain(Self::is_confirmed);
        Ok(factors)
    }

    /// Whether the passkeys of a user are backed up, by the ids of their factors.
    pub(crate) fn list_backed_up(
        conn: &mut StoreConnection,
        user_id: i64,
    ) -> QueryResult<Vec<(i64, bool)>> {
        passkeys::table
            .filter(passkeys::user_id.eq(user_id))
            .select((passkeys::factor_id, passkeys::backed_up))
            .load(conn)
    }

    /// Whether it counts.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.confirmed_at.is_some()
    }

    /// Whether it is an authenticator app.
    pub(crate) fn is_app(&self) -> bool {
        self.kind == FactorKind::Totp.name()
    }

    /// Any app, whose seed was sealed, to try the key: the one stored last.
    #[cfg(feature = "cli")]
    pub(crate) fn find_last(conn: &mut StoreConnection) -> QueryResult<Option<Self>> {
        factors::table
            .filter(factors::kind.eq(FactorKind::Totp.name()))
            .order(factors::id.desc())
            .select(FACTOR_COLUMNS)
            .first(conn)
            .optional()
    }

    /// When a code of an app was right last, of any user.
    #[cfg(feature = "cli")]
    pub(crate) fn last_code_at(conn: &mut StoreConnection) -> QueryResult<Option<NaiveDateTime>> {
        factors::table
            .filter(factors::kind.eq(FactorKind::Totp.name()))
            .select(diesel::dsl::max(factors::last_used_at))
            .get_result(conn)
    }

    /// Confirms an app of a user with the code of a step, which counts no more. Returns whether it was
    /// there and unconfirmed.
    pub(crate) fn confirm(
        tx: &mut Writing<'_>,
        user_id: i64,
        id: i64,
        step: i64,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let unconfirmed = factors::table
            .find(id)
            .filter(factors::user_id.eq(user_id))
            .filter(factors::confirmed_at.is_null());
        diesel::update(unconfirmed)
            .set((
                factors::confirmed_at.eq(Some(now)),
                factors::last_step.eq(step),
            ))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Uses up the code of a step, and those of earlier steps. Of several concurrent calls for a step, only one
    /// returns true. A used step after `furthest` is one of a clock that was ahead, and does not count.
    pub(crate) fn use_step(
        tx: &mut Writing<'_>,
        id: i64,
        step: i64,
        furthest: i64,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let unused = factors::table
            .find(id)
            .filter(factors::confirmed_at.is_not_null())
            .filter(
                factors::last_step
                    .lt(step)
                    .or(factors::last_step.gt(furthest)),
            );
        diesel::update(unused)
            .set((
                factors::last_step.eq(step),
                factors::last_used_at.eq(Some(now)),
            ))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Gives a factor of a user that counts another name. Returns it, if the user has it.
    pub(crate) fn rename(
        tx: &mut Writing<'_>,
        user_id: i64,
        id: i64,
        name: &str,
    ) -> QueryResult<Option<Self>> {
        check_texts([name])?;
        let this = factors::table
            .find(id)
            .filter(factors::user_id.eq(user_id))
            .filter(factors::confirmed_at.is_not_null());
        diesel::update(this)
            .set(factors::name.eq(name))
            .returning(FACTOR_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// Removes a factor of a user. Returns it, if the user had it.
    pub(crate) fn delete(tx: &mut Writing<'_>, user_id: i64, id: i64) -> QueryResult<Option<Self>> {
        let this = factors::table.find(id).filter(factors::user_id.eq(user_id));
        diesel::delete(this)
            .returning(FACTOR_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// Removes all factors of a user. Returns how many counted.
    pub(crate) fn delete_all(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<usize> {
        let of_user = factors::table.filter(factors::user_id.eq(user_id));
        let confirmed: Vec<Option<NaiveDateTime>> = diesel::delete(of_user)
            .returning(factors::confirmed_at)
            .get_results(tx.conn())?;
        Ok(confirmed.into_iter().flatten().count())
    }

    /// Deletes at most `limit` factors that were stored before this time and never confirmed. Returns how
    /// many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        before: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let old = || {
            let is_early = factors::created_at.lt(before);
            factors::confirmed_at.is_null().and(is_early)
        };
        prune!(tx, factors, id: i64, by created_at, old(), limit)
    }
}
