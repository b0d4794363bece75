//! The ends of links and codes that have lost their reason, with the mails that would bring new ones.

use chrono::NaiveDateTime;
use diesel::QueryResult;

use crate::credential::mail_token::MailPurpose;
use crate::mail::{Kind, Notice};
use crate::store::{Invitation, MailToken, OutboxMail, PendingEmail, Writing};

/// Ends the links that reset the password of a user: after another password was set.
pub(super) fn end_resets(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
    end(tx, user_id, &[MailPurpose::Reset])
}

/// Ends the links that verify the address of a user: after that was done.
pub(super) fn end_verifications(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
    end(tx, user_id, &[MailPurpose::Verify])
}

/// Ends the links that confirm another address of a user, and what is pending. Returns whether something was.
pub(super) fn end_change(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<bool> {
    end(tx, user_id, &[MailPurpose::Change])?;
    PendingEmail::clear(tx, user_id)
}

/// Ends the links that lead a user back to an earlier address: after an operator has set another one.
pub(super) fn end_undos(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
    end(tx, user_id, &[MailPurpose::Undo])
}

/// Ends the links that lead back to addresses which the user got after the one of `undo`: their boxes may be
/// those of the client that has made the change.
pub(super) fn end_later_undos(
    tx: &mut Writing<'_>,
    user_id: i64,
    undo: &MailToken,
) -> QueryResult<()> {
    undo.end_later(tx, user_id)?;
    let kind = kind_with(MailPurpose::Undo);
    OutboxMail::discard_of_user(tx, user_id, &[kind.name()], None)
}

/// Ends every link of a user except those that lead back to an earlier address, and the change that is
/// pending: after the address was changed, or the user was disabled.
pub(super) fn end_all(tx: &mut Writing<'_>, user_id: i64) -> QueryResult<()> {
    end(tx, user_id, &[MailPurpose::Reset, MailPurpose::Verify])?;
    end_change(tx, user_id).map(drop)
}

/// Revokes the invitations of a user that are open: after the user was deleted.
pub(super) fn revoke_invitations_of(
    tx: &mut Writing<'_>,
    user_id: i64,
    now: NaiveDateTime,
) -> QueryResult<()> {
    Invitation::revoke_of_inviter(tx, user_id, now)
}

/// Whether a user can return to this address, in the form of
/// [`NewUser::email_key`](crate::store::NewUser::email_key): no other user gets it until then.
pub(super) fn is_reserved(
    tx: &mut Writing<'_>,
    email_key: &str,
    now: NaiveDateTime,
) -> QueryResult<bool> {
    MailToken::is_reserved(tx, None, email_key, now)
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
        MailPurpose::Change => Kind::ConfirmChange,
        MailPurpose::Undo => Kind::Notice(Notice::AddressChanged),
        MailPurpose::Invite => Kind::Invitation,
    }
}
