//! The mails to send: queued in the transaction of the change that they tell of, and kept for a while after
//! they were sent or have failed. No row has a link or a code.

mod tries;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::{IsNull, auto_type};
use diesel::prelude::*;

use super::limits::check_texts;
use super::schema::mail_outbox;
use super::{StoreConnection, Writing};

/// How long a sent or failed mail is listed.
const KEPT: TimeDelta = TimeDelta::days(30);

/// A mail, as queued.
#[derive(Clone, Debug, Queryable)]
pub(crate) struct OutboxMail {
    pub(crate) id: i64,
    /// What the mail is, as a name that the domain defines.
    pub(crate) purpose: String,
    /// The user whom it concerns; `None` until a worker has looked for one, and for an invitation.
    pub(crate) user_id: Option<i64>,
    pub(crate) invitation_id: Option<i64>,
    pub(crate) to_address: String,
    /// The language that the client or user prefers, as a BCP 47 tag; empty for the default.
    pub(crate) locale: String,
    /// The address of the client that has caused it; empty if it is unknown.
    pub(crate) ip: String,
    /// What a notice tells, as JSON; empty for other mails.
    pub(crate) detail: String,
    /// The part of the header `Message-ID` before the at sign. It is the same on every try.
    pub(crate) message_id: String,
    /// UTC; when the mail was queued, or queued again by hand.
    pub(crate) queued_at: NaiveDateTime,
    /// UTC; when the next try is due.
    pub(crate) next_at: NaiveDateTime,
    /// The tries that have begun.
    pub(crate) attempts: i64,
    lease_until: Option<NaiveDateTime>,
    /// UTC.
    pub(crate) sent_at: Option<NaiveDateTime>,
    /// UTC; when the last try failed.
    pub(crate) failed_at: Option<NaiveDateTime>,
    /// The last words of the mail server.
    pub(crate) last_reply: String,
}

/// The columns of an [`OutboxMail`], in the order of its fields.
type MailColumns = (
    mail_outbox::id,
    mail_outbox::purpose,
    mail_outbox::user_id,
    mail_outbox::invitation_id,
    mail_outbox::to_address,
    mail_outbox::locale,
    mail_outbox::ip,
    mail_outbox::detail,
    mail_outbox::message_id,
    mail_outbox::queued_at,
    mail_outbox::next_at,
    mail_outbox::attempts,
    mail_outbox::lease_until,
    mail_outbox::sent_at,
    mail_outbox::failed_at,
    mail_outbox::last_reply,
);

/// See [`MailColumns`].
const MAIL_COLUMNS: MailColumns = (
    mail_outbox::id,
    mail_outbox::purpose,
    mail_outbox::user_id,
    mail_outbox::invitation_id,
    mail_outbox::to_address,
    mail_outbox::locale,
    mail_outbox::ip,
    mail_outbox::detail,
    mail_outbox::message_id,
    mail_outbox::queued_at,
    mail_outbox::next_at,
    mail_outbox::attempts,
    mail_outbox::lease_until,
    mail_outbox::sent_at,
    mail_outbox::failed_at,
    mail_outbox::last_reply,
);

/// A mail to queue.
#[derive(Clone, Debug, Insertable)]
#[diesel(table_name = mail_outbox)]
pub(crate) struct NewOutboxMail {
    /// See [`OutboxMail::purpose`].
    pub(crate) purpose: String,
    pub(crate) user_id: Option<i64>,
    pub(crate) invitation_id: Option<i64>,
    pub(crate) to_address: String,
    pub(crate) locale: String,
    pub(crate) ip: String,
    /// See [`OutboxMail::detail`].
    pub(crate) detail: String,
    pub(crate) message_id: String,
    pub(crate) queued_at: NaiveDateTime,
    pub(crate) next_at: NaiveDateTime,
}

impl NewOutboxMail {
    /// Queues the mail.
    pub(crate) fn insert(&self, tx: &mut Writing<'_>) -> QueryResult<()> {
        check_texts([
            &self.purpose,
            &self.to_address,
            &self.locale,
            &self.ip,
            &self.detail,
        ])?;
        diesel::insert_into(mail_outbox::table)
            .values(self)
            .execute(tx.conn())
            .map(drop)
    }
}

/// Which mails a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MailState {
    /// Those that wait for a try.
    Waiting,
    Sent,
    Failed,
}

impl MailState {
    /// The names of all states.
    pub(crate) const NAMES: [&'static str; 3] = ["waiting", "sent", "failed"];

    /// The name of the state.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }

    /// The state with this name.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        let all = [Self::Waiting, Self::Sent, Self::Failed];
        all.into_iter().find(|state| state.name() == name)
    }
}

/// Whether a mail was neither sent nor has failed: the condition of the index of due mails.
#[auto_type(no_type_alias)]
fn is_waiting() -> _ {
    let is_unsent: IsNull<mail_outbox::sent_at> = mail_outbox::sent_at.is_null();
    is_unsent.and(mail_outbox::failed_at.is_null())
}

/// The numbers of mails that are not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailCounts {
    pub(crate) waiting: i64,
    pub(crate) failed: i64,
}

impl OutboxMail {
    /// The state of the mail.
    pub(crate) fn state(&self) -> MailState {
        match (self.sent_at, self.failed_at) {
            (Some(_), _) => MailState::Sent,
            (None, Some(_)) => MailState::Failed,
            (None, None) => MailState::Waiting,
        }
    }

