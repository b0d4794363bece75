//! What the library does: options for browsers, and the verdict on what they send back.
//!
//! Three of its rules are replaced by ours, by altering the stored key before it compares: a counter that goes
//! back is reported and not refused (section 6.1.1 of `WebAuthn` leaves that to us); the flag "backup
//! eligible" may change, as it does when a password manager begins to synchronise; and user verification is
//! required by what the passkey is used for, not by how it was made. Two are added: the id must be that of the
//! key, and a signature may not come from a frame.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AuthenticationState, AuthenticatorTransport, CollectedClientData, Credential,
    PublicKeyCredential, RegisterPublicKeyCredential, RegistrationState, UserVerificationPolicy,
};

use super::ceremony::LIFETIME;
use crate::config::PasskeyConfig;
use crate::error::Error;
use crate::store::{Passkey, PasskeyUse, User};

/// How many ways to reach an authenticator are stored.
const MAX_TRANSPORTS: usize = 8;

/// The longest id of a key, in bytes (section 6.5.1).
const MAX_CREDENTIAL_ID: usize = 1_023;

/// Where the flags are in the data of an authenticator (section 6.1).
const FLAGS: usize = 32;
const BACKUP_ELIGIBLE: u8 = 0b0000_1000;
const BACKED_UP: u8 = 0b0001_0000;

/// Where the model begins in them, after the hash of the domain, the flags and the counter.
const AAGUID: std::ops::Range<usize> = 37..53;

/// Why a ceremony is refused, in a word for operators.
pub(in crate::auth) type Reason = &'static str;

/// The service, as browsers and authenticators know it.
pub(in crate::auth) struct RelyingParty {
    core: WebauthnCore,
    rp_id: String,
    stands_alone: bool,
}

/// A key that a browser has made.
pub(in crate::auth) struct NewKey {
    pub(in crate::auth) credential_id: String,
    pub(in crate::auth) credential: String,
    pub(in crate::auth) aaguid: String,
    pub(in crate::auth) used: PasskeyUse,
}

impl RelyingParty {
    /// The service with these settings, whose origins are checked: one that is none opens nothing.
    pub(in crate::auth) fn new(config: &PasskeyConfig) -> Self {
        let origins = config.origins.iter();
        let origins: Vec<Url> = origins
            .filter_map(|origin| Url::parse(origin).ok())
            .collect();
        let lifetime = LIFETIME.to_std().unwrap_or(Duration::ZERO);
        // No subdomains and no other ports: origins are compared exactly.
        let core = WebauthnCore::new_unsafe_experts_only(
            &config.name,
            &config.rp_id,
            origins,
            lifetime,
            Some(false),
            Some(false),
        );
        Self {
            core,
            rp_id: config.rp_id.clone(),
            stands_alone: config.stands_alone,
        }
    }

    /// The domain that passkeys are made for.
    pub(in crate::auth) fn rp_id(&self) -> &str {
        &self.rp_id
    }

    /// Whether a passkey may stand alone.
    pub(super) fn stands_alone(&self) -> bool {
        self.stands_alone
    }

    /// Asks a browser for a new key of a user who has these.
    ///
    /// # Errors
    /// [`Error::Internal`] for a user without an address.
    pub(in crate::auth) fn ask_for_key(
        &self,
        user: &User,
        handle: &[u8],
        known: &[Passkey],
    ) -> Result<(Value, RegistrationState), Error> {
        let ids = known
            .iter()
            .filter_map(|passkey| bytes(&passkey.credential_id));
        let policy = match self.stands_alone {
            true => UserVerificationPolicy::Required,
            false => UserVerificationPolicy::Preferred,
        };
        let asked = self
            .core
            .new_challenge_register_builder(handle, &user.email, &user.email)
            .map(|builder| {
                builder
                    .user_verification_policy(policy)
                    .require_resident_key(self.stands_alone)
                    .exclude_credentials(Some(ids.collect()))
            })
            .and_then(|builder| self.core.generate_challenge_register(builder));
        let (options, state) = asked.map_err(|error| internal(&error))?;
        Ok((to_value(&options.public_key)?, state))
    }

    /// Checks the key that a browser has made.
    ///
    /// # Errors
    /// The reason for which it is refused.
    pub(in crate::auth) fn check_key(
        &self,
        answer: &str,
        state: &RegistrationState,
    ) -> Result<NewKey, Reason> {
        let answer: RegisterPublicKeyCredential =
            serde_json::from_str(answer).map_err(|_error| "malformed")?;
        check_id(&answer.type_, &answer.id, &answer.raw_id)?;
        let checked = self.core.register_credential(&answer, state, None);
        let mut key = checked.map_err(|error| reason(&error))?;
        if key.cred_id != answer.raw_id {
            return Err("other-id");
        }
        // The library drops them where no attestation vouches for them; they are only hints for browsers.
        let transports = answer.response.transports.clone().unwrap_or_default();
        let is_known = |transport: &AuthenticatorTransport| {
            *transport != AuthenticatorTransport::Unknown
                && *transport != AuthenticatorTransport::Test
        };
        let known = transports.into_iter().filter(is_known);
        key.transports = Some(known.take(MAX_TRANSPORTS).collect());
        Ok(NewKey {
            credential_id: URL_SAFE_NO_PAD.encode(&key.cred_id),
            credential: serde_json::to_string(&key).map_err(|_error| "malformed")?,
            aaguid: self.model(&answer.response.attestation_object),
            used: PasskeyUse {
                sign_count: key.counter.into(),
                backup_eligible: key.backup_eligible,
                backed_up: key.backup_state,
                user_verified: key.user_verified,
            },
        })
    }

