//! The credential with which an app authenticates to the server.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

/// Authenticates an app to the server. `Debug` does not show it.
#[derive(Clone)]
pub struct ClientCredential {
    /// The value of the header `Authorization`.
    pub(super) authorization: SecretString,
}

impl ClientCredential {
    /// An API key with the scope `introspect`, sent as `Bearer`. Surrounding white space is ignored.
    pub fn api_key(key: &str) -> Self {
        let authorization = format!("Bearer {}", key.trim()).into();
        Self { authorization }
    }

    /// The static key, sent as the password of HTTP Basic (RFC 6749 section 2.3.1). Surrounding white
    /// space is ignored.
    pub fn static_key(key: &str) -> Self {
        let password = form_urlencoded::byte_serialize(key.trim().as_bytes());
        let pair: String = ["tokenhouse:"].into_iter().chain(password).collect();
        let authorization = format!("Basic {}", STANDARD.encode(pair)).into();
        Self { authorization }
    }
}

impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCredential(..)")
    }
}
