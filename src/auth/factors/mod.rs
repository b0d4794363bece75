//! Second factors: what a sign-in asks for besides the password.

#[cfg(feature = "cli")]
mod code_times;
mod enroller;
mod enrolment;
#[cfg(feature = "passkeys")]
mod passkey;
mod removal;
mod renaming;
#[cfg(feature = "cli")]
mod rotation;
#[cfg(not(feature = "passkeys"))]
mod without_passkeys;

use chrono::{NaiveDateTime, TimeDelta};

pub use self::enroller::Enroller;
pub use self::enrolment::{ConfirmedFactor, NewTotp};
use super::Auth;
use super::session::is_multi_factor;
use crate::config::MfaMode;
use crate::credential::sealed::SealingKeys;
use crate::credential::totp::Seed;
use crate::error::Error;
use crate::store::{
    Account, Credential, Factor, Principal, RecoveryCodes, RecoveryCodesLeft, Writing,
};

/// How long a new factor waits for its confirmation.
const UNCONFIRMED_LIFETIME: TimeDelta = TimeDelta::minutes(10);

/// The second factors of a user.
#[derive(Clone)]
pub struct Factors {
    /// Those that count, oldest first.
    pub confirmed: Vec<Factor>,
    /// Whether the passkeys are backed up, by the ids of the factors.
    pub backed_up: Vec<(i64, bool)>,
    /// The recovery codes; `None` for a user who never had any.
    pub recovery_codes: Option<RecoveryCodesLeft>,
}

impl Auth {
    /// Lists the second factors of a user.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn list_factors(&self, user_id: i64) -> Result<Factors, Error> {
        let list = move |conn: &mut _| {
            Ok(Factors {
                confirmed: Factor::list_confirmed(conn, user_id)?,
                backed_up: Factor::list_backed_up(conn, user_id)?,
                recovery_codes: RecoveryCodes::left(conn, user_id)?,
            })
        };
        Ok(self.0.store.read(list).await?)
    }

    /// Whether the settings have the key of the factor that was stored last; `None` if there is no factor.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    #[cfg(feature = "cli")]
    pub(crate) async fn can_open_seeds(&self) -> Result<Option<bool>, Error> {
        let last = self.0.store.read(Factor::find_last).await?;
        Ok(last.map(|factor| self.open_seed(&factor).is_some()))
    }

    /// Whether a session of this account begins only with a second factor.
    pub(super) fn asks_for_factor(&self, account: &Account) -> bool {
        self.asks_for_code(account) || self.0.config.factors.mode == MfaMode::Required
    }

    /// Whether a sign-in to this account asks for a code.
    pub(super) fn asks_for_code(&self, account: &Account) -> bool {
        self.0.config.factors.mode != MfaMode::Off && account.has_factor
    }

    /// The keys that seal seeds.
    ///
    /// # Errors
    /// [`Error::FactorsOff`] without a key, or where no sign-in asks for second factors.
    fn sealing_keys(&self) -> Result<&SealingKeys, Error> {
        let factors = &self.0.config.factors;
        let keys = factors.keys.as_ref();
        keys.filter(|_| factors.mode != MfaMode::Off)
            .ok_or(Error::FactorsOff)
    }

    /// The seed of an authenticator app; `None` without its key, and for another kind of factor.
    pub(super) fn open_seed(&self, factor: &Factor) -> Option<Seed> {
        if !factor.is_app() {
            return None;
        }
        let keys = self.0.config.factors.keys.as_ref()?;
        let place = place_of(factor.id);
        let opened = keys.open(&factor.key_id, &place, &factor.secret_sealed);
        if opened.is_none() {
            log::error!(
                "factor {}: TOKENHOUSE_SECRET_KEY is not the key that sealed it, or it was altered",
                factor.id
            );
        }
        Seed::from_bytes(&opened?)
    }
}

/// Where a seed can be opened: in its own row only.
fn place_of(factor_id: i64) -> String {
    format!("factor {factor_id}")
}

/// Checks in the transaction of a change of second factors that the caller has shown one, if the user has any:
/// a stolen password or an old session must not remove them. Returns all factors of the user, whose row is
/// locked.
///
/// # Errors
/// [`Error::SecondFactorRequired`]; [`Error::Unavailable`].
fn check_level(tx: &mut Writing<'_>, principal: &Principal) -> Result<Vec<Factor>, Error> {
    let factors = Factor::list_of_user(tx, principal.user.id)?;
    let has_any = factors.iter().any(Factor::is_confirmed);
    let has_shown = match &principal.credential {
        Credential::LoginToken(token) => is_multi_factor(&token.session.amr),
        Credential::ApiKey(_) => false,
    };
    match has_any && !has_shown {
        true => Err(Error::SecondFactorRequired),
        false => Ok(factors),
    }
}

/// Whether a factor can be confirmed at `now`.
fn is_pending(factor: &Factor, now: NaiveDateTime) -> bool {
    !factor.is_confirmed() && now < factor.created_at + UNCONFIRMED_LIFETIME
}
