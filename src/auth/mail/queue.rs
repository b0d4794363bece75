//! Queues mails in the transaction of the change that they tell of. The row names a purpose and a user; the
//! link and the code are made when the mail is sent.

use pydantic_email::EmailAddress;

use crate::audit::AuditContext;
use crate::auth::Auth;
use crate::error::Error;
use crate::mail::Kind;
use crate::store::{Invitation, NewOutboxMail, Writing};

/// A mail to queue.
#[derive(Clone, Copy)]
pub(in crate::auth) struct MailRequest<'a> {
    pub(in crate::auth) kind: Kind,
    /// The user whom it concerns; `None` if a worker has to look for one.
    pub(in crate::auth) user_id: Option<i64>,
    /// The invitation that it is about.
    pub(in crate::auth) invitation_id: Option<i64>,
    pub(in crate::auth) to: &'a str,
}

impl<'a> MailRequest<'a> {
    /// A mail for a user.
    pub(in crate::auth) fn to_user(kind: Kind, user_id: i64, to: &'a str) -> Self {
        Self {
            user_id: Some(user_id),
            ..Self::asked(kind, to)
        }
    }

    /// A mail that a client has asked for, who may have any account or none.
    pub(in crate::auth) fn asked(kind: Kind, to: &'a str) -> Self {
        Self {
            kind,
            user_id: None,
            invitation_id: None,
            to,
        }
    }

    /// The mail of an invitation.
    pub(in crate::auth) fn invitation(invitation: &'a Invitation) -> Self {
        Self {
            invitation_id: Some(invitation.id),
            ..Self::asked(Kind::Invitation, &invitation.email)
        }
    }
}

impl Auth {
    /// Queues a mail in a transaction; none if mail is off.
    pub(in crate::auth) fn queue_mail(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        mail: MailRequest<'_>,
    ) -> Result<(), Error> {
        match self.new_mail(context, mail)? {
            Some(row) => Ok(row.insert(tx)?),
            None => Ok(()),
        }
    }

    /// The row of a mail; `None` if mail is off.
    ///
    /// # Errors
    /// [`Error::Internal`] if the random generator fails.
    pub(super) fn new_mail(
        &self,
        context: &AuditContext,
        mail: MailRequest<'_>,
    ) -> Result<Option<NewOutboxMail>, Error> {
        let Some(mailer) = self.mailer() else {
            return Ok(None);
        };
        let now = self.0.clock.now();
        Ok(Some(NewOutboxMail {
            purpose: mail.kind.name().to_owned(),
            user_id: mail.user_id,
            invitation_id: mail.invitation_id,
            to_address: mail.to.to_owned(),
            locale: context.locale().to_owned(),
            ip: context.ip(),
            detail: String::new(),
            message_id: mailer.message_id().map_err(|_error| Error::Internal)?,
            queued_at: now,
            next_at: now,
        }))
    }

    /// Queues a mail that a client has asked for in a transaction of its own, unless the addressee or the
    /// client has had too many. Takes as long whether or not there is such a user.
    pub(in crate::auth) async fn queue_asked(
        &self,
        context: &AuditContext,
        email: &EmailAddress,
        kind: Kind,
    ) -> Result<(), Error> {
        if !self.0.throttle.take_mail(context, &email.key()).await? {
            return Ok(());
        }
        let (auth, context, to) = (self.clone(), context.clone(), email.to_string());
        let queue = move |tx: &mut Writing<'_>| {
            auth.queue_mail(tx, &context, MailRequest::asked(kind, &to))
        };
        self.0.store.writing(queue).await?;
        self.wake_mail();
        Ok(())
    }
}
