//! The kinds of mail: how long they are of use, and what their links allow.

use chrono::TimeDelta;

use crate::config::FlowConfig;
use crate::credential::mail_token::MailPurpose;
use crate::mail::{Kind, Notice};

/// How long a notice is of use: it is not sent any more when it would only confuse.
const NOTICE_LIFETIME: TimeDelta = TimeDelta::days(2);

/// How long the link in a notice about another address is good.
const UNDO_LIFETIME: TimeDelta = TimeDelta::days(7);

/// What the link in a mail of this kind allows; `None` without one.
pub(super) fn purpose_of(kind: Kind) -> Option<MailPurpose> {
    match kind {
        Kind::ResetPassword => Some(MailPurpose::Reset),
        Kind::VerifyAddress => Some(MailPurpose::Verify),
        Kind::ConfirmChange => Some(MailPurpose::Change),
        Kind::Invitation => Some(MailPurpose::Invite),
        Kind::Notice(Notice::AddressChanged) => Some(MailPurpose::Undo),
        _ => None,
    }
}

/// Whether a code can be typed instead of following the link.
pub(super) fn has_code(purpose: MailPurpose) -> bool {
    match purpose {
        MailPurpose::Reset | MailPurpose::Verify => true,
        MailPurpose::Change | MailPurpose::Undo | MailPurpose::Invite => false,
    }
}

/// How long a link is good.
pub(in crate::auth) fn lifetime_of(purpose: MailPurpose, config: &FlowConfig) -> TimeDelta {
    match purpose {
        MailPurpose::Reset => config.reset_lifetime,
        MailPurpose::Verify => config.verify_lifetime,
        MailPurpose::Change => config.change_lifetime,
        MailPurpose::Undo => UNDO_LIFETIME,
        MailPurpose::Invite => config.invite_lifetime,
    }
}

/// How long a mail of this kind is tried.
pub(super) fn use_of(kind: Kind, config: &FlowConfig) -> TimeDelta {
    match purpose_of(kind) {
        Some(purpose) => lifetime_of(purpose, config),
        None => NOTICE_LIFETIME,
    }
}
