//! The tries to send a mail: it is leased by one worker at a time.

use chrono::NaiveDateTime;
use diesel::dsl::{Eq, Filter, Find};
use diesel::prelude::*;

use super::{MAIL_COLUMNS, OutboxMail, is_waiting};
use crate::store::schema::mail_outbox;
use crate::store::{StoreConnection, Writing};

/// The longest reply of a mail server that is kept, in bytes.
const MAX_REPLY: usize = 500;

/// The row of a mail while a lease holds.
type Held =
    Filter<Find<mail_outbox::table, i64>, Eq<mail_outbox::lease_until, Option<NaiveDateTime>>>;

/// How a try has ended. What is `None` stays.
#[derive(AsChangeset, Default)]
#[diesel(table_name = mail_outbox)]
struct TryEnd<'a> {
    next_at: Option<NaiveDateTime>,
    attempts: Option<i64>,
    sent_at: Option<NaiveDateTime>,
    failed_at: Option<NaiveDateTime>,
    last_reply: Option<&'a str>,
}

impl OutboxMail {
    /// The ids of at most `limit` mails that are due at `now` and not leased, those that wait longest first.
    pub(crate) fn find_due(
        conn: &mut StoreConnection,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<Vec<i64>> {
        let is_free = mail_outbox::lease_until.is_null();
        mail_outbox::table
            .filter(mail_outbox::next_at.le(now))
            .filter(is_waiting())
            .filter(is_free.or(mail_outbox::lease_until.le(now)))
            .order((mail_outbox::next_at, mail_outbox::id))
            .limit(limit)
            .select(mail_outbox::id)
            .load(conn)
    }

    /// Leases a mail until `until` and begins a try, if it is still due at `now`: of several processes, one
    /// gets it.
    pub(crate) fn lease(
        tx: &mut Writing<'_>,
        id: i64,
        now: NaiveDateTime,
        until: NaiveDateTime,
    ) -> QueryResult<Option<Self>> {
        let is_free = mail_outbox::lease_until.is_null();
        let due = mail_outbox::table
            .find(id)
            .filter(mail_outbox::next_at.le(now))
            .filter(is_waiting())
            .filter(is_free.or(mail_outbox::lease_until.le(now)));
        diesel::update(due)
            .set((
                mail_outbox::lease_until.eq(until),
                mail_outbox::attempts.eq(mail_outbox::attempts + 1),
            ))
            .returning(MAIL_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// The row, if this lease still holds.
    fn held(&self) -> Held {
        mail_outbox::table
            .find(self.id)
            .filter(mail_outbox::lease_until.eq(self.lease_until))
    }

    /// Names the user whom the mail concerns, and the address of the account. Returns whether this lease
    /// still holds; the row is locked until the transaction ends.
    pub(crate) fn address_to(
        &self,
        tx: &mut Writing<'_>,
        user_id: Option<i64>,
        address: &str,
        locale: &str,
    ) -> QueryResult<bool> {
        diesel::update(self.held())
            .set((
                mail_outbox::user_id.eq(user_id),
                mail_outbox::to_address.eq(address),
                mail_outbox::locale.eq(locale),
            ))
            .execute(tx.conn())
            .map(|rows| rows == 1)
    }

    /// Records that the mail server has accepted the mail, if this lease still holds.
    pub(crate) fn record_sent(
        &self,
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        reply: &str,
    ) -> QueryResult<()> {
        let end = TryEnd {
            sent_at: Some(now),
            last_reply: Some(cut(reply)),
            ..TryEnd::default()
        };
        self.release(tx, end)
    }

    /// Releases the lease, if it still holds, until the next try.
    pub(crate) fn postpone(
        &self,
        tx: &mut Writing<'_>,
        next_at: NaiveDateTime,
        reply: &str,
    ) -> QueryResult<()> {
        let end = TryEnd {
            next_at: Some(next_at),
            last_reply: Some(cut(reply)),
            ..TryEnd::default()
        };
        self.release(tx, end)
    }

    /// Releases the lease, if it still holds, as if the try had not begun.
    pub(crate) fn return_untried(
        &self,
        tx: &mut Writing<'_>,
        next_at: NaiveDateTime,
    ) -> QueryResult<()> {
        let end = TryEnd {
            next_at: Some(next_at),
            attempts: Some(self.attempts - 1),
            ..TryEnd::default()
        };
        self.release(tx, end)
    }

    /// Records that the mail will not be sent, if this lease still holds.
    pub(crate) fn record_failed(
        &self,
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        reply: &str,
    ) -> QueryResult<()> {
        let end = TryEnd {
            failed_at: Some(now),
            last_reply: Some(cut(reply)),
            ..TryEnd::default()
        };
        self.release(tx, end)
    }

    /// Releases the lease, if it still holds, and records how the try has ended.
    fn release(&self, tx: &mut Writing<'_>, end: TryEnd<'_>) -> QueryResult<()> {
        diesel::update(self.held())
            .set((end, mail_outbox::lease_until.eq(None::<NaiveDateTime>)))
            .execute(tx.conn())
            .map(drop)
    }

    /// Deletes a mail that has lost its reason.
    pub(crate) fn discard(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        diesel::delete(mail_outbox::table.find(self.id))
            .execute(tx.conn())
            .map(drop)
    }
}

/// The part of a reply that is kept.
fn cut(reply: &str) -> &str {
    let mut end = reply.len().min(MAX_REPLY);
    while !reply.is_char_boundary(end) {
        end -= 1;
    }
    &reply[..end]
}
