//! Passkeys: keys of authenticators that sign what the service asks (`WebAuthn`). The library checks
//! signatures, and this module keeps what it needs: what was asked, and the public keys.

#[cfg(not(feature = "passkeys"))]
mod absent;
#[cfg(feature = "passkeys")]
mod ceremony;
#[cfg(feature = "passkeys")]
mod models;
#[cfg(feature = "passkeys")]
mod relying_party;
#[cfg(feature = "passkeys")]
mod signature;

use chrono::TimeDelta;
use secrecy::SecretString;
use serde_json::Value;

#[cfg(not(feature = "passkeys"))]
pub(super) use self::absent::Signed;
#[cfg(feature = "passkeys")]
pub(super) use self::{
    ceremony::{LIFETIME, Question, digest_of_factor},
    models::name_of,
    relying_party::RelyingParty,
    signature::Signed,
};
use super::Auth;
#[cfg(feature = "passkeys")]
use super::session::FactorMethods;
use crate::credential::token::PlainToken;
use crate::error::Error;

/// A passkey that its user has to confirm, with what the browser needs to make it.
#[derive(Debug)]
pub struct NewPasskey {
    /// The id of the factor.
    pub id: i64,
    /// `PublicKeyCredentialCreationOptions` (section 5.4 of `WebAuthn`), with bytes in URL-safe base64.
    pub public_key: Value,
    /// How long the browser may take.
    pub lifetime: TimeDelta,
}

/// What the browser needs to sign with a passkey.
#[derive(Debug)]
pub struct PasskeyOptions {
    /// Names what was asked, in the request with the signature.
    pub challenge_id: PlainToken,
    /// `PublicKeyCredentialRequestOptions` (section 5.5 of `WebAuthn`), with bytes in URL-safe base64.
    pub public_key: Value,
    /// How long the browser may take.
    pub lifetime: TimeDelta,
}

/// What the browser has signed.
#[derive(Clone, Debug)]
pub struct PasskeyAnswer {
    /// [`PasskeyOptions::challenge_id`].
    pub challenge_id: SecretString,
    /// The `PublicKeyCredential` as JSON (`toJSON()` in browsers).
    pub credential: SecretString,
}

/// Whether a signature is right.
#[cfg_attr(
    not(feature = "passkeys"),
    expect(dead_code, reason = "without passkeys, nothing is signed")
)]
pub(super) enum Verdict {
    Right(Signed),
    Wrong {
        /// Why, in a word for operators.
        reason: &'static str,
        /// Whose passkey it is, if it is known.
        user_id: Option<i64>,
        /// Whether the service answered that it knows no such passkey.
        is_unknown: bool,
    },
}

/// Whose signature is wanted.
#[derive(Clone, Copy)]
#[cfg_attr(
    not(feature = "passkeys"),
    expect(dead_code, reason = "without passkeys, nobody is asked")
)]
pub(super) enum Signatory<'a> {
    /// That of a user whose sign-in waits, by the digest of its token.
    User { id: i64, waiting: &'a str },
    /// That of a signed-in user, by the id of the session.
    SignedIn { id: i64, session: i64 },
    /// That of any user; the passkey tells which.
    Anyone,
}

/// How a user has authenticated with a passkey: by a gesture, with a key that never leaves its hardware or one
/// that may.
#[cfg(feature = "passkeys")]
pub(super) const fn methods_of(is_backup_eligible: bool, is_verified: bool) -> FactorMethods {
    let (own, after_password): (&'static [&'static str], _) = match is_backup_eligible {
        true => (&["swk", "user"], "pwd swk user mfa"),
        false => (&["hwk", "user"], "pwd hwk user mfa"),
    };
    FactorMethods {
        own,
        after_password,
        stands_alone: is_verified,
    }
}

impl Auth {
    /// Whether users may have passkeys.
    pub(crate) fn offers_passkeys(&self) -> bool {
        self.0.config.factors.passkeys.is_some()
    }

    /// Checks that users may have passkeys.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`] otherwise.
    pub(super) fn require_passkeys(&self) -> Result<(), Error> {
        match self.offers_passkeys() {
            true => Ok(()),
            false => Err(Error::PasskeysOff),
        }
    }

    /// Checks that a passkey may stand alone.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`] otherwise.
    pub(super) fn require_lone_passkeys(&self) -> Result<(), Error> {
        match self.0.config.factors.lone_passkeys() {
            Some(_) => Ok(()),
            None => Err(Error::PasskeysOff),
        }
    }

    /// The service as browsers know it.
    ///
    /// # Errors
    /// [`Error::PasskeysOff`] where users cannot have passkeys.
    #[cfg(feature = "passkeys")]
    pub(super) fn relying_party(&self) -> Result<&RelyingParty, Error> {
        self.0.relying_party.as_ref().ok_or(Error::PasskeysOff)
    }
}
