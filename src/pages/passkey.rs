//! What the script of passkeys needs to know on a page.

use serde_json::json;

use super::Language;
use super::language::fill;
use super::texts::passkeys::PasskeyTexts;
use crate::auth::PasskeyOptions;
use crate::config::{FactorConfig, PasskeyConfig};

/// A form that the script sends with a passkey.
pub(crate) struct PasskeyView {
    pub(crate) t: &'static PasskeyTexts,
    /// Where passkeys work.
    pub(crate) domain: String,
}

impl PasskeyView {
    /// The form in a language; `None` where passkeys are off.
    pub(crate) fn of(config: &FactorConfig, language: Language) -> Option<Self> {
        let passkeys = config.passkeys.as_ref();
        passkeys.map(|passkeys| Self::new(passkeys, language))
    }

    /// The same for passkeys that stand alone.
    pub(crate) fn of_lone(config: &FactorConfig, language: Language) -> Option<Self> {
        let passkeys = config.lone_passkeys();
        passkeys.map(|passkeys| Self::new(passkeys, language))
    }

    fn new(config: &PasskeyConfig, language: Language) -> Self {
        Self {
            t: PasskeyTexts::of(language),
            domain: config.rp_id.clone(),
        }
    }

    /// What the form says on a page under another name.
    pub(crate) fn elsewhere(&self) -> String {
        fill(self.t.elsewhere, "domain", &self.domain)
    }
}

/// A form of [`PasskeyView`] with what the browser is asked.
pub(crate) struct PasskeyQuestion {
    pub(crate) view: PasskeyView,
    /// What the options of the API are, as JSON.
    pub(crate) asked: String,
    /// Whether the passkey is sent with the password.
    pub(crate) needs_password: bool,
}

impl PasskeyQuestion {
    /// The form with these options; `None` where passkeys are off.
    pub(crate) fn new(
        config: &FactorConfig,
        language: Language,
        options: &PasskeyOptions,
    ) -> Option<Self> {
        let asked = json!({
            "challenge_id": options.challenge_id.expose(),
            "publicKey": options.public_key,
        });
        Some(Self {
            view: PasskeyView::of(config, language)?,
            asked: asked.to_string(),
            needs_password: config.lone_passkeys().is_none(),
        })
    }
}

/// What browsers are told of passkeys, so that they do not offer dead ones (section 5.1.10 of `WebAuthn`).
pub(crate) struct PasskeySignal {
    /// The method of `PublicKeyCredential`.
    pub(crate) method: &'static str,
    /// Its argument, as JSON.
    pub(crate) value: String,
}

impl PasskeySignal {
    /// No user has the passkey with this id.
    pub(crate) fn unknown(domain: &str, id: &str) -> Self {
        Self {
            method: "signalUnknownCredential",
            value: json!({ "rpId": domain, "credentialId": id }).to_string(),
        }
    }

    /// The user with this handle has these passkeys, and no others.
    pub(crate) fn accepted(domain: &str, handle: &str, ids: &[String]) -> Self {
        let value = json!({ "rpId": domain, "userId": handle, "allAcceptedCredentialIds": ids });
        Self {
            method: "signalAllAcceptedCredentials",
            value: value.to_string(),
        }
    }
}
