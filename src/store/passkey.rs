//! The passkeys of users, and what authenticators know these users by.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::limits::check_texts;
use super::schema::{factors, passkeys, user_handles};
use super::{StoreConnection, Writing};

/// A passkey that counts: the columns in their order.
#[derive(Clone, Insertable, Queryable, Selectable)]
#[diesel(table_name = passkeys)]
pub(crate) struct Passkey {
    /// The factor that it is.
    pub(crate) factor_id: i64,
    pub(crate) user_id: i64,
    /// In URL-safe base64.
    pub(crate) credential_id: String,
    /// The public key, as the library writes it.
    pub(crate) credential: String,
    /// The domain that it is made for.
    pub(crate) rp_id: String,
    /// The model of the authenticator, as a UUID; zeros if it does not say.
    pub(crate) aaguid: String,
    /// How often it has signed, as it said last; 0 if it does not count.
    pub(crate) sign_count: i64,
    /// Whether the key may be copied to other devices.
    pub(crate) backup_eligible: bool,
    /// Whether it is.
    pub(crate) backed_up: bool,
}

/// What an authenticator has said with a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PasskeyUse {
    pub(crate) sign_count: i64,
    pub(crate) backup_eligible: bool,
    pub(crate) backed_up: bool,
    /// Whether it has verified the user; not stored.
    pub(crate) user_verified: bool,
}

impl Passkey {
    /// Stores the passkey of a factor, which is confirmed with it, perhaps under another name. Returns whether
    /// the factor of this user was there and unconfirmed.
    pub(crate) fn confirm(
        &self,
        tx: &mut Writing<'_>,
        name: Option<&str>,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        check_texts([
            &self.credential_id,
            &self.credential,
            &self.rp_id,
            &self.aaguid,
        ])?;
        let unconfirmed = factors::table
            .find(self.factor_id)
            .filter(factors::user_id.eq(self.user_id))
            .filter(factors::confirmed_at.is_null());
        let confirmed = diesel::update(unconfirmed)
            .set(factors::confirmed_at.eq(Some(now)))
            .execute(tx.conn())?;
        if confirmed != 1 {
            return Ok(false);
        }
        if let Some(name) = name {
            diesel::update(factors::table.find(self.factor_id))
                .set(factors::name.eq(name))
                .execute(tx.conn())?;
        }
        diesel::insert_into(passkeys::table)
            .values(self)
            .execute(tx.conn())?;
        Ok(true)
    }

    /// The passkey with this credential id, whosever it is.
    pub(crate) fn find(
        conn: &mut StoreConnection,
        credential_id: &str,
    ) -> QueryResult<Option<Self>> {
        passkeys::table
            .filter(passkeys::credential_id.eq(credential_id))
            .select(Self::as_select())
            .get_result(conn)
            .optional()
    }

    /// The passkeys of a user, oldest first. A user has a few.
    pub(crate) fn list_of_user(conn: &mut StoreConnection, user_id: i64) -> QueryResult<Vec<Self>> {
        passkeys::table
            .filter(passkeys::user_id.eq(user_id))
            .order(passkeys::factor_id)
            .select(Self::as_select())
            .load(conn)
    }

    /// How many passkeys there are, and how many of them are made for another domain than this one.
    #[cfg(feature = "cli")]
    pub(crate) fn count_of_other_domains(
        conn: &mut StoreConnection,
        rp_id: &str,
    ) -> QueryResult<(i64, i64)> {
        let all = passkeys::table.count().get_result(conn)?;
        let others = passkeys::table.filter(passkeys::rp_id.ne(rp_id));
        Ok((all, others.count().get_result(conn)?))
    }

    /// Stores what the authenticator has said at `now`. Returns whether the user still has the passkey.
    pub(crate) fn record_use(
        &self,
        tx: &mut Writing<'_>,
        used: PasskeyUse,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let this = passkeys::table
            .find(self.factor_id)
            .filter(passkeys::credential_id.eq(&self.credential_id));
        let stored = diesel::update(this)
            .set((
                passkeys::sign_count.eq(used.sign_count),
                passkeys::backup_eligible.eq(used.backup_eligible),
                passkeys::backed_up.eq(used.backed_up),
            ))
            .execute(tx.conn())?;
        diesel::update(factors::table.find(self.factor_id))
            .set(factors::last_used_at.eq(Some(now)))
            .execute(tx.conn())?;
        Ok(stored == 1)
    }
}

/// What authenticators know users by.
pub(crate) struct UserHandles;

impl UserHandles {
    /// The handle of a user; `new` becomes it if there is none.
    pub(crate) fn get_or_insert(
        tx: &mut Writing<'_>,
        user_id: i64,
        new: String,
    ) -> QueryResult<String> {
        if let Some(handle) = Self::find(tx, user_id)? {
            return Ok(handle);
        }
        diesel::insert_into(user_handles::table)
            .values((
                user_handles::user_id.eq(user_id),
                user_handles::handle.eq(&new),
            ))
            .execute(tx.conn())?;
        Ok(new)
    }

    /// The handle of a user, in URL-safe base64.
    pub(crate) fn find(conn: &mut StoreConnection, user_id: i64) -> QueryResult<Option<String>> {
        user_handles::table
            .find(user_id)
            .select(user_handles::handle)
            .get_result(conn)
            .optional()
    }
}
