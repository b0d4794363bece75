//! The settings of what is done by mail: resetting a password, verifying an address, changing it, inviting.

use chrono::TimeDelta;

use super::time_span::TimeUnit;
use super::values::Values;
use super::{ConfigError, Registration};

/// One day, in seconds.
const DAY: u64 = 86_400;

/// The settings of what is done by mail.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlowConfig {
    /// `TOKENHOUSE_RESET_LIFETIME`: how long a link to reset the password is good.
    pub reset_lifetime: TimeDelta,
    /// `TOKENHOUSE_VERIFY_LIFETIME`: the same for one that verifies an address.
    pub verify_lifetime: TimeDelta,
    /// `TOKENHOUSE_CHANGE_LIFETIME`: the same for one that confirms another address.
    pub change_lifetime: TimeDelta,
    /// `TOKENHOUSE_INVITE_LIFETIME`: the same for an invitation.
    pub invite_lifetime: TimeDelta,
    /// `TOKENHOUSE_NOTICES`: what users are told of by mail.
    pub notices: Notices,
    /// `TOKENHOUSE_CODE_LIFETIME`: how long a code is good that is typed instead.
    pub code_lifetime: TimeDelta,
    /// `TOKENHOUSE_MAIL_PER_HOUR`: how many mails are sent per hour.
    pub mails_per_hour: u32,
    /// `TOKENHOUSE_MAIL_UNKNOWN`: whether a request to reset a password is answered by mail if no user has
    /// the address.
    pub mails_unknown: bool,
    /// `TOKENHOUSE_VERIFICATION`, and what `TOKENHOUSE_REGISTRATION=domains` requires.
    pub verification: Verification,
    /// `TOKENHOUSE_REGISTER_ANSWER`: what `/register` tells.
    pub register_answer: RegisterAnswer,
}

/// What it means that a user has not verified the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verification {
    /// Nothing: addresses are verified on request only, and no answer mentions it.
    Off,
    /// Answers tell it.
    Mark,
    /// The user holds no scopes.
    Scopes,
    /// The user cannot sign in.
    SignIn,
}

/// What the answer to a registration tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegisterAnswer {
    /// The new user, or that the address is taken.
    Tutorial,
    /// Nothing: the rest is in a mail.
    Uniform,
}

/// The names of what users can be told of: those of the templates.
pub(crate) const NOTICE_NAMES: [&str; 10] = [
    "password-changed",
    "address-changed",
    "key-created",
    "new-device",
    "refresh-reuse",
    "factor-added",
    "factor-removed",
    "recovery-codes-made",
    "recovery-code-used",
    "passkey-copied",
];

/// What users are told of by mail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notices {
    /// Everything.
    All,
    /// What has these names.
    Only(Vec<String>),
}

impl Notices {
    /// Whether users are told of what has this name.
    pub fn include(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|one| one == name),
        }
    }
}

impl FlowConfig {
    pub(super) fn from_values(
        values: &Values,
        registration: &Registration,
        is_mail_on: bool,
    ) -> Result<Self, ConfigError> {
        let lifetime = |name, most: u64| -> Result<TimeDelta, ConfigError> {
            let time = values.time(name, 60..=most, TimeUnit::Second)?;
            Ok(TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX))
        };
        let chosen = verification(values)?;
        let is_required = is_mail_on && matches!(registration, Registration::Domains(_));
        Ok(Self {
            reset_lifetime: lifetime("TOKENHOUSE_RESET_LIFETIME", DAY)?,
            verify_lifetime: lifetime("TOKENHOUSE_VERIFY_LIFETIME", 30 * DAY)?,
            change_lifetime: lifetime("TOKENHOUSE_CHANGE_LIFETIME", DAY)?,
            invite_lifetime: lifetime("TOKENHOUSE_INVITE_LIFETIME", 30 * DAY)?,
            notices: notices(values)?,
            code_lifetime: lifetime("TOKENHOUSE_CODE_LIFETIME", 3_600)?,
            mails_per_hour: values.number("TOKENHOUSE_MAIL_PER_HOUR", 1, 1_000_000)?,
            mails_unknown: values.flag("TOKENHOUSE_MAIL_UNKNOWN")?,
            // An address in one of the domains means something only if the user reads its mail.
            verification: match is_required {
                true => Verification::SignIn,
                false => chosen,
            },
            register_answer: register_answer(values, is_mail_on)?,
        })
    }
}

fn notices(values: &Values) -> Result<Notices, ConfigError> {
    let name = "TOKENHOUSE_NOTICES";
    let text = values.text(name);
    match text.as_str() {
        "all" => return Ok(Notices::All),
        "none" => return Ok(Notices::Only(Vec::new())),
        _ => {}
    }
    let names: Vec<String> = text.split(',').map(|one| one.trim().to_owned()).collect();
    if names.iter().all(|one| NOTICE_NAMES.contains(&one.as_str())) {
        return Ok(Notices::Only(names));
    }
    Err(ConfigError::new(
        name,
        "expected all, none or some of password-changed, address-changed, key-created, new-device, \
         refresh-reuse, factor-added, factor-removed, recovery-codes-made, recovery-code-used and \
         passkey-copied, separated by commas",
    ))
}

fn verification(values: &Values) -> Result<Verification, ConfigError> {
    let name = "TOKENHOUSE_VERIFICATION";
    match values.text(name).as_str() {
        "off" => Ok(Verification::Off),
        "mark" => Ok(Verification::Mark),
        "scopes" => Ok(Verification::Scopes),
        "sign-in" => Ok(Verification::SignIn),
        _ => Err(ConfigError::new(
            name,
            "expected off, mark, scopes or sign-in",
        )),
    }
}

fn register_answer(values: &Values, is_mail_on: bool) -> Result<RegisterAnswer, ConfigError> {
    let name = "TOKENHOUSE_REGISTER_ANSWER";
    match values.text(name).as_str() {
        "tutorial" => Ok(RegisterAnswer::Tutorial),
        "uniform" if is_mail_on => Ok(RegisterAnswer::Uniform),
        "uniform" => Err(ConfigError::new(
            name,
            "uniform needs TOKENHOUSE_MAIL: only a mail tells what became of the registration",
        )),
        _ => Err(ConfigError::new(name, "expected tutorial or uniform")),
    }
}