    /// Deletes the waiting mails of a user with these purposes, except the mail `kept`.
    pub(crate) fn discard_of_user(
        tx: &mut Writing<'_>,
        user_id: i64,
        purposes: &[&str],
        kept: Option<i64>,
    ) -> QueryResult<()> {
        let waiting = mail_outbox::table
            .filter(mail_outbox::user_id.eq(user_id))
            .filter(mail_outbox::purpose.eq_any(purposes))
            .filter(is_waiting())
            // No mail has the id 0.
            .filter(mail_outbox::id.ne(kept.unwrap_or(0)));
        diesel::delete(waiting).execute(tx.conn()).map(drop)
    }

    /// Deletes the waiting mails of an invitation.
    pub(crate) fn discard_of_invitation(
        tx: &mut Writing<'_>,
        invitation_id: i64,
    ) -> QueryResult<()> {
        let waiting = mail_outbox::table
            .filter(mail_outbox::invitation_id.eq(invitation_id))
            .filter(is_waiting());
        diesel::delete(waiting).execute(tx.conn()).map(drop)
    }

    /// Deletes all waiting mails.
    pub(crate) fn discard_all(tx: &mut Writing<'_>) -> QueryResult<()> {
        let waiting = mail_outbox::table
            // The bound is always true; with it, the index is searched.
            .filter(mail_outbox::next_at.gt(NaiveDateTime::default()))
            .filter(is_waiting());
        diesel::delete(waiting).execute(tx.conn()).map(drop)
    }

    /// The mails in this state before the id `before`, the last ones first: at most `limit`.
    pub(crate) fn list(
        conn: &mut StoreConnection,
        state: Option<MailState>,
        before: i64,
        limit: i64,
    ) -> QueryResult<Vec<Self>> {
        let page = mail_outbox::table
            .filter(mail_outbox::id.lt(before))
            .order(mail_outbox::id.desc())
            .limit(limit)
            .select(MAIL_COLUMNS);
        match state {
            None => page.load(conn),
            Some(MailState::Sent) => page.filter(mail_outbox::sent_at.is_not_null()).load(conn),
            Some(MailState::Failed) => page
                .filter(mail_outbox::sent_at.is_null())
                .filter(mail_outbox::failed_at.is_not_null())
                .load(conn),
            Some(MailState::Waiting) => page.filter(is_waiting()).load(conn),
        }
    }

    /// Queues a failed mail again at `now`. Returns it, if there is a failed mail with this id.
    pub(crate) fn retry(
        tx: &mut Writing<'_>,
        id: i64,
        now: NaiveDateTime,
    ) -> QueryResult<Option<Self>> {
        let failed = mail_outbox::table
            .find(id)
            .filter(mail_outbox::failed_at.is_not_null());
        diesel::update(failed)
            .set((
                mail_outbox::failed_at.eq(None::<NaiveDateTime>),
                mail_outbox::queued_at.eq(now),
                mail_outbox::next_at.eq(now),
            ))
            .returning(MAIL_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// Deletes a failed mail. Returns it, if there is a failed mail with this id.
    pub(crate) fn drop_failed(tx: &mut Writing<'_>, id: i64) -> QueryResult<Option<Self>> {
        let failed = mail_outbox::table
            .find(id)
            .filter(mail_outbox::failed_at.is_not_null());
        diesel::delete(failed)
            .returning(MAIL_COLUMNS)
            .get_result(tx.conn())
            .optional()
    }

    /// Counts the mails that wait and those that have failed.
    pub(crate) fn count(conn: &mut StoreConnection) -> QueryResult<MailCounts> {
        let waiting = mail_outbox::table
            // The bound is always true; with it, the index is searched.
            .filter(mail_outbox::next_at.gt(NaiveDateTime::default()))
            .filter(is_waiting())
            .count()
            .get_result(conn)?;
        let failed = mail_outbox::table
            .filter(mail_outbox::failed_at.is_not_null())
            .count()
            .get_result(conn)?;
        Ok(MailCounts { waiting, failed })
    }

    /// Deletes at most `limit` mails that were sent or have failed long before `now`. Returns how many.
    pub(crate) fn prune(
        tx: &mut Writing<'_>,
        now: NaiveDateTime,
        limit: i64,
    ) -> QueryResult<usize> {
        let Some(before) = now.checked_sub_signed(KEPT) else {
            return Ok(0);
        };
        let mut old: Vec<i64> = mail_outbox::table
            .filter(mail_outbox::sent_at.is_not_null())
            .filter(mail_outbox::sent_at.le(before))
            .order(mail_outbox::sent_at)
            .limit(limit)
            .select(mail_outbox::id)
            .load(tx.conn())?;
        if old.is_empty() {
            old = mail_outbox::table
                .filter(mail_outbox::failed_at.is_not_null())
                .filter(mail_outbox::failed_at.le(before))
                .order(mail_outbox::failed_at)
                .limit(limit)
                .select(mail_outbox::id)
                .load(tx.conn())?;
        }
        if old.is_empty() {
            return Ok(0);
        }
        let these = mail_outbox::table.filter(mail_outbox::id.eq_any(old));
        diesel::delete(these).execute(tx.conn())
    }
}
