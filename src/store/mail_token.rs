//! What the links and codes in mails are checked against. For each purpose and address, a user has at most
//! one that counts.

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::limits::check_texts;
use super::prune::prune;
use super::schema::mail_tokens;
use super::{StoreConnection, Writing};
use crate::credential::mail_token::MailPurpose;
use crate::password::StoredHash;

/// How long a used or expired token is kept, so that a link that is opened again is recognised.
const KEPT_AFTER_EXPIRY: chrono::TimeDelta = chrono::TimeDelta::days(30);

/// Whose a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenOwner {
    /// The user with this id.
    User(i64),
    /// The invitation with this id.
    Invitation(i64),
}

impl TokenOwner {
    /// The values of the two columns.
    fn columns(self) -> (Option<i64>, Option<i64>) {
        match self {
            Self::User(id) => (Some(id), None),
            Self::Invitation(id) => (None, Some(id)),
        }
    }
}

/// A stored link and code. It holds only a digest and a hash of them.
#[derive(Clone, Queryable, Selectable)]
#[diesel(table_name = mail_tokens)]
pub(crate) struct MailToken {
    pub(crate) id: i64,
    /// The account that it is for; `None` for an invitation.
    pub(crate) user_id: Option<i64>,
    /// The same for the invitation.
    pub(crate) invitation_id: Option<i64>,
    /// The address that the mail went to, as displayed.
    pub(crate) address: String,
    /// The same in the form of [`NewUser::email_key`](super::NewUser::email_key).
    pub(crate) address_key: String,
    code_hash: Option<String>,
    /// UTC; when the first of its links was made.
    created_at: NaiveDateTime,
    /// UTC.
    expires_at: NaiveDateTime,
    /// UTC.
    code_expires_at: Option<NaiveDateTime>,
    /// UTC; when the link or code was used.
    used_at: Option<NaiveDateTime>,
}

impl MailToken {
    /// Whether the link is good at `now`.
    pub(crate) fn is_good(&self, now: NaiveDateTime) -> bool {
        self.used_at.is_none() && now < self.expires_at
    }

    /// Whether the link or code was used.
    pub(crate) fn is_used(&self) -> bool {
        self.used_at.is_some()
    }

    /// The hash of the code, if it is good at `now`.
    pub(crate) fn code_hash(&self, now: NaiveDateTime) -> Option<StoredHash> {
        let is_good = self.is_good(now) && self.code_expires_at.is_some_and(|end| now < end);
        let hash = self.code_hash.clone().filter(|_| is_good);
        hash.map(StoredHash::from)
    }

    /// The token whose link has this digest, used or not: the current one, or that of the try before it.
    pub(crate) fn find(
        conn: &mut StoreConnection,
        purpose: MailPurpose,
        digest: &str,
    ) -> QueryResult<Option<Self>> {
        let is_current = mail_tokens::digest.eq(digest);
        mail_tokens::table
            .filter(is_current.or(mail_tokens::previous_digest.eq(digest)))
            .filter(mail_tokens::purpose.eq(purpose.name()))
            .select(Self::as_select())
            .get_result(conn)
            .optional()
    }

    /// The token of an address that was not used.
    pub(crate) fn find_of_address(
        conn: &mut StoreConnection,
        purpose: MailPurpose,
        address_key: &str,
    ) -> QueryResult<Option<Self>> {
        mail_tokens::table
            .filter(mail_tokens::address_key.eq(address_key))
            .filter(mail_tokens::purpose.eq(purpose.name()))
            .filter(mail_tokens::used_at.is_null())
            .order(mail_tokens::id.desc())
            .select(Self::as_select())
            .first(conn)
            .optional()
    }