    /// Asks a browser for a signature with one of these keys; with any that it has for us if there are none.
    ///
    /// # Errors
    /// [`Error::Internal`] for a stored key that cannot be read.
    pub(super) fn ask_for_signature(
        &self,
        known: &[Passkey],
        is_verification_required: bool,
    ) -> Result<(Value, AuthenticationState), Error> {
        let policy = match is_verification_required {
            true => UserVerificationPolicy::Required,
            false => UserVerificationPolicy::Preferred,
        };
        let keys = known.iter().map(|passkey| read_key(passkey, false));
        let keys: Vec<Credential> = keys.collect::<Option<_>>().ok_or(Error::Internal)?;
        let asked = self
            .core
            .new_challenge_authenticate_builder(keys, Some(policy))
            .and_then(|builder| self.core.generate_challenge_authenticate(builder));
        let (options, mut state) = asked.map_err(|error| internal(&error))?;
        // The key is read again when it is compared.
        state.set_allowed_credentials(Vec::new());
        Ok((to_value(&options.public_key)?, state))
    }

    /// Checks a signature with a stored key. Returns what the authenticator said with it.
    ///
    /// # Errors
    /// The reason for which it is refused.
    pub(super) fn check_signature(
        &self,
        answer: &PublicKeyCredential,
        state: &AuthenticationState,
        passkey: &Passkey,
    ) -> Result<PasskeyUse, Reason> {
        check_id(&answer.type_, &answer.id, &answer.raw_id)?;
        check_top_level(&answer.response.client_data_json)?;
        let flags = answer.response.authenticator_data.get(FLAGS);
        let flags = *flags.ok_or("malformed")?;
        let is_eligible = flags & BACKUP_ELIGIBLE != 0;
        if flags & BACKED_UP != 0 && !is_eligible {
            return Err("backup-state");
        }
        let key = read_key(passkey, is_eligible).ok_or("unreadable-key")?;
        let checked = self
            .core
            .authenticate_single_credential(answer, state, &key);
        let checked = checked.map_err(|error| reason(&error))?;
        Ok(PasskeyUse {
            sign_count: checked.counter().into(),
            backup_eligible: checked.backup_eligible(),
            backed_up: checked.backup_state(),
            user_verified: checked.user_verified(),
        })
    }

    /// The model of an authenticator, as a UUID. The library reads it only from attestations, and we ask for
    /// none, so it is what the authenticator says: good for a name, and for nothing else.
    fn model(&self, attestation_object: &[u8]) -> String {
        let hash = Sha256::digest(self.rp_id.as_bytes());
        let mut windows = attestation_object.windows(hash.len());
        let at = windows.position(|window| window == hash.as_slice());
        let data = at.and_then(|at| attestation_object.get(at..));
        let model = data.and_then(|data| data.get(AAGUID)).unwrap_or(&[0; 16]);
        let digits: String = model.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
        parts
            .map(|part| digits.get(part).unwrap_or_default())
            .join("-")
    }
}

/// Reads a credential that signs.
///
/// # Errors
/// The reason for which it is refused.
pub(super) fn read_answer(answer: &str) -> Result<PublicKeyCredential, Reason> {
    serde_json::from_str(answer).map_err(|_error| "malformed")
}

/// A stored key as the library compares it.
fn read_key(passkey: &Passkey, is_eligible: bool) -> Option<Credential> {
    let mut key: Credential = serde_json::from_str(&passkey.credential).ok()?;
    key.counter = 0;
    key.backup_eligible = is_eligible;
    key.user_verified = false;
    key.registration_policy = UserVerificationPolicy::Preferred;
    Some(key)
}

/// Section 5.1 lets browsers write the id twice; the library compares one of them.
fn check_id(kind: &str, id: &str, raw_id: &[u8]) -> Result<(), Reason> {
    let is_right = kind == "public-key"
        && raw_id.len() <= MAX_CREDENTIAL_ID
        && id == URL_SAFE_NO_PAD.encode(raw_id);
    is_right.then_some(()).ok_or("malformed")
}

/// No page of ours is in a frame of another site (section 7.2.14). The library compares this for new keys only.
fn check_top_level(client_data: &[u8]) -> Result<(), Reason> {
    let data: CollectedClientData =
        serde_json::from_slice(client_data).map_err(|_error| "malformed")?;
    let is_framed = data.cross_origin.unwrap_or(false);
    (!is_framed).then_some(()).ok_or("origin")
}

fn bytes(base64: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(base64).ok()
}

fn to_value(options: &impl serde::Serialize) -> Result<Value, Error> {
    serde_json::to_value(options).map_err(|_error| Error::Internal)
}

fn internal(error: &WebauthnError) -> Error {
    log::error!("no options for a passkey: {error}");
    Error::Internal
}

fn reason(error: &WebauthnError) -> Reason {
    match error {
        WebauthnError::InvalidRPOrigin | WebauthnError::CredentialCrossOrigin => "origin",
        WebauthnError::InvalidRPIDHash => "domain",
        WebauthnError::MismatchedChallenge => "challenge",
        WebauthnError::UserNotVerified => "user-not-verified",
        WebauthnError::UserNotPresent => "user-not-present",
        WebauthnError::AuthenticationFailure => "signature",
        WebauthnError::CredentialAlteredAlgFromRequest
        | WebauthnError::SshPublicKeyEDUnsupported => "algorithm",
        WebauthnError::CredentialMayNotBeHardwareBound => "backup-state",
        _ => "malformed",
    }
}
