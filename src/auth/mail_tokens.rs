//! The ends of links and codes that have lost their reason, with the mails that would bring new ones.

use diesel::QueryResult;

use crate::credential::mail_token::MailPurpose;
use crate::mail::Kind;
use crate::store::{MailToken, OutboxMail, Writing};

/// Ends the links that reset the password of a user: after another password was set.
pub(super) fn end_resets(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
    end(tx, user_id, &[MailPurpose::Reset])
}

/// Ends the links that verify the address of a user: after that was done.
pub(super) fn end_verifications(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
    end(tx, user_id, &[MailPurpose::Verify])
}

/// Ends every link of a user: after the address was changed, or the user was disabled.
pub(super) fn end_all(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
    end(tx, user_id, &[MailPurpose::Reset, MailPurpose::Verify])
}

/// Ends every link of every user, and every mail that waits to be sent.
pub(super) fn end_everyones(tx: &mut Writing<'_>) -> QueryResult<()> {
    MailToken::end_all(tx)?;
    OutboxMail::discard_all(tx)
}

fn end(tx: &mut Writing<'_>, user_id: i64, purposes: &[MailPurpose]) -> QueryResult<()> {
    MailToken::end_of_user(tx, user_id, purposes)?;
    let kinds = purposes.iter().map(|purpose| kind_with(*purpose));
    let names: Vec<&str> = kinds.map(Kind::name).collect();
    OutboxMail::discard_of_user(tx, user_id, &names, None)
}

/// The kind of mail whose link allows this.
fn kind_with(purpose: MailPurpose) -> Kind {
    match purpose {
        MailPurpose::Reset => Kind::ResetPassword,
        MailPurpose::Verify => Kind::VerifyAddress,
    }
}
