//! Notices: what has happened to an account, in case it was not its owner.

use serde::{Deserialize, Serialize};

use super::queue::MailRequest;
use crate::audit::{Action, AuditContext, Named};
use crate::auth::Auth;
use crate::auth::device_name::device_name;
use crate::auth::factor_change::FactorChange;
use crate::config::Verification;
use crate::error::Error;
use crate::mail::{Kind, Notice};
use crate::store::{ApiKey, AuditEvent, NewOutboxMail, User, Writing};

/// How many of the last sign-ins tell the devices of a user.
const KNOWN_SIGN_INS: i64 = 100;

/// What a notice tells, as the outbox keeps it. It holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::auth) struct NoticeDetail {
    /// The device of the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::auth) device: Option<String>,
    /// The name of the new API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::auth) key: Option<String>,
    /// The new address of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::auth) new_address: Option<String>,
}

impl NoticeDetail {
    /// The detail of a row; nothing for other mails.
    pub(super) fn parse(detail: &str) -> Self {
        serde_json::from_str(detail).unwrap_or_default()
    }
}

impl Auth {
    /// Queues a notice to a user in the transaction of the change, if the settings want it.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then the database does not take the change either.
    pub(in crate::auth) fn queue_notice(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        notice: Notice,
        user: &User,
        detail: NoticeDetail,
    ) -> Result<(), Error> {
        match self.new_notice(context, notice, user, detail) {
            Some(row) => Ok(row.insert(tx)?),
            None => Ok(()),
        }
    }

    /// Like [`Self::queue_notice`], for a notice without details of its own.
    ///
    /// # Errors
    /// The same.
    fn queue_bare_notice(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        notice: Notice,
        user: &User,
    ) -> Result<(), Error> {
        self.queue_notice(tx, context, notice, user, NoticeDetail::default())
    }

    /// Tells a user of another password.
    ///
    /// # Errors
    /// [`Error::Unavailable`], as for all notices.
    pub(in crate::auth) fn tell_of_password(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        user: &User,
    ) -> Result<(), Error> {
        self.queue_bare_notice(tx, context, Notice::PasswordChanged, user)
    }

    /// Tells a user of a change of second factors.
    ///
    /// # Errors
    /// [`Error::Unavailable`], as for all notices.
    pub(in crate::auth) fn tell_of_factor(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        user: &User,
        change: FactorChange,
    ) -> Result<(), Error> {
        let notice = match change {
            FactorChange::Added => Notice::FactorAdded,
            FactorChange::Removed => Notice::FactorRemoved,
            FactorChange::NewCodes => Notice::RecoveryCodes,
            FactorChange::CodeUsed => Notice::RecoveryCodeUsed,
            FactorChange::MaybeCopied => Notice::PasskeyCopied,
        };
        self.queue_bare_notice(tx, context, notice, user)
    }

    /// Tells a user of a new key.
    ///
    /// # Errors
    /// [`Error::Unavailable`], as for all notices.
    pub(in crate::auth) fn tell_of_key(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        owner: &User,
        key: &ApiKey,
    ) -> Result<(), Error> {
        let detail = NoticeDetail {
            key: Some(key.name.clone()),
            ..NoticeDetail::default()
        };
        self.queue_notice(tx, context, Notice::KeyCreated, owner, detail)
    }

    /// Tells a user that an old refresh token was used.
    ///
    /// # Errors
    /// [`Error::Unavailable`], as for all notices.
    pub(in crate::auth) fn tell_of_reuse(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        user: &User,
    ) -> Result<(), Error> {
        self.queue_bare_notice(tx, context, Notice::RefreshReuse, user)
    }

    /// The notice of a sign-in, if the user has signed in before, but with no such device.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub(in crate::auth) async fn notice_of_device(
        &self,
        context: &AuditContext,
        user: &User,
    ) -> Result<Option<NewOutboxMail>, Error> {
        if !self.sends(Notice::NewDevice, user) {
            return Ok(None);
        }
        let target = Named::User(user.id).to_string();
        let find = move |conn: &mut _| {
            AuditEvent::user_agents(conn, &target, Action::Login.name(), KNOWN_SIGN_INS)
        };
        let known = self.0.store.read(find).await?;
        let device = device_name(context.user_agent());
        if known.is_empty() || known.iter().any(|known| device_name(known) == device) {
            return Ok(None);
        }
        Ok(self.new_notice(context, Notice::NewDevice, user, NoticeDetail::default()))
    }

    /// The row of a notice, in the language of the user: that of the client may be a stranger's. `None` if none
    /// is sent. A notice that cannot be made is no reason to refuse the change.
    fn new_notice(
        &self,
        context: &AuditContext,
        notice: Notice,
        user: &User,
        detail: NoticeDetail,
    ) -> Option<NewOutboxMail> {
        if !self.sends(notice, user) {
            return None;
        }
        let mail = MailRequest::to_user(Kind::Notice(notice), user.id, &user.email);
        let row = self.new_mail(context, mail);
        let row = row.inspect_err(|error| log::error!("user {}: no notice: {error}", user.id));
        let agent = Some(context.user_agent()).filter(|agent| !agent.is_empty());
        let detail = NoticeDetail {
            device: agent.map(device_name),
            ..detail
        };
        Some(NewOutboxMail {
            locale: String::new(),
            detail: serde_json::to_string(&detail).unwrap_or_default(),
            ..row.ok().flatten()?
        })
    }

    /// Whether a user gets this notice. Where addresses are verified, one that was not may be a stranger's, who
    /// must neither learn of the account nor get it.
    pub(in crate::auth) fn sends(&self, notice: Notice, user: &User) -> bool {
        let flows = &self.0.config.flows;
        let counts = flows.verification == Verification::Off || user.email_verified_at.is_some();
        let is_wanted = flows.notices.include(Kind::Notice(notice).name());
        self.is_mail_on() && !user.is_app && counts && is_wanted
    }

    /// The page that helps a user who has not done this. It needs no token: it mails one.
    pub(super) fn remedy(&self, notice: Notice) -> Option<String> {
        match notice {
            // By an administrator, who knows better than the old box.
            Notice::AddressChanged => None,
            _ => {
                let public_url = self.0.config.public_url.as_ref()?;
                Some(format!("{public_url}/forgot-password"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NoticeDetail;
    use crate::config::NOTICE_NAMES;
    use crate::mail::Kind;

    #[test]
    fn detail_is_read_as_it_was_written() {
        let detail = NoticeDetail {
            new_address: Some("ada@example.com".to_owned()),
            ..NoticeDetail::default()
        };
        let text = serde_json::to_string(&detail).unwrap();
        assert_eq!(NoticeDetail::parse(&text), detail);
        for other in ["", "{}", "[]", r#"{"unknown":1}"#] {
            assert_eq!(
                NoticeDetail::parse(other),
                NoticeDetail::default(),
                "{other}"
            );
        }
    }

    #[test]
    fn setting_names_every_notice() {
        let notices = Kind::ALL
            .into_iter()
            .filter(|kind| matches!(kind, Kind::Notice(_)));
        let names: Vec<&str> = notices.map(Kind::name).collect();
        assert_eq!(names, NOTICE_NAMES);
    }
}
