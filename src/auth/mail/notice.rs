//! Notices: what has happened to an account, in case it was not its owner.

use serde::{Deserialize, Serialize};

use super::queue::MailRequest;
use crate::audit::AuditContext;
use crate::auth::Auth;
use crate::error::Error;
use crate::mail::{Kind, Notice};
use crate::store::{NewOutboxMail, Writing};

/// What a notice tells, as the outbox keeps it. It holds no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::auth) struct NoticeDetail {
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
    /// Queues a notice to this address of a user in the transaction of the change, in the language of the
    /// user: that of the client may be a stranger's. None if mail is off.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: then the database does not take the change either.
    pub(in crate::auth) fn queue_notice(
        &self,
        tx: &mut Writing<'_>,
        context: &AuditContext,
        notice: Notice,
        (user_id, to): (i64, &str),
        detail: &NoticeDetail,
    ) -> Result<(), Error> {
        let mail = MailRequest::to_user(Kind::Notice(notice), user_id, to);
        let row = match self.new_mail(context, mail) {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(()),
            Err(error) => {
                log::error!("user {user_id}: no notice is sent: {error}");
                return Ok(());
            }
        };
        let row = NewOutboxMail {
            locale: String::new(),
            detail: serde_json::to_string(detail).unwrap_or_default(),
            ..row
        };
        Ok(row.insert(tx)?)
    }
}

#[cfg(test)]
mod tests {
    use super::NoticeDetail;

    #[test]
    fn detail_is_read_as_it_was_written() {
        let detail = NoticeDetail {
            new_address: Some("ada@example.com".to_owned()),
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
}
