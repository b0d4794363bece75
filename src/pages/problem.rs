//! What went wrong, as a sentence for the user.

use std::time::Duration;

use crate::error::{Error, InvalidField};
use crate::password::PolicyViolation;

use super::Language;
use super::language::fill;
use super::texts::problems::ProblemTexts;

/// Why a form was not accepted: the sentence above it.
pub(crate) fn problem(error: &Error, language: Language) -> String {
    let t = ProblemTexts::of(language);
    match error {
        Error::BadCredentials => t.bad_credentials.to_owned(),
        Error::WrongPassword => t.wrong_password.to_owned(),
        Error::WrongCode { .. } => t.wrong_code.to_owned(),
        Error::SecondFactorRequired => t.code_required.to_owned(),
        Error::TooManyFactors => t.too_many_factors.to_owned(),
        Error::FactorNotFound => t.factor_over.to_owned(),
        Error::BadPasskey { .. } => t.bad_passkey.to_owned(),
        Error::BadMfaToken => t.sign_in_over.to_owned(),
        Error::TooManyAttempts { retry_after } => {
            fill(t.too_many, "wait", &wait(*retry_after, language))
        }
        Error::Busy(busy) => fill(t.busy, "wait", &wait(busy.retry_after, language)),
        Error::EmailTaken => t.email_taken.to_owned(),
        Error::BadMailToken | Error::InvitationOver(_) => t.bad_link.to_owned(),
        Error::AlreadyVerified => t.already_verified.to_owned(),
        Error::RegistrationRefused => t.registration_refused.to_owned(),
        Error::TooManyKeys => t.too_many_keys.to_owned(),
        Error::LastAdministrator => t.last_administrator.to_owned(),
        Error::RecentSignInRequired => language.count(t.check_fields, 1),
        Error::ScopeNotHeld(_) => t.bad_value.to_owned(),
        Error::InvalidInput(errors) => language.count(t.check_fields, errors.len() as u64),
        _ => t.unavailable_text.to_owned(),
    }
}

/// What is wrong with a field: the sentence beside it.
pub(crate) fn field_problem(reason: &InvalidField, language: Language) -> String {
    let t = ProblemTexts::of(language);
    let count = |text: &str, number: usize| language.count(text, number as u64);
    match reason {
        InvalidField::Missing => t.missing.to_owned(),
        InvalidField::TooShort { min }
        | InvalidField::Password(PolicyViolation::TooShort { min_length: min }) => {
            count(t.too_short, *min)
        }
        InvalidField::TooLong { max } => count(t.too_long, *max),
        InvalidField::TooManyBytes { .. }
        | InvalidField::Password(PolicyViolation::TooLong { .. }) => t.too_many_bytes.to_owned(),
        InvalidField::Email(_) => t.bad_email.to_owned(),
        InvalidField::NoCode => t.no_code.to_owned(),
        InvalidField::Password(PolicyViolation::Common) => t.common_password.to_owned(),
        _ => t.bad_value.to_owned(),
    }
}

/// A time to wait, in whole seconds or minutes, rounded up.
fn wait(span: Duration, language: Language) -> String {
    let t = ProblemTexts::of(language);
    let seconds = span.as_millis().div_ceil(1_000).max(1);
    let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
    if seconds < 100 {
        language.count(t.seconds, seconds)
    } else {
        language.count(t.minutes, seconds.div_ceil(60))
    }
}