    /// Uses the token up. Returns whether it was good until now: of several concurrent calls, one gets
    /// `true`.
    pub(crate) fn spend(&self, tx: &mut Writing<'_>, now: NaiveDateTime) -> QueryResult<bool> {
        let good = mail_tokens::table
            .find(self.id)
            .filter(mail_tokens::used_at.is_null())
            .filter(mail_tokens::expires_at.gt(now));
        diesel::update(good)
            .set(mail_tokens::used_at.eq(now))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Ends the tokens of a user for these purposes that were not used.
    pub(crate) fn end_of_user(
        tx: &mut Writing<'_>,
        user_id: i64,
        purposes: &[MailPurpose],
    ) -> QueryResult<()> {
        let names: Vec<&str> = purposes.iter().map(|purpose| purpose.name()).collect();
        let good = mail_tokens::table
            .filter(mail_tokens::user_id.eq(user_id))
            .filter(mail_tokens::purpose.eq_any(names))
            .filter(mail_tokens::used_at.is_null());
        diesel::delete(good).execute(tx.conn()).map(drop)
    }

    /// Ends the token of an invitation.
    pub(crate) fn end_of_invitation(tx: &mut Writing<'_>, invitation_id: i64) -> QueryResult<()> {
        let good = mail_tokens::table
            .filter(mail_tokens::invitation_id.eq(invitation_id))
            .filter(mail_tokens::used_at.is_null());
        diesel::delete(good).execute(tx.conn()).map(drop)
    }

    /// Whether a user can return to this address, in the form of
    /// [`NewUser::email_key`](super::NewUser::email_key).
    pub(crate) fn can_undo(
        conn: &mut StoreConnection,
        user_id: i64,
        address_key: &str,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        Ok(Self::users_who_can_return(conn, address_key, now)?.contains(&user_id))
    }

    /// Whether a user other than `user_id` can return to this address: nobody else gets it until then.
    pub(crate) fn is_reserved(
        conn: &mut StoreConnection,
        user_id: Option<i64>,
        address_key: &str,
        now: NaiveDateTime,
    ) -> QueryResult<bool> {
        let users = Self::users_who_can_return(conn, address_key, now)?;
        Ok(users.into_iter().any(|id| Some(id) != user_id))
    }

    fn users_who_can_return(
        conn: &mut StoreConnection,
        address_key: &str,
        now: NaiveDateTime,
    ) -> QueryResult<Vec<i64>> {
        mail_tokens::table
            .filter(mail_tokens::address_key.eq(address_key))
            .filter(mail_tokens::purpose.eq(MailPurpose::Undo.name()))
            .filter(mail_tokens::used_at.is_null())
            .filter(mail_tokens::expires_at.gt(now))
            .filter(mail_tokens::user_id.is_not_null())
            .select(mail_tokens::user_id.assume_not_null())
            .load(conn)
    }

    /// Ends the tokens of a user with the purpose [`MailPurpose::Undo`] that are not older than this one.
    pub(crate) fn end_later(&self, tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
        let later = mail_tokens::table
            .filter(mail_tokens::user_id.eq(user_id))
            .filter(mail_tokens::purpose.eq(MailPurpose::Undo.name()))
            .filter(mail_tokens::created_at.ge(self.created_at))
            .filter(mail_tokens::used_at.is_null());
        diesel::delete(later).execute(tx.conn()).map(drop)
    }

    /// Ends all tokens.
    pub(crate) fn end_all(tx: &mut Writing<'_>) -> QueryResult<()> {
        // The bound is always true; with it, the index is searched.
        let all = mail_tokens::table.filter(mail_tokens::id.gt(0));
        diesel::delete(all).execute(tx.conn()).map(drop)
    }

    /// Deletes at most `limit` tokens that expired long before `now`. Returns how many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let Some(before) = now.checked_sub_signed(KEPT_AFTER_EXPIRY) else {
            return Ok(0);
        };
        let old = || mail_tokens::expires_at.le(before);
        prune!(tx, mail_tokens, id: i64, by expires_at, old(), limit)
    }
}

/// A link, and perhaps a code, that is about to be sent or printed.
#[derive(Insertable)]
#[diesel(table_name = mail_tokens)]
pub(crate) struct NewMailToken {
    user_id: Option<i64>,
    invitation_id: Option<i64>,
    purpose: &'static str,
    address: String,
    address_key: String,
    digest: String,
    previous_digest: Option<String>,
    code_hash: Option<String>,
    created_at: NaiveDateTime,
    expires_at: NaiveDateTime,
    code_expires_at: Option<NaiveDateTime>,
}

impl NewMailToken {
    /// A link for the address `address`, whose key is `address_key`. `digest` is the hex SHA-256 of its
    /// token.
    pub(crate) fn new(
        owner: TokenOwner,
        purpose: MailPurpose,
        (address, address_key): (&str, &str),
        digest: String,
        (created_at, expires_at): (NaiveDateTime, NaiveDateTime),
    ) -> Self {
        let (user_id, invitation_id) = owner.columns();
        Self {
            user_id,
            invitation_id,
            purpose: purpose.name(),
            address: address.to_owned(),
            address_key: address_key.to_owned(),
            digest,
            previous_digest: None,
            code_hash: None,
            created_at,
            expires_at,
            code_expires_at: None,
        }
    }

    /// Adds a code with this bcrypt hash. 40 bits under a fast hash could be guessed within its lifetime.
    pub(crate) fn with_code(self, hash: String, expires_at: NaiveDateTime) -> Self {
        Self {
            code_hash: Some(hash),
            code_expires_at: Some(expires_at),
            ..self
        }
    }

    /// Stores the token in place of the one that counts now. With `keeps_previous`, the link of that one
    /// stays good: its mail may have arrived, although the mail server did not say so.
    pub(crate) fn store(mut self, tx: &mut Writing<'_>, keeps_previous: bool) -> QueryResult<()> {
        check_texts([&self.address, &self.address_key, &self.digest])?;
        if let Some((digest, created_at)) = self.end_current(tx)? {
            self.previous_digest = keeps_previous.then_some(digest);
            // The mail is sent late, and again: what counts is when there was a reason for it.
            self.created_at = created_at;
        }
        diesel::insert_into(mail_tokens::table)
            .values(self)
            .execute(tx.conn())
            .map(drop)
    }

    /// Ends the token that this one replaces, and returns its digest, and when it was created.
    fn end_current(&self, tx: &mut Writing<'_>) -> QueryResult<Option<(String, NaiveDateTime)>> {
        let good = mail_tokens::table
            .filter(mail_tokens::purpose.eq(self.purpose))
            .filter(mail_tokens::address_key.eq(&self.address_key))
            .filter(mail_tokens::used_at.is_null());
        let returned = (mail_tokens::digest, mail_tokens::created_at);
        let ended = match (self.user_id, self.invitation_id) {
            (Some(id), _) => diesel::delete(good.filter(mail_tokens::user_id.eq(id)))
                .returning(returned)
                .get_result(tx.conn()),
            (None, id) => diesel::delete(good.filter(mail_tokens::invitation_id.eq(id)))
                .returning(returned)
                .get_result(tx.conn()),
        };
        ended.optional()
    }
}
