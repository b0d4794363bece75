//! The outbox as administrators and operators see it.

use diesel::QueryResult;

use super::Administrator;
use crate::audit::{Action, Event};
use crate::auth::Auth;
use crate::auth::paging::split_page;
use crate::error::Error;
use crate::store::{Invitation, MailCounts, MailState, MailToken, OutboxMail, Writing};

/// A page of mails, the last ones first.
#[derive(Debug)]
pub struct MailPage {
    /// The mails.
    pub(crate) mails: Vec<OutboxMail>,
    /// The `before` of the next page; `None` after the last one.
    pub(crate) next: Option<i64>,
}

impl Auth {
    /// Lists the queued, sent and failed mails in this state, or all of them: at most `limit`, before the id
    /// `before`. Records that they were read.
    ///
    /// # Errors
    /// [`Error::TooManyAttempts`] when the caller has used up its budget; [`Error::Unavailable`].
    pub(crate) async fn list_mails(
        &self,
        admin: &Administrator,
        state: Option<MailState>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<MailPage, Error> {
        let event = Event::new(Action::MailRead).with("limit", limit);
        self.record(&admin.context, event).await?;
        let before = before.unwrap_or(i64::MAX);
        let list = move |conn: &mut _| OutboxMail::list(conn, state, before, limit + 1);
        let (mails, has_more) = split_page(self.0.store.read(list).await?, limit);
        let next = mails.last().filter(|_| has_more).map(|mail| mail.id);
        Ok(MailPage { mails, next })
    }

    /// Queues a mail again that has failed.
    ///
    /// # Errors
    /// [`Error::MailNotFound`] if no failed mail has this id; [`Error::InvalidToken`] and
    /// [`Error::InsufficientScope`] when the administrator has lost the authority; [`Error::Unavailable`].
    pub(crate) async fn retry_mail(&self, admin: &Administrator, id: i64) -> Result<(), Error> {
        let now = self.0.clock.now();
        let retry = move |tx: &mut Writing<'_>| OutboxMail::retry(tx, id, now);
        self.change_mail(admin, Action::MailRetry, retry).await?;
        self.wake_mail();
        Ok(())
    }

    /// Deletes a mail that has failed.
    ///
    /// # Errors
    /// The same as [`Self::retry_mail`].
    pub(crate) async fn drop_mail(&self, admin: &Administrator, id: i64) -> Result<(), Error> {
        let delete = move |tx: &mut Writing<'_>| OutboxMail::drop_failed(tx, id);
        self.change_mail(admin, Action::MailDrop, delete).await
    }

    /// Makes a change of a mail, and records it.
    async fn change_mail(
        &self,
        admin: &Administrator,
        action: Action,
        change: impl FnOnce(&mut Writing<'_>) -> QueryResult<Option<OutboxMail>> + Send + 'static,
    ) -> Result<(), Error> {
        let (grant, now) = (admin.grant.clone(), self.0.clock.now());
        let changed = self.add(&admin.context, move |tx, events| {
            if let Some(grant) = &grant {
                grant.lock(tx, now)?;
            }
            let mail = change(tx)?.ok_or(Error::MailNotFound)?;
            let event = Event::new(action).with("mail", mail.id);
            events.record(match mail.user_id {
                Some(user_id) => event.on_user(user_id),
                None => event,
            });
            Ok(())
        });
        self.record_if_denied(admin, changed.await).await
    }

    /// Counts the mails that wait and those that have failed, also for the metrics.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(crate) async fn count_mails(&self) -> Result<MailCounts, Error> {
        let counts = self.0.store.read(OutboxMail::count).await?;
        self.0.metrics.mails_waiting.set(counts.waiting);
        self.0.metrics.mails_failed.set(counts.failed);
        Ok(counts)
    }

    /// Deletes mails, links and invitations that are long over: 30 days after a mail was sent or has failed,
    /// and after a link or an invitation has expired. Deletes nothing while the clock is not trusted.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; earlier batches stay deleted.
    pub async fn prune_mails(&self) -> Result<(), Error> {
        if !self.check_clock().await? {
            return Ok(());
        }
        let (now, store) = (self.0.clock.now(), &self.0.store);
        let tokens = move |tx: &mut Writing<'_>, limit| MailToken::prune(tx, now, limit);
        store.delete_in_batches(tokens, |_rows| ()).await?;
        let mails = move |tx: &mut Writing<'_>, limit| OutboxMail::prune(tx, now, limit);
        store.delete_in_batches(mails, |_rows| ()).await?;
        let invitations = move |tx: &mut Writing<'_>, limit| Invitation::prune(tx, now, limit);
        store.delete_in_batches(invitations, |_rows| ()).await?;
        Ok(())
    }
}
