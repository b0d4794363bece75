//! The settings of second factors.

use std::sync::Arc;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};

use super::ConfigError;
use super::pages::brand_name;
use super::passkeys::PasskeyConfig;
use super::time_span::TimeUnit;
use super::values::Values;
use crate::credential::sealed::SealingKeys;
use crate::scope;

/// The minimum length of the key that seals, in characters.
const MIN_KEY_LENGTH: usize = 32;

/// The longest time for which a device is trusted, in seconds: a year.
const MAX_DEVICE_LIFETIME: u64 = 365 * 86_400;

/// The settings of second factors.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FactorConfig {
    /// `TOKENHOUSE_MFA`: whether sign-ins ask for second factors.
    pub mode: MfaMode,
    /// `TOKENHOUSE_SECRET_KEY` and, during a rotation, `TOKENHOUSE_SECRET_KEY_PREVIOUS`; without it, users
    /// cannot add an authenticator app.
    pub keys: Option<SealingKeys>,
    /// `TOKENHOUSE_MFA_SCOPES`: the scopes that a session has only with a second factor, separated by spaces.
    pub scopes: Arc<str>,
    /// `TOKENHOUSE_DEVICE_LIFETIME`: how long a device is trusted on which a user has shown a second factor; zero
    /// if none is.
    pub device_lifetime: TimeDelta,
    /// `TOKENHOUSE_BRAND_NAME`: what authenticator apps call the service.
    pub issuer: String,
    /// `TOKENHOUSE_OTP_IN_PASSWORD`: whether the last six digits of the password of a user with an
    /// authenticator app are its code.
    pub otp_in_password: bool,
    /// `TOKENHOUSE_PASSKEYS` and what belongs to it; `None` where users cannot have any.
    pub passkeys: Option<PasskeyConfig>,
}

/// Whether sign-ins ask for second factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MfaMode {
    /// No sign-in does, and no user can add one.
    Off,
    /// Those of users who have one do.
    Optional,
    /// All do: a user without one adds one at the next sign-in.
    Required,
}

impl FactorConfig {
    /// Whether users may add second factors.
    pub(crate) fn is_offered(&self) -> bool {
        self.mode != MfaMode::Off && self.keys.is_some()
    }

    /// The settings of passkeys, if one may stand alone.
    pub(crate) fn lone_passkeys(&self) -> Option<&PasskeyConfig> {
        let passkeys = self.passkeys.as_ref();
        passkeys.filter(|passkeys| passkeys.stands_alone)
    }

    /// Whether a device can be trusted, so that its sign-ins need no code.
    pub(crate) fn trusts_devices(&self) -> bool {
        !self.device_lifetime.is_zero()
    }

    /// For how many days a device is trusted, at least one; `None` if none is.
    #[cfg(feature = "pages")]
    pub(crate) fn trusted_days(&self) -> Option<u64> {
        let days = self.device_lifetime.num_days().max(1).unsigned_abs();
        self.trusts_devices().then_some(days)
    }

    pub(super) fn from_values(values: &Values) -> Result<Self, ConfigError> {
        let name = "TOKENHOUSE_MFA";
        let mode = match values.text(name).as_str() {
            "off" => MfaMode::Off,
            "optional" => MfaMode::Optional,
            "required" => MfaMode::Required,
            _ => return Err(ConfigError::new(name, "expected off, optional or required")),
        };
        let current = key(values, "TOKENHOUSE_SECRET_KEY")?;
        if mode == MfaMode::Required && current.is_none() {
            let problem = "required needs TOKENHOUSE_SECRET_KEY: otherwise nobody could sign in";
            return Err(ConfigError::new(name, problem));
        }
        let previous_name = "TOKENHOUSE_SECRET_KEY_PREVIOUS";
        let previous = key(values, previous_name)?;
        if previous.is_some() && current.is_none() {
            return Err(ConfigError::new(
                previous_name,
                "set TOKENHOUSE_SECRET_KEY as well: the previous key only opens",
            ));
        }
        let scopes = scopes(values)?;
        if !scopes.is_empty() && (current.is_none() || mode == MfaMode::Off) {
            return Err(ConfigError::new(
                SCOPES,
                "needs TOKENHOUSE_SECRET_KEY, and TOKENHOUSE_MFA=optional or required: otherwise nobody could use them",
            ));
        }
        let name = "TOKENHOUSE_DEVICE_LIFETIME";
        let device_lifetime = values.time(name, 0..=MAX_DEVICE_LIFETIME, TimeUnit::Second)?;
        let passkeys = PasskeyConfig::from_values(values, mode, current.is_some())?;
        Ok(Self {
            mode,
            scopes,
            device_lifetime: TimeDelta::from_std(device_lifetime).unwrap_or(TimeDelta::MAX),
            keys: current.map(|current| SealingKeys::new(current, previous)),
            issuer: brand_name(values)?,
            otp_in_password: values.flag("TOKENHOUSE_OTP_IN_PASSWORD")?,
            passkeys,
        })
    }
}

/// The setting of the scopes that need a second factor.
const SCOPES: &str = "TOKENHOUSE_MFA_SCOPES";

fn scopes(values: &Values) -> Result<Arc<str>, ConfigError> {
    let names = values.list(SCOPES).join(" ");
    scope::normalise(&names).map(Arc::from).map_err(|_invalid| {
        ConfigError::new(
            SCOPES,
            "expected scopes such as users:write, separated by commas",
        )
    })
}

fn key(values: &Values, name: &'static str) -> Result<Option<SecretString>, ConfigError> {
    match values.secret(name) {
        Some(key) if key.expose_secret().chars().count() < MIN_KEY_LENGTH => {
            let problem = format!("expected {MIN_KEY_LENGTH} characters or more");
            Err(ConfigError::new(name, problem))
        }
        key => Ok(key.cloned()),
    }
}
